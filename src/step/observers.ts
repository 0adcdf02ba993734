/**
 * Who looks on at a step besides its srun (sattach): each gets what the step said lately, then what it says. One that does
 * not keep up misses output, and is told how much; tasks never wait for it.
 */
import type { FrameConnection } from "#platform/frames.ts";
import { OutputMemory } from "./output-memory.ts";
import { taskFrame, type FromDaemon } from "./wire.ts";

export class Observers {
  readonly #memory = new OutputMemory();
  /** Bytes of output that a slow one has missed; null while it keeps up. */
  readonly #allGone = Promise.withResolvers<void>();
  readonly #missed = new Map<FrameConnection, number | null>();

  add(connection: FrameConnection, events: Iterable<FromDaemon>): void {
    const [running, ended] = [[], []] as [FromDaemon[], FromDaemon[]];
    for (const event of events) (event.event === "exited" ? ended : running).push(event);
    for (const event of running) connection.sendJson(event);
    for (const { type, rank, bytes } of this.#memory) connection.send(type, taskFrame(rank, bytes));
    for (const event of ended) connection.sendJson(event);
    this.#missed.set(connection, null);
  }

  remove(connection: FrameConnection): void {
    this.#missed.delete(connection);
    if (this.#missed.size === 0) this.#allGone.resolve();
  }

  /** Resolves when, after `end`, the last one has gone. */
  get gone(): Promise<void> {
    return this.#missed.size === 0 ? Promise.resolve() : this.#allGone.promise;
  }

  event(event: FromDaemon): void {
    for (const connection of this.#missed.keys()) connection.sendJson(event);
  }

  output(type: number, rank: number, bytes: Uint8Array): void {
    this.#memory.add({ type, rank, bytes });
    if (this.#missed.size === 0) return;
    const frame = taskFrame(rank, bytes);
    for (const [connection, missed] of this.#missed) {
      if (missed !== null) this.#missed.set(connection, missed + bytes.byteLength);
      else if (!connection.send(type, frame)) void this.#waitFor(connection);
    }
  }

  async #waitFor(connection: FrameConnection): Promise<void> {
    this.#missed.set(connection, 0);
    await connection.drained();
    const missed = this.#missed.get(connection);
    if (missed === undefined) return;
    this.#missed.set(connection, null);
    if (missed !== null && missed > 0)
      connection.sendJson({ event: "message", text: `${missed} bytes of output are missing: they came too fast` });
  }

  end(): void {
    for (const connection of this.#missed.keys()) connection.end();
  }
}
