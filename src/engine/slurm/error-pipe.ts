/**
 * The standard error of a step with one task: srun writes it to a FIFO of ours (--error), and keeps its own words for its own
 * standard error. Without labels srun passes bytes on as they are; with labels it may end a line where a message ended.
 */
import { closeSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { directories, ensurePrivateDir } from "#platform/directories.ts";
import { makeOutputFifo, pumpOutput, type FifoEnds } from "#platform/pipes.ts";

export class ErrorPipe implements Disposable {
  readonly path: string;
  readonly #dir: string;
  readonly #ends: FifoEnds;
  #isClosed = false;

  constructor() {
    this.#dir = mkdtempSync(join(ensurePrivateDir(directories().runtime), "srun-"));
    this.path = join(this.#dir, "stderr");
    this.#ends = makeOutputFifo(this.path);
  }

  async read(onBytes: (bytes: Uint8Array) => void): Promise<void> {
    await pumpOutput(this.#ends.ourFd, (bytes) => {
      onBytes(bytes);
      return undefined;
    });
  }

  /** When srun has ended: the reader comes to the end then. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#ends.taskFd);
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
