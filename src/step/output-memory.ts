/** The last output of a step, for whoever attaches later: Slurm's step daemon shows what it still has, too. */
export interface RememberedFrame {
  readonly type: number;
  readonly rank: number;
  readonly bytes: Uint8Array;
}

const MAX_BYTES = 256 * 1024;
/** Short lines cost more than their bytes. */
const FRAME_BYTES = 64;

export class OutputMemory {
  #frames: RememberedFrame[] = [];
  #bytes = 0;
  /** Frames at the beginning that are forgotten, and not cut off yet. */
  #forgotten = 0;

  /** Keeps a copy: a stream's bytes may be a small part of a large buffer. */
  add({ type, rank, bytes }: RememberedFrame): void {
    this.#frames.push({ type, rank, bytes: bytes.slice() });
    this.#bytes += bytes.byteLength + FRAME_BYTES;
    while (this.#bytes > MAX_BYTES && this.#forgotten < this.#frames.length - 1) {
      this.#bytes -= (this.#frames[this.#forgotten++]?.bytes.byteLength ?? 0) + FRAME_BYTES;
    }
    if (this.#forgotten * 2 > this.#frames.length) {
      this.#frames = this.#frames.slice(this.#forgotten);
      this.#forgotten = 0;
    }
  }

  [Symbol.iterator](): Iterator<RememberedFrame> {
    return this.#frames.slice(this.#forgotten)[Symbol.iterator]();
  }
}
