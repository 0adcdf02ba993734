/** Printing: data to stdout, everything else to stderr with the command's name in front (commands.md §1.1). */
import { writeSync } from "node:fs";
import { BerthError } from "#job/errors.ts";
import { UsageError } from "#options/usage-error.ts";

/** Writes all of it, also into a full pipe. A reader that has gone ends the command quietly, as SIGPIPE would. */
export function writeAll(fd: 1 | 2, data: string | Uint8Array): void {
  let bytes = typeof data === "string" ? Buffer.from(data) : data;
  while (bytes.byteLength > 0) {
    try {
      bytes = bytes.subarray(writeSync(fd, bytes));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EAGAIN") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      else if (code === "EPIPE") process.exit(141);
      else if (code !== "EINTR") throw error;
    }
  }
}

export function printLines(lines: readonly string[]): void {
  // One write for many lines, but not one string for a hundred thousand of them.
  for (let start = 0; start < lines.length; start += 2000) writeAll(1, `${lines.slice(start, start + 2000).join("\n")}\n`);
}

/** Complete lines for stderr. */
export function complain(...lines: readonly string[]): void {
  if (lines.length > 0) writeAll(2, `${lines.join("\n")}\n`);
}

export interface ErrorStyle {
  /** Put before the message: "Batch job submission failed: ". */
  readonly failed?: string;
  readonly exitStatus?: number;
}

/** Tells the user about a failure and gives the exit status. What is no error of operation is a bug, and says so. */
export function printError(command: string, error: unknown, style: ErrorStyle = {}): number {
  if (error instanceof UsageError) {
    if (error.stdout.length > 0) printLines(error.stdout);
    complain(...error.lines);
    return error.exitStatus;
  }
  if (error instanceof BerthError) {
    complain(
      ...error.before.map((line) => `${command}: ${line}`),
      `${command}: error: ${style.failed ?? ""}${error.message}`,
      ...(error.hint === undefined ? [] : [`${command}: ${error.hint}`]),
    );
    return style.exitStatus ?? errorExit();
  }
  const text = error instanceof Error ? error.message : String(error);
  complain(`${command}: error: ${text}`, `${command}: this is a bug in Berth; BERTH_DEBUG=1 shows where`);
  if (process.env["BERTH_DEBUG"] === "1" && error instanceof Error) complain(error.stack ?? "");
  return style.exitStatus ?? errorExit();
}

/** SLURM_EXIT_ERROR replaces the 1 of srun, sbatch and salloc. */
export function errorExit(): number {
  const text = process.env["SLURM_EXIT_ERROR"] ?? "";
  return /^\d{1,3}$/.test(text) ? Number(text) & 255 : 1;
}
