/** The events of a running step between the engine that hears them and the one who iterates its StepChannel. */
import type { StepEvent } from "./engine.ts";

/** In order, one reader; what comes after the last event, or after `close`, counts no more. */
export class StepEvents {
  readonly #unread: StepEvent[] = [];
  #wake: (() => void) | undefined;
  #isOver = false;

  /** The last event has come, or nobody reads any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  push(event: StepEvent): void {
    if (this.#isOver) return;
    this.#isOver = isLast(event);
    this.#unread.push(event);
    this.#wake?.();
  }

  /** Nobody waits for another event: who iterates gets what has come, and is done. */
  close(): void {
    this.#isOver = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<StepEvent> {
    for (;;) {
      const event = this.#unread.shift();
      if (event === undefined) {
        if (this.#isOver) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      yield event;
      if (isLast(event)) return;
    }
  }
}

function isLast({ kind }: StepEvent): boolean {
  return kind === "ended" || kind === "lost";
}
