/**
 * One child process whose output is collected: runtime operations, probes, small tools. Never a task of a step,
 * whose stdio is the step daemon's own.
 *
 * The child leads its own session and group, so that a kill reaches its children too. A result is ready when the
 * child is reaped and its pipes are at end; a descendant that keeps a pipe open can delay that by `drainMs` only.
 */
import { registerChild } from "./orphans.ts";
import { constants } from "node:os";
import type { ExitStatus } from "#job/outcome.ts";

export interface ChildOptions {
  /** The whole environment; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** From SIGTERM to SIGKILL when it is stopped. */
  readonly graceMs?: number;
  /** How long pipes may stay open after the exit. */
  readonly drainMs?: number;
  /** Of each output; what comes after is read and dropped. */
  readonly maxOutputBytes?: number;
}

export interface Result {
  readonly status: ExitStatus;
  readonly stdout: string;
  readonly stderr: string;
  /** It was stopped because `timeoutMs` had passed. */
  readonly isTimedOut: boolean;
}

export class Child implements AsyncDisposable {
  readonly #process: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #options: Required<Omit<ChildOptions, "env" | "cwd">>;

  /** @throws ErrnoException when it cannot be started (ENOENT, EACCES) */
  constructor(argv: readonly [string, ...string[]], options: ChildOptions) {
    this.#options = {
      graceMs: options.graceMs ?? 200,
      drainMs: options.drainMs ?? 250,
      maxOutputBytes: options.maxOutputBytes ?? 1 << 20,
    };
    this.#process = Bun.spawn([...argv], {
      cwd: options.cwd,
      env: { ...options.env },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      detached: true,
    });
    registerChild(this.#process, "tool");
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Waits for the end; stops the group after `timeoutMs` or when `signal` fires. @throws the signal's reason */
  async result({ signal, timeoutMs }: { readonly signal: AbortSignal; readonly timeoutMs: number }): Promise<Result> {
    const outputs = [this.#process.stdout, this.#process.stderr].map((pipe) => new Output(pipe, this.#options.maxOutputBytes));
    let isTimedOut = false;
    let stopping: Promise<void> | undefined;
    const stop = () => {
      stopping ??= this[Symbol.asyncDispose]();
    };
    const timer = setTimeout(() => {
      isTimedOut = true;
      stop();
    }, timeoutMs);
    signal.addEventListener("abort", stop, { once: true });
    try {
      if (signal.aborted) stop();
      await this.#process.exited;
      await stopping;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
    }
    await Promise.all(outputs.map((output) => output.end(this.#options.drainMs)));
    signal.throwIfAborted();
    const [stdout, stderr] = outputs.map((output) => output.text) as [string, string];
    return { status: this.#status(), stdout, stderr, isTimedOut };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#killGroup("SIGTERM");
    const timer = setTimeout(() => this.#killGroup("SIGKILL"), this.#options.graceMs);
    try {
      await this.#process.exited;
    } finally {
      // reaped: from here on the number can belong to somebody else
      clearTimeout(timer);
    }
  }

  #status(): ExitStatus {
    const { exitCode, signalCode } = this.#process;
    if (signalCode === null) return { kind: "exited", code: exitCode ?? 255 };
    return { kind: "signaled", signal: constants.signals[signalCode as NodeJS.Signals], coreDumped: false };
  }

  #killGroup(signal: NodeJS.Signals): void {
    const group = this.#process.pid;
    if (group <= 1) throw new Error(`refusing to signal group ${group}`); // kill(-1) reaches everything
    try {
      process.kill(-group, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // ESRCH: gone already
    }
  }
}

/** Runs `argv` to its end and collects what it printed; a program that cannot be started is a status, not an exception. */
export async function runChild(
  argv: readonly [string, ...string[]],
  options: ChildOptions & { readonly signal: AbortSignal; readonly timeoutMs: number },
): Promise<Result> {
  let started: Child;
  try {
    started = new Child(argv, options);
  } catch (error) {
    const { code, errno, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    return { status: { kind: "notStarted", errno: Math.abs(errno ?? 2), message }, stdout: "", stderr: message, isTimedOut: false };
  }
  await using child = started;
  return await child.result(options);
}

/** Reads a pipe from the start, so that a full pipe never stops the child. */
class Output {
  readonly #chunks: Uint8Array[] = [];
  readonly #reader: { read(): Promise<{ readonly value?: Uint8Array | undefined; readonly done: boolean }>; cancel(): Promise<void> };
  readonly #done: Promise<void>;

  constructor(pipe: ReadableStream<Uint8Array>, maxBytes: number) {
    this.#reader = pipe.getReader();
    this.#done = this.#read(maxBytes);
  }

  get text(): string {
    return new TextDecoder().decode(Buffer.concat(this.#chunks));
  }

  async end(drainMs: number): Promise<void> {
    const timer = setTimeout(() => {
      this.#reader.cancel().catch(() => {}); /* the read ends either way */
    }, drainMs);
    try {
      await this.#done;
    } finally {
      clearTimeout(timer);
    }
  }

  async #read(maxBytes: number): Promise<void> {
    let room = maxBytes;
    for (;;) {
      const { value, done } = await this.#reader.read();
      if (done || value === undefined) return;
      if (room > 0) this.#chunks.push(value.subarray(0, room));
      room -= value.byteLength;
    }
  }
}
