/**
 * Requests of a command to the controller and their answers (wire.ts), over as many connections as it takes: the controller
 * is started when there is none, and found again when it was killed. What may be repeated is then asked again.
 */
import { slurmError } from "#job/errors.ts";
import { VERSION } from "#job/version.ts";
import { parseJsonFrame, type FrameConnection } from "#platform/frames.ts";
import type { Cancellable } from "../engine.ts";
import { unpackRecords } from "./packed-records.ts";
import { enginePaths, type Paths } from "./paths.ts";
import { connectToController } from "./start.ts";
import { fromWire } from "./wire-error.ts";
import { MOVED, type AllocationNews, type Answer, type Operation, type Operations } from "./wire.ts";

interface Pending {
  readonly parts: unknown[];
  readonly onEvent: ((event: AllocationNews) => void) | undefined;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/** The controller went away in the middle of a request. */
export class ConnectionLost extends Error {}

/** A controller in a container engine's user namespace has done nothing but end, because we are outside. */
class Moved extends ConnectionLost {}

/** Its lock goes with it. */
const MOVE_MS = 60;

/** Whether an operation may be repeated when nobody knows whether it was done. */
const IS_REPEATABLE: Readonly<Record<Operation, boolean>> = {
  info: true,
  submit: true, // it has a token
  allocate: false, // its holder repeats it (held-allocation.ts)
  resumeAllocation: true,
  releaseAllocation: true,
  detachAllocation: true,
  findAllocation: true,
  createStep: false,
  measureSteps: true,
  findStep: true,
  createOwnStep: false,
  ownStepReady: true,
  tryJob: true,
  cancel: true,
  cancelEach: true,
  signal: false,
  hold: true,
  release: true,
  notify: false,
  requeue: false,
  suspend: false,
  resume: false,
  update: false,
  updateNodes: false,
  updatePartition: false,
  jobs: true,
  steps: true,
  processes: true,
  nodes: true,
  partitions: true,
  config: true,
  accounting: true,
  batchScript: true,
  waitForEnd: true,
  status: true,
  stop: false,
};
const ATTEMPTS = 5;

export class ControllerCalls implements Disposable {
  #connection: Promise<FrameConnection> | undefined;
  /** What `#connection` came to; one that is still being made is not waited for at the end. */
  #established: FrameConnection | undefined;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #isDisposed = false;

  readonly #onStart: () => Promise<void>;

  /** `onStart`: a controller had to be started first. */
  constructor(onStart: () => Promise<void> = () => Promise.resolve()) {
    this.#onStart = onStart;
  }

  /** Found once: an anchor's host name changes when it stands in its container's namespaces. */
  #paths: Paths | undefined;

  get isDisposed(): boolean {
    return this.#isDisposed;
  }

  async #connect(): Promise<FrameConnection> {
    this.#paths ??= enginePaths();
    const connection = await connectToController(this.#paths, this.#onStart);
    this.#established = connection;
    if (this.#isDisposed) connection.end();
    connection.handle({
      frame: (_type, payload) => this.#take(parseJsonFrame(payload) as Answer),
      closed: () => {
        this.#connection = undefined;
        for (const [id, pending] of this.#pending) {
          this.#pending.delete(id);
          pending.reject(new ConnectionLost("the controller has gone away"));
        }
      },
    });
    return connection;
  }

  #take(answer: Answer): void {
    const pending = this.#pending.get(answer.id);
    if (pending === undefined) return;
    if ("part" in answer) {
      pending.parts.push(...answer.part);
      return;
    }
    if ("packed" in answer) {
      for (const record of unpackRecords(answer.packed)) pending.parts.push(record);
      return;
    }
    if ("event" in answer) {
      pending.onEvent?.(answer.event);
      return;
    }
    this.#pending.delete(answer.id);
    if ("error" in answer) {
      if (answer.error.code === MOVED) {
        const { message } = answer.error;
        this.#connection = undefined;
        setTimeout(() => pending.reject(new Moved(message)), MOVE_MS);
        return;
      }
      pending.reject(fromWire(answer.error));
    } else pending.resolve(answer.result ?? pending.parts);
  }

  /** Asks again when the controller was killed meanwhile, if asking twice is harmless. @throws BerthError */
  async call<Op extends Operation>(
    op: Op,
    args: Operations[Op]["args"],
    options: Cancellable & { readonly onEvent?: (event: AllocationNews) => void },
  ): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.callOnce(op, args, options);
      } catch (error) {
        const isHarmless = error instanceof Moved || IS_REPEATABLE[op];
        if (!(error instanceof ConnectionLost) || !isHarmless || attempt === ATTEMPTS) {
          throw error instanceof ConnectionLost ? slurmError("CONTROLLER_DOWN", { cause: error }) : error;
        }
      }
    }
  }

  /** @throws ConnectionLost when the controller goes away before it has answered */
  async callOnce<Op extends Operation>(
    op: Op,
    args: Operations[Op]["args"],
    options: Cancellable & { readonly onEvent?: (event: AllocationNews) => void },
  ): Promise<unknown> {
    options.signal.throwIfAborted();
    this.#connection ??= this.#connect();
    let connection: FrameConnection;
    try {
      connection = await this.#connection;
    } catch (error) {
      this.#connection = undefined;
      throw error;
    }
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(id, { parts: [], onEvent: options.onEvent, resolve, reject });
    connection.sendJson({ id, version: VERSION, op, args });
    const onAbort = () => reject(options.signal.reason);
    options.signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await promise;
    } finally {
      options.signal.removeEventListener("abort", onAbort);
      this.#pending.delete(id);
    }
  }

  /** No connection is waited for; what is still asked is not answered any more. */
  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#established?.end();
  }
}
