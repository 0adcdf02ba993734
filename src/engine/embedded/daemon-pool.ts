/**
 * Step daemons that wait for a step. Starting one takes longer than running a short step, so a few are started ahead, and
 * they come back when their step is over. A new one is started a moment after one was taken, so that it does not compete
 * with the step's own start.
 */
import { parseJsonFrame, type FrameConnection } from "#platform/frames.ts";
import type { FromDaemon, ToDaemon } from "#step/wire.ts";

export const SPARE_DAEMONS = 2;
/** With none left the next step would wait for a start; with one left the taken daemon may be back before it is missed. */
const REFILL_EMPTY_MS = 20;
const REFILL_MS = 500;

export class DaemonPool {
  readonly #start: () => void;
  readonly #onRuntime: (path: string) => void;
  readonly #spares: FrameConnection[] = [];
  readonly #takers: ((daemon: FrameConnection) => void)[] = [];
  #starting = 0;
  #refill: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  /**
   * @param start starts a daemon, which will connect and be handed to `add`
   * @param onRuntime hears from a spare which runtime containers will run with
   */
  constructor(start: () => void, onRuntime: (path: string) => void = () => undefined) {
    this.#start = start;
    this.#onRuntime = onRuntime;
  }

  add(daemon: FrameConnection): void {
    this.#starting = Math.max(0, this.#starting - 1);
    const taker = this.#takers.shift();
    if (taker !== undefined) {
      taker(daemon);
      return;
    }
    if (this.#spares.length >= SPARE_DAEMONS) {
      dismiss(daemon); // several were started for takers that others served meanwhile
      return;
    }
    this.#spares.push(daemon);
    daemon.handle({
      frame: (_type, payload) => {
        const message = parseJsonFrame(payload) as FromDaemon;
        if (message.event === "runtime") this.#onRuntime(message.path);
      },
      closed: () => {
        const index = this.#spares.indexOf(daemon);
        if (index >= 0) this.#spares.splice(index, 1);
      },
    });
  }

  take(): Promise<FrameConnection> {
    const spare = this.#spares.shift();
    this.#scheduleRefill();
    if (spare !== undefined) return Promise.resolve(spare);
    const { promise, resolve } = Promise.withResolvers<FrameConnection>();
    this.#takers.push(resolve);
    this.fill();
    return promise;
  }

  /** A daemon has ended; maybe before it could connect, and then somebody may wait for it. */
  lost(): void {
    this.#starting = Math.max(0, this.#starting - 1);
    if (this.#takers.length > 0) this.#scheduleRefill();
  }

  fill(): void {
    if (this.#isStopped) return;
    const wanted = SPARE_DAEMONS + this.#takers.length - this.#spares.length - this.#starting;
    for (let i = 0; i < wanted; i++) {
      this.#starting++;
      this.#start();
    }
  }

  #scheduleRefill(): void {
    this.#refill ??= setTimeout(
      () => {
        this.#refill = undefined;
        this.fill();
      },
      this.#spares.length === 0 ? REFILL_EMPTY_MS : REFILL_MS,
    );
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#refill);
    for (const spare of this.#spares.splice(0)) dismiss(spare);
  }
}

/** Tells a spare that it is not needed: a connection that just closes would look like a controller that was killed. */
function dismiss(daemon: FrameConnection): void {
  daemon.sendJson({ op: "dismiss" } satisfies ToDaemon);
  daemon.end();
}
