/**
 * Opening the streams of one task, as its plan says: through FIFOs to srun, files, or /dev/null.
 * Files are opened as Slurm's node does (lifecycle: commands.md §3.7): by the job's user, in its working directory,
 * always appending, truncated first unless --open-mode=append, parents made when they are missing (Slurm 23.02).
 */
import { closeSync, constants, existsSync, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { InputWriter, makeInputFifo, makeOutputFifo, reopenOutputFifo } from "#platform/pipes.ts";
import type { StreamPlan } from "./plan.ts";

export interface OpenedOutput {
  readonly taskFd: number | "null";
  /** Our reading end; null for files and /dev/null. */
  readonly ourFd: number | null;
  /** Where to append the step daemon's own messages; null when srun shows them. */
  readonly file: string | null;
}

export interface OpenedStreams {
  readonly stdin: { readonly taskFd: number | "null"; readonly writer: InputWriter | null };
  readonly stdout: OpenedOutput;
  readonly stderr: OpenedOutput;
  /** After the spawn: the task has its own copies. */
  closeTaskEnds(): void;
}

export class StreamError extends Error {
  readonly errno: number;
  constructor(message: string, errno: number) {
    super(message);
    this.errno = errno;
  }
}

export class StreamOpener {
  readonly #spoolDir: string;
  readonly #workDir: string;
  readonly #umask: number;
  /** Several tasks may share a file: only the first one truncates it. */
  readonly #opened = new Set<string>();

  constructor(options: { readonly spoolDir: string; readonly workDir: string; readonly umask: number }) {
    this.#umask = options.umask;
    this.#spoolDir = options.spoolDir;
    this.#workDir = options.workDir;
  }

  /** @throws StreamError when a file cannot be opened; nothing stays open then */
  open(
    rank: number,
    plans: { readonly stdin: StreamPlan; readonly stdout: StreamPlan; readonly stderr: StreamPlan },
    expand: (pattern: string) => string,
  ): OpenedStreams {
    const fds: number[] = [];
    const note = <T extends number | "null">(fd: T): T => {
      if (fd !== "null") fds.push(fd);
      return fd;
    };
    try {
      const stdin = this.#openInput(rank, plans.stdin, expand);
      note(stdin.taskFd);
      const stdout = this.#openOutput(`${rank}.out`, plans.stdout, expand);
      note(stdout.taskFd);
      const stderr = plans.stderr.kind === "stdout" ? { ...stdout, ourFd: null } : this.#openOutput(`${rank}.err`, plans.stderr, expand);
      if (plans.stderr.kind !== "stdout") note(stderr.taskFd);
      return {
        stdin,
        stdout,
        stderr,
        closeTaskEnds: () => {
          for (const fd of fds.splice(0)) closeSync(fd);
        },
      };
    } catch (error) {
      for (const fd of fds) closeSync(fd);
      throw error;
    }
  }

  /** The streams of a task that runs already: our ends only. Its input ended with the daemon that had it. */
  reopen(
    rank: number,
    plans: { readonly stdout: StreamPlan; readonly stderr: StreamPlan },
    expand: (pattern: string) => string,
  ): OpenedStreams {
    const output = (name: string, plan: StreamPlan): OpenedOutput => {
      if (plan.kind === "file") return { taskFd: "null", ourFd: null, file: resolve(this.#workDir, expand(plan.pattern)) };
      const path = join(this.#spoolDir, `${name}.fifo`);
      return { taskFd: "null", ourFd: plan.kind === "client" && existsSync(path) ? reopenOutputFifo(path) : null, file: null };
    };
    const stdout = output(`${rank}.out`, plans.stdout);
    const stderr = plans.stderr.kind === "stdout" ? { ...stdout, ourFd: null } : output(`${rank}.err`, plans.stderr);
    return { stdin: { taskFd: "null", writer: null }, stdout, stderr, closeTaskEnds: () => undefined };
  }

  #openInput(rank: number, plan: StreamPlan, expand: (pattern: string) => string): OpenedStreams["stdin"] {
    if (plan.kind === "client") {
      const ends = makeInputFifo(join(this.#spoolDir, `${rank}.in.fifo`));
      return { taskFd: ends.taskFd, writer: new InputWriter(ends.ourFd) };
    }
    if (plan.kind !== "file") return { taskFd: "null", writer: null };
    const path = resolve(this.#workDir, expand(plan.pattern));
    return { taskFd: attempt(`Could not open stdin file ${path}`, () => openSync(path, constants.O_RDONLY)), writer: null };
  }

  #openOutput(name: string, plan: StreamPlan, expand: (pattern: string) => string): OpenedOutput {
    if (plan.kind === "client") {
      const ends = makeOutputFifo(join(this.#spoolDir, `${name}.fifo`));
      return { ...ends, file: null };
    }
    if (plan.kind !== "file") return { taskFd: "null", ourFd: null, file: null };
    const path = resolve(this.#workDir, expand(plan.pattern));
    if (path === "/dev/null") return { taskFd: "null", ourFd: null, file: null };
    // Missing parents are made, but not the working directory itself, which the job should have had.
    if (!isAbsolute(expand(plan.pattern)) && !existsSync(this.#workDir)) throw new StreamError(`Could not open output file ${path}`, 2);
    const truncate = plan.append || this.#opened.has(path) ? 0 : constants.O_TRUNC;
    const taskFd = attempt(`Could not open output file ${path}`, () =>
      withUmask(this.#umask, () => {
        mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
        return openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | truncate, 0o666);
      }),
    );
    this.#opened.add(path);
    return { taskFd, ourFd: null, file: path };
  }
}

/** Files and processes of the user get his umask; ours is 077. The work must not wait for anything. */
export function withUmask<T>(umask: number, work: () => T): T {
  const before = process.umask(umask);
  try {
    return work();
  } finally {
    process.umask(before);
  }
}

function attempt(message: string, open: () => number): number {
  try {
    return open();
  } catch (error) {
    const { errno, message: why } = error as NodeJS.ErrnoException;
    throw new StreamError(`${message}: ${why}`, Math.abs(errno ?? 5));
  }
}

/** Appends what the step daemon itself has to say; a full disk is no reason to stop the step. */
export function appendBytes(file: string, bytes: Uint8Array): void {
  try {
    const fd = openSync(file, constants.O_WRONLY | constants.O_APPEND);
    try {
      writeSync(fd, bytes);
    } finally {
      closeSync(fd);
    }
  } catch {
    // The file is gone or the disk is full; the state of the step says what happened.
  }
}
