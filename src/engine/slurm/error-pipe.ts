/**
 * The standard error of a step with one task: srun writes it to a FIFO of ours (--error), and keeps its own words for its own
 * standard error. Without labels srun passes bytes on as they are; with labels it may end a line where a message ended.
 */
import { closeSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { directories } from "#platform/directories.ts";
import { ensurePrivateDir } from "#platform/private-directory.ts";
import { identify, isAlive } from "#platform/process-tree.ts";
import { makeOutputFifo, pumpOutput, type FifoEnds } from "#platform/pipes.ts";

/** Younger ones are left alone, whatever their names say: a process of another pid namespace may wait for its srun to open one. */
const SWEEP_AFTER_MS = 10 * 60_000;

/** `srun-PID.START-XXXXXX` */
function directoryPrefix(): string {
  const { pid, startTicks } = identify(process.pid) ?? { pid: process.pid, startTicks: 0 };
  return `srun-${pid}.${startTicks}-`;
}

/** What processes that were killed have left. */
function sweep(dir: string): void {
  for (const name of readdirSync(dir)) {
    const [, pid, startTicks] = /^srun-(\d+)\.(\d+)-/.exec(name) ?? [];
    if (pid === undefined || isAlive({ pid: Number(pid), startTicks: Number(startTicks) })) continue;
    const made = statSync(join(dir, name), { throwIfNoEntry: false })?.mtimeMs ?? Number.POSITIVE_INFINITY;
    if (Date.now() - made > SWEEP_AFTER_MS) rmSync(join(dir, name), { recursive: true, force: true });
  }
}

export class ErrorPipe implements Disposable {
  readonly path: string;
  readonly #dir: string;
  readonly #ends: FifoEnds;
  #isClosed = false;

  constructor() {
    const runtime = ensurePrivateDir(directories().runtime);
    sweep(runtime);
    this.#dir = mkdtempSync(join(runtime, directoryPrefix()));
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
