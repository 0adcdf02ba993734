/** A container's terminal, which went from the real runtime to the engine, and of which we have no end. */
import { closeSync, constants, openSync, readlinkSync, writeSync } from "node:fs";

/** Nothing, when the process has none any more. Opened for one line only: an end kept open would keep the engine waiting for the container's. */
export function printOnTerminalOf(pid: number, line: string): void {
  for (const fd of [2, 1, 0]) {
    const path = `/proc/${pid}/fd/${fd}`;
    try {
      if (!/^\/dev\/(pts\/[0-9]+|console)$/.test(readlinkSync(path))) continue;
      const terminal = openSync(path, constants.O_WRONLY | constants.O_NOCTTY | constants.O_NONBLOCK);
      try {
        writeSync(terminal, `${line}\r\n`);
      } finally {
        closeSync(terminal);
      }
      return;
    } catch {
      // closed, or the process has ended
    }
  }
}
