/**
 * What srun does with the output of tasks: whole lines, labelled on request, to its own streams or to files that it
 * opens itself (commands.md §2.5). Files with a task's or node's letter in their name are the step daemon's.
 */
import { BerthError } from "#job/errors.ts";
import { absolutePath } from "#options/path.ts";
import { closeFd, OPEN, openFd, writeFd } from "#platform/system.ts";
import { errnoWords } from "./errno.ts";
import { writeAll } from "./terminal.ts";

export type Target =
  | { readonly kind: "own" }
  | { readonly kind: "discard" }
  /** `fd`: where to, when it is not the stream's own. */
  | { readonly kind: "task"; readonly task: number; readonly fd?: 1 | 2 }
  | { readonly kind: "file"; readonly fd: number };

export interface OutputOptions {
  readonly stdout: Target;
  readonly stderr: Target;
  readonly isLabelled: boolean;
  /** Parts of lines pass at once: -u, or a terminal. */
  readonly isUnbuffered: boolean;
  readonly tasks: number;
}

const NEWLINE = 10;

export class StepOutput implements Disposable {
  readonly #options: OutputOptions;
  readonly #partial = new Map<string, Uint8Array[]>();
  readonly #labelWidth: number;

  constructor(options: OutputOptions) {
    this.#options = options;
    this.#labelWidth = String(Math.max(0, options.tasks - 1)).length;
  }

  write(task: number, stream: "stdout" | "stderr", bytes: Uint8Array): void {
    const target = this.#options[stream];
    if (target.kind === "discard" || (target.kind === "task" && target.task !== task)) return;
    if (this.#options.isUnbuffered && !this.#options.isLabelled) {
      this.#emit(stream, bytes);
      return;
    }
    const last = bytes.lastIndexOf(NEWLINE);
    const key = `${stream}${task}`;
    const partial = this.#partial.get(key) ?? [];
    if (last < 0) {
      partial.push(bytes);
      this.#partial.set(key, partial);
      return;
    }
    const lines = Buffer.concat([...partial, bytes.subarray(0, last + 1)]);
    const rest = bytes.subarray(last + 1);
    if (rest.byteLength === 0) this.#partial.delete(key);
    else this.#partial.set(key, [rest]);
    this.#emit(stream, this.#options.isLabelled ? this.#label(task, lines) : lines);
  }

  /** A task has ended: what it left without a newline is printed as it is. */
  flush(task: number): void {
    for (const stream of ["stdout", "stderr"] as const) {
      const key = `${stream}${task}`;
      const partial = this.#partial.get(key);
      if (partial === undefined) continue;
      this.#partial.delete(key);
      const bytes = Buffer.concat(partial);
      this.#emit(stream, this.#options.isLabelled ? Buffer.concat([Buffer.from(this.#prefix(task)), bytes, Buffer.from("\n")]) : bytes);
    }
  }

  #prefix(task: number): string {
    return `${String(task).padStart(this.#labelWidth)}: `;
  }

  #label(task: number, lines: Buffer): Buffer {
    const prefix = Buffer.from(this.#prefix(task));
    const parts: Buffer[] = [];
    for (let start = 0; start < lines.byteLength; ) {
      const end = lines.indexOf(NEWLINE, start) + 1;
      parts.push(prefix, lines.subarray(start, end));
      start = end;
    }
    return Buffer.concat(parts);
  }

  #emit(stream: "stdout" | "stderr", bytes: Uint8Array): void {
    const target = this.#options[stream];
    if (target.kind === "file") writeFd(target.fd, bytes);
    else writeAll((target.kind === "task" ? target.fd : undefined) ?? (stream === "stdout" ? 1 : 2), bytes);
  }

  [Symbol.dispose](): void {
    const fds = new Set([this.#options.stdout, this.#options.stderr].flatMap((target) => (target.kind === "file" ? [target.fd] : [])));
    for (const fd of fds) closeFd(fd);
  }
}

/** Opens a file for srun itself. @throws BerthError with Slurm's words */
export function openFile(
  path: string,
  options: { readonly cwd: string; readonly stream: "stdin" | "stdout" | "stderr"; readonly append: boolean },
): number {
  const flags = options.stream === "stdin" ? OPEN.read : OPEN.write | OPEN.create | OPEN.append | (options.append ? 0 : OPEN.truncate);
  try {
    return openFd(absolutePath(options.cwd, path), flags);
  } catch (error) {
    throw new BerthError("STREAM", `Could not open ${options.stream} file: ${errnoWords(error)}`);
  }
}
