/** What the tasks of a step get to read: our own standard input, a file, or nothing (commands.md §2.5). */
import type { StepChannel } from "#engine/engine.ts";
import { closeFd, findStatus } from "#platform/system.ts";

export type InputSource =
  | { readonly kind: "none" }
  /** Shared: somebody else gives input too. */
  | { readonly kind: "own"; readonly task: number | null; readonly isShared?: boolean }
  | { readonly kind: "file"; readonly fd: number };

/** Forwards standard input, or a file, until its end or the step's. */
export class InputForwarder {
  #isStopped = false;

  static start(channel: StepChannel, source: InputSource): InputForwarder {
    const forwarder = new InputForwarder();
    if (source.kind === "none") channel.closeInput();
    else void forwarder.#forward(channel, source);
    return forwarder;
  }

  async #forward(channel: StepChannel, source: Exclude<InputSource, { kind: "none" }>): Promise<void> {
    const fd = source.kind === "file" ? source.fd : 0;
    const stream = findStatus(fd)?.kind === "file" ? readOn(fd) : fd === 0 ? Bun.stdin.stream() : Bun.file(fd).stream();
    try {
      for await (const bytes of stream) {
        if (this.#isStopped) return;
        if (!channel.writeInput(bytes, source.kind === "own" ? source.task : null)) await channel.drained();
      }
    } catch {
      // A closed or unreadable standard input is an empty one.
    } finally {
      if (source.kind === "file") closeFd(source.fd);
      // An srun that feeds one task leaves the others nothing to wait for; of sattach the others' input is none of its business.
      if (!this.#isStopped) channel.closeInput(source.kind === "own" && source.isShared === true ? source.task : null);
    }
  }

  stop(): void {
    this.#isStopped = true;
  }
}

/** From where the file stands, which moves for everybody who has it open: Bun's streams begin at the start, and leave it there. */
async function* readOn(fd: number): AsyncGenerator<Uint8Array> {
  const [{ read: readFile }, { promisify }] = await Promise.all([import("node:fs"), import("node:util")]);
  const read = promisify(readFile);
  for (;;) {
    const { bytesRead, buffer } = await read(fd, Buffer.allocUnsafe(64 * 1024), 0, 64 * 1024, null);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}
