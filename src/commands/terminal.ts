/** Printing: data to stdout, everything else to stderr with the command's name in front (commands.md §1.1). */
import { BerthError, shortageHint } from "#job/errors.ts";
import { hasControls, printable, withoutControls } from "#job/printable.ts";
import { UsageError } from "#options/usage-error.ts";
import { writeFd } from "#platform/system.ts";
import { errnoWords } from "./errno.ts";

/** A full disk or the like behind standard output. The work may be done already: it is not the command's work that failed. */
class OutputError extends Error {
  /** The line that nobody has seen, when there was just one. */
  readonly line: string | undefined;

  constructor(cause: unknown, data: string | Uint8Array) {
    super(`Cannot write the output: ${errnoWords(cause)}`, { cause });
    const line = typeof data === "string" ? data.trimEnd() : "\n";
    this.line = line.includes("\n") ? undefined : line;
  }
}

/**
 * Writes all of it, also into a full pipe. A reader that has gone ends the command quietly, as SIGPIPE would.
 * @throws OutputError when the other end takes no more, of standard output and files only: of a full stderr there is nobody to tell
 */
export function writeAll(fd: 1 | 2, data: string | Uint8Array): void {
  let bytes = typeof data === "string" ? Buffer.from(data) : data;
  while (bytes.byteLength > 0) {
    try {
      bytes = bytes.subarray(writeFd(fd, bytes));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EAGAIN") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      else if (code === "EPIPE") process.exit(141);
      else if (code !== "EINTR") {
        if (fd === 2) return;
        throw new OutputError(error, data);
      }
    }
  }
}

/** Text of several lines, too. A terminal gets no control characters: they would be others' (job/printable.ts). */
export function printLines(lines: readonly string[]): void {
  // One write for many lines, but not one string for a hundred thousand of them.
  for (let start = 0; start < lines.length; start += 2000) {
    printText(`${lines.slice(start, start + 2000).join("\n")}\n`);
  }
}

/** The same for text as it is. */
export function printText(text: string): void {
  writeAll(1, hasControls(text) && process.stdout.isTTY ? withoutControls(text) : text);
}

/** The same, each of them one line at a terminal: a line end in somebody's data would forge a row. */
export function printRows(rows: readonly string[]): void {
  const isForged = (row: string) => row.includes("\n");
  printLines(rows.some(isForged) && process.stdout.isTTY ? rows.map((row) => row.replaceAll("\n", "?")) : rows);
}

/** Complete lines for stderr. */
export function complain(...lines: readonly string[]): void {
  if (lines.length > 0) writeAll(2, `${printable(lines.join("\n"))}\n`);
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
  if (error instanceof OutputError) {
    complain(`${command}: error: ${error.message}`, ...(error.line === undefined ? [] : [`${command}: it was to say: ${error.line}`]));
    return errorExit();
  }
  const text = error instanceof Error ? error.message : String(error);
  const shortage = shortageHint(error);
  complain(`${command}: error: ${text}`, `${command}: ${shortage ?? "this is a bug in Berth; BERTH_DEBUG=1 shows where"}`);
  if (process.env["BERTH_DEBUG"] === "1" && error instanceof Error) complain(error.stack ?? "");
  return style.exitStatus ?? errorExit();
}

/** SLURM_EXIT_ERROR replaces the 1 of srun, sbatch and salloc. */
export function errorExit(): number {
  const text = process.env["SLURM_EXIT_ERROR"] ?? "";
  return /^\d{1,3}$/.test(text) ? Number(text) & 255 : 1;
}
