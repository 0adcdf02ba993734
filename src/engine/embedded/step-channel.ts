/** A running step's streams: the connection between srun and the step daemon (step/wire.ts). */
import { connectFrames, JSON_FRAME, parseJsonFrame, type FrameConnection } from "#platform/frames.ts";
import { ERROR_FRAME, INPUT_FRAME, OUTPUT_FRAME, parseTaskFrame, taskFrame, type FromDaemon, type ToDaemon } from "#step/wire.ts";
import type { StepChannel, StepEvent, StepHooks } from "../engine.ts";
import { StepEvents } from "../step-events.ts";
import type { CreatedStep } from "./wire.ts";

/** How long to look for the daemon that takes over from one that was killed. */
const TAKE_OVER_MS = 15_000;
const RETRY_MS = 50;

/** How long a step daemon may take from its orders to its socket. */
const LISTEN_MS = 30_000;

/** The daemon has its orders when we hear of it, but may not listen yet. @throws the last failure to connect */
async function connectSoon(path: string): Promise<FrameConnection> {
  const deadline = performance.now() + LISTEN_MS;
  for (let waitMs = 0.2; ; waitMs = Math.min(waitMs * 2, 50)) {
    try {
      return await connectFrames(path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if ((code !== "ENOENT" && code !== "ECONNREFUSED") || performance.now() > deadline) throw error;
    }
    await Bun.sleep(waitMs);
  }
}

export class EmbeddedStepChannel implements StepChannel {
  readonly #socketPath: string;
  readonly #role: "attach" | "observe";
  #connection: FrameConnection;
  readonly #events = new StepEvents();

  /** Tasks start when it resolves. While `beforeStart` works the daemon waits, because we are connected. */
  static async attach(created: CreatedStep, beforeStart?: StepHooks["beforeStart"]): Promise<EmbeddedStepChannel> {
    const channel = new EmbeddedStepChannel(await connectSoon(created.socketPath), created.socketPath, "attach");
    channel.#events.push({ kind: "created", step: created.step, waited: created.waited });
    if (beforeStart !== undefined) channel.#say({ op: "preparing" });
    try {
      await beforeStart?.(created.step);
    } catch (error) {
      await channel[Symbol.asyncDispose]();
      throw error;
    }
    channel.#say({ op: "attach" });
    return channel;
  }

  /** Beside its srun; what the step said lately comes first. */
  static async observe(found: CreatedStep): Promise<EmbeddedStepChannel> {
    const channel = new EmbeddedStepChannel(await connectSoon(found.socketPath), found.socketPath, "observe");
    channel.#events.push({ kind: "created", step: found.step, waited: false });
    channel.#say({ op: "observe" });
    return channel;
  }

  private constructor(connection: FrameConnection, socketPath: string, role: "attach" | "observe") {
    this.#connection = connection;
    this.#socketPath = socketPath;
    this.#role = role;
    this.#listen(connection);
  }

  #listen(connection: FrameConnection): void {
    connection.handle({
      frame: (type, payload) => this.#take(type, payload),
      closed: () => {
        if (!this.#events.isOver) void this.#reattach();
      },
    });
  }

  /** The daemon was killed. Another one will listen at the same place. */
  async #reattach(): Promise<void> {
    for (
      const deadline = performance.now() + TAKE_OVER_MS;
      performance.now() < deadline && !this.#events.isOver;
      await Bun.sleep(RETRY_MS)
    ) {
      try {
        this.#connection = await connectFrames(this.#socketPath);
      } catch {
        continue;
      }
      this.#listen(this.#connection);
      this.#say({ op: this.#role });
      return;
    }
    this.#events.push({ kind: "lost" });
  }

  #take(type: number, payload: Uint8Array): void {
    if (type === OUTPUT_FRAME || type === ERROR_FRAME) {
      const { task, bytes } = parseTaskFrame(payload);
      this.#events.push({ kind: "output", task, stream: type === OUTPUT_FRAME ? "stdout" : "stderr", bytes: bytes.slice() });
    } else if (type === JSON_FRAME) {
      const event = stepEvent(parseJsonFrame(payload) as FromDaemon);
      if (event !== undefined) this.#events.push(event);
    }
  }

  [Symbol.asyncIterator](): AsyncIterator<StepEvent> {
    return this.#events[Symbol.asyncIterator]();
  }

  #say(message: ToDaemon): boolean {
    return this.#connection.sendJson(message);
  }

  writeInput(bytes: Uint8Array, task: number | null): boolean {
    return this.#connection.send(INPUT_FRAME, taskFrame(task ?? -1, bytes));
  }

  drained(): Promise<void> {
    return this.#connection.drained();
  }

  closeInput(task: number | null = null): void {
    this.#say({ op: "eof", task });
  }

  sendSignal(signal: number): void {
    this.#say({ op: "signal", signal, scope: "steps" });
  }

  terminate(options: { readonly hard: boolean }): void {
    this.#say({ op: "terminate", reason: options.hard ? "cancelled" : "badExit", hard: options.hard });
  }

  resize(size: { readonly rows: number; readonly columns: number }): void {
    this.#say({ op: "resize", ...size });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#events.close();
    this.#connection.end();
    return Promise.resolve();
  }
}

function stepEvent(event: FromDaemon): StepEvent | undefined {
  switch (event.event) {
    case "launchFailed":
      return { kind: "launchFailed", node: event.node, message: event.message, errno: event.errno, hint: event.hint };
    case "started":
      return { kind: "started", task: event.task, node: event.node };
    case "exited":
      return { kind: "exited", task: event.task, node: event.node, status: event.status };
    case "aborting":
      return { kind: "aborting", reason: event.reason };
    case "message":
      return { kind: "message", text: event.text };
    case "ended":
      return { kind: "ended", exit: event.result.exit };
    case "spare":
    case "runtime":
    case "ready":
      return undefined;
  }
}
