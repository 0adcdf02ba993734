/**
 * Streams between a step daemon and its tasks, as FIFOs (fifo(7)) instead of anonymous pipes:
 *
 * - a task's end of an output is opened for reading and writing, so that a write never fails while no daemon
 *   reads: when the step daemon is killed, the task blocks at the most, and a successor opens the FIFO again;
 * - it is a pipe to the task, not a socket, so `/dev/stdout` can be opened again by name.
 *
 * End of file reaches the reader when the last process that has the task's end has closed it.
 */
import { closeSync, constants, openSync, rmSync } from "node:fs";
import { makeFifo } from "./libc.ts";

export interface FifoEnds {
  /** For the task; the caller closes it after the spawn. */
  readonly taskFd: number;
  readonly ourFd: number;
}

/** Replaces what is at `path`. */
export function makeOutputFifo(path: string): FifoEnds {
  rmSync(path, { force: true }); // of a daemon that was killed before its task started
  makeFifo(path, 0o600);
  return openOutputFifo(path);
}

function openOutputFifo(path: string): FifoEnds {
  const ourFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return { ourFd, taskFd: openSync(path, constants.O_RDWR) };
}

/**
 * Another reader on a FIFO whose task runs already, or has ended meanwhile. In the latter case poll(2) never tells of an end of file, because it looks only
 * for writers that came after the reader: one comes, and goes.
 */
export function reopenOutputFifo(path: string): number {
  const ourFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
  return ourFd;
}

/** What is in a FIFO is lost when nobody has it open: keeps it until the successor of a killed reader comes. Undefined when it cannot be had. */
export function holdFifo(path: string): Disposable | undefined {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return { [Symbol.dispose]: () => closeSync(fd) };
  } catch {
    return undefined;
  }
}

export function makeInputFifo(path: string): FifoEnds {
  rmSync(path, { force: true }); // of a daemon that was killed before its task started
  makeFifo(path, 0o600);
  // Opening one end alone would block or fail, so both are held open for a moment.
  const both = openSync(path, constants.O_RDWR);
  try {
    return { taskFd: openSync(path, constants.O_RDONLY), ourFd: openSync(path, constants.O_WRONLY | constants.O_NONBLOCK) };
  } finally {
    closeSync(both);
  }
}

/** Calls `onBytes` until end of file, waiting whenever it returns a promise; closes `fd`. Never rejects. */
export async function pumpOutput(fd: number, onBytes: (bytes: Uint8Array) => Promise<void> | undefined): Promise<void> {
  try {
    for await (const bytes of Bun.file(fd).stream()) await onBytes(bytes);
  } finally {
    closeSync(fd);
  }
}

/** The writing end of a task's input, with a bounded queue. A task that has gone swallows what is written. */
export class InputWriter {
  readonly #fd: number;
  readonly #sink: Bun.FileSink;
  #pending: Promise<unknown> | undefined;
  #pendingBytes = 0;
  #isClosed = false;

  constructor(fd: number) {
    this.#fd = fd;
    this.#sink = Bun.file(fd).writer({ highWaterMark: 64 * 1024 });
  }

  /** Resolves when the bytes are on their way: await it before the next write. */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#isClosed) return;
    this.#pendingBytes += bytes.byteLength;
    const turn = (this.#pending ?? Promise.resolve()).then(async () => {
      if (this.#isClosed) return;
      await this.#sink.write(bytes);
      await this.#sink.flush();
    });
    this.#pending = turn.catch(() => {
      this.#isClosed = true;
    }); // EPIPE: nobody reads any more
    await this.#pending;
    this.#pendingBytes -= bytes.byteLength;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** End of file for the task, after everything written. */
  async end(): Promise<void> {
    await this.#pending;
    this.close();
  }

  close(): void {
    if (this.#isClosed && this.#pending === undefined) return;
    this.#isClosed = true;
    this.#pending = undefined;
    try {
      void Promise.resolve(this.#sink.end()).catch(() => undefined);
    } catch {
      /* broken pipe while flushing */
    }
    try {
      closeSync(this.#fd);
    } catch {
      /* closed already */
    }
  }
}
