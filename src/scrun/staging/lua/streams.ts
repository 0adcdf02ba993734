/** Reading what the interpreter writes: bytes of a FIFO until its end, or until nobody wants them any more; and lines of them. */
import { closeSync } from "node:fs";

/** A longer line comes in pieces. */
const MAX_LINE = 64 * 1024;

export class FifoReader {
  readonly #reader: { read(): Promise<{ readonly value?: Uint8Array | undefined; readonly done: boolean }>; cancel(): Promise<void> };
  /** At the end of the file: everybody has closed the other end. */
  readonly done: Promise<void>;

  /** Owns `fd`. */
  constructor(fd: number, onBytes: (bytes: Uint8Array) => void) {
    this.#reader = Bun.file(fd).stream().getReader();
    this.done = this.#read(onBytes).finally(() => closeSync(fd));
  }

  async close(): Promise<void> {
    await this.#reader.cancel().catch(() => undefined); // at its end already
    await this.done;
  }

  async #read(onBytes: (bytes: Uint8Array) => void): Promise<void> {
    for (;;) {
      const { value, done } = await this.#reader.read();
      if (done || value === undefined) return;
      onBytes(value);
    }
  }
}

export class LineSplitter {
  readonly #decoder = new TextDecoder();
  readonly #onLine: (line: string) => void;
  #rest = "";

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  push(bytes: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#onLine(line);
    if (this.#rest.length < MAX_LINE) return;
    this.#onLine(this.#rest);
    this.#rest = "";
  }

  /** What has no line end. */
  end(): void {
    if (this.#rest !== "") this.#onLine(this.#rest);
    this.#rest = "";
  }
}
