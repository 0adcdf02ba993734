/** Reading a file of somebody else's making: nothing it could be instead may hang us, or fill the memory. */
import { isUtf8 } from "node:buffer";
import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";

const MAX_BYTES = 8 << 20;

/** What is there is no text file of a sensible size. */
export class NoTextError extends Error {}

/** @throws NoTextError, or the system's error */
export function readRegularText(file: string, maxBytes = MAX_BYTES): string {
  // O_NONBLOCK: a FIFO of that name must not hang us.
  const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new NoTextError("it is not a regular file");
    if (stat.size > maxBytes) throw new NoTextError(`${stat.size} bytes, and ${maxBytes} is the limit`);
    const bytes = readFileSync(fd);
    if (!isUtf8(bytes)) throw new NoTextError("it is not UTF-8 text");
    return bytes.toString("utf8");
  } finally {
    closeSync(fd);
  }
}
