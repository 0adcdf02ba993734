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
/** Where daemons cannot be started, or end before they can connect (no more processes, no memory), that is tried less and less often. */
const MAX_REFILL_MS = 5000;

export class DaemonPool {
  readonly #start: () => void;
  readonly #onFailure: (error: unknown) => void;
  readonly #onRuntime: (path: string) => void;
  readonly #spares: FrameConnection[] = [];
  readonly #takers: ((daemon: FrameConnection) => void)[] = [];
  #starting = 0;
  /** Starts that came to nothing, since one came to something. */
  #failures = 0;
  #refill: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  /**
   * @param start starts a daemon, which will connect and be handed to `add`; what it throws is told, and it is called again
   * @param hears.onRuntime is told by a spare which runtime containers will run with
   */
  constructor(
    start: () => void,
    hears: { readonly onFailure?: (error: unknown) => void; readonly onRuntime?: (path: string) => void } = {},
  ) {
    this.#start = start;
    this.#onFailure = hears.onFailure ?? (() => undefined);
    this.#onRuntime = hears.onRuntime ?? (() => undefined);
  }

  add(daemon: FrameConnection): void {
    this.#starting = Math.max(0, this.#starting - 1);
    this.#failures = 0;
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
    if (this.#starting > 0) this.#failures++;
    this.#starting = Math.max(0, this.#starting - 1);
    if (this.#takers.length > 0) this.#scheduleRefill();
  }

  fill(): void {
    if (this.#isStopped) return;
    const wanted = SPARE_DAEMONS + this.#takers.length - this.#spares.length - this.#starting;
    for (let i = 0; i < wanted; i++) {
      try {
        this.#start();
        this.#starting++;
      } catch (error) {
        this.#failures++;
        this.#onFailure(error);
        this.#scheduleRefill();
        return;
      }
    }
  }

  #scheduleRefill(): void {
    this.#refill ??= setTimeout(
      () => {
        this.#refill = undefined;
        this.fill();
      },
      Math.min((this.#spares.length === 0 ? REFILL_EMPTY_MS : REFILL_MS) * 2 ** this.#failures, MAX_REFILL_MS),
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
