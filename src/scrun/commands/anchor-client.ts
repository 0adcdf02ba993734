/** A command's end of the conversation with a container's anchor (anchor-wire.ts). */
import { connectFrames, parseJsonFrame, type FrameConnection } from "#platform/frames.ts";
import type { FromAnchor, ToAnchor } from "../anchor-wire.ts";
import type { ContainerPlace } from "../place.ts";

export class AnchorClient implements Disposable {
  readonly #connection: FrameConnection;
  readonly #messages: FromAnchor[] = [];
  #wake: (() => void) | undefined;
  #isClosed = false;

  /** Undefined when no anchor listens: the container has ended, or its anchor was killed. */
  static async find(place: ContainerPlace): Promise<AnchorClient | undefined> {
    try {
      return new AnchorClient(await connectFrames(place.socket()));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ECONNREFUSED" || code === "ECONNRESET") return undefined;
      throw error;
    }
  }

  private constructor(connection: FrameConnection) {
    this.#connection = connection;
    connection.handle({
      frame: (_type, payload) => {
        this.#messages.push(parseJsonFrame(payload) as FromAnchor);
        this.#wake?.();
      },
      closed: () => {
        this.#isClosed = true;
        this.#wake?.();
      },
    });
  }

  say(message: ToAnchor): void {
    this.#connection.sendJson(message);
  }

  /** Undefined when the anchor has gone. */
  async next(): Promise<FromAnchor | undefined> {
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined || this.#isClosed) return message;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async ask(message: ToAnchor): Promise<FromAnchor | undefined> {
    this.say(message);
    return await this.next();
  }

  [Symbol.dispose](): void {
    this.#connection.end();
  }
}
