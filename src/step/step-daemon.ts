/**
 * The daemon of one step: it runs the step, listens at the step's own socket, and goes on when the controller dies.
 *
 *   controllers   end and signal the step, are told how it ended; the first one is who sent us
 *   srun          attaches, gets the tasks' output and gives them input; the tasks wait for it, and end with it
 *   observers     look on (sattach)
 *
 * The result stays in the journal until a controller has committed it and says `acknowledged`; only then the spool
 * directory goes. A daemon that nobody acknowledges leaves the spool behind and ends; the next controller reads it.
 */
import { existsSync, rmSync } from "node:fs";
import type { RuntimeCopy } from "#container/runtime-copy.ts";
import { JSON_FRAME, type FrameConnection } from "#platform/frames.ts";
import { LastingListener } from "#platform/lasting-listener.ts";
import type { StepResult } from "./journal.ts";
import { Observers } from "./observers.ts";
import { readPlan } from "./plan.ts";
import { RunningStep } from "./running-step.ts";
import type { StepLock } from "./step-lock.ts";
import {
  ERROR_FRAME,
  INPUT_FRAME,
  OUTPUT_FRAME,
  parseTaskFrame,
  parseToDaemon,
  TASK_HEADER,
  taskFrame,
  type FromDaemon,
  type ToDaemon,
} from "./wire.ts";

/** How long srun may take to attach before its step is given up. */
const ATTACH_MS = 60_000;
/** How long an srun whose step daemon was killed may take to find the next one. */
const REATTACH_MS = 10_000;
/** How long the result waits for a controller before the daemon leaves it in the spool. */
const ACKNOWLEDGE_MS = 20_000;
/** How long an srun that has not attached yet is waited for when its step is over. */
const LATE_CLIENT_MS = 2000;
/** How often it is looked meanwhile whether the spool is still there. */
const LOOK_FOR_SPOOL_MS = 200;

export interface Orders {
  readonly spoolDir: string;
  readonly runtimeCopy: RuntimeCopy | null;
  /** What the controller said after "run", before the step could hear it: a job may be cancelled as soon as it runs. */
  readonly early: readonly ToDaemon[];
}

export class StepDaemon {
  readonly #spoolDir: string;
  readonly #lock: StepLock;
  readonly #step: RunningStep;
  readonly #controllers = new Set<FrameConnection>();
  readonly #started = Promise.withResolvers<void>();
  readonly #attached = Promise.withResolvers<void>();
  readonly #served = Promise.withResolvers<void>();
  readonly #acknowledged = Promise.withResolvers<void>();
  readonly #clientGone = Promise.withResolvers<void>();
  #client: FrameConnection | undefined;
  readonly #observers = new Observers();
  /** The connection of an srun that runs its prolog. */
  #preparing: FrameConnection | undefined;
  #isReady = false;
  #result: StepResult | undefined;
  #isAcknowledged = false;
  #isConcluded = false;
  /** Input that comes before the tasks exist waits for them. */
  #inputQueue: Promise<unknown> = this.#started.promise;
  /** After a take-over output waits for srun to come back; at any other time there is one, or nobody wants it. */
  #mayDrop = false;

  constructor({ spoolDir, early }: Orders, controller: FrameConnection, lock: StepLock) {
    this.#lock = lock;
    this.#spoolDir = spoolDir;
    this.#step = new RunningStep(spoolDir, readPlan(spoolDir), {
      event: (event) => this.#publish(event),
      output: (rank, stream, bytes) => this.#sendOutput(rank, stream === "stdout" ? OUTPUT_FRAME : ERROR_FRAME, bytes),
    });
    this.#adopt(controller);
    for (const message of early) this.#obey(message);
  }

  async run(): Promise<void> {
    const { plan } = this.#step;
    const listener = new LastingListener(plan.socketPath, (connection) => this.#welcome(connection));
    const renew = () => listener.renew();
    process.on("SIGHUP", renew);
    try {
      this.#result = await this.#runStep();
      await this.#step.cleanUp();
      await this.#deliverResult(this.#result);
    } finally {
      process.off("SIGHUP", renew);
      listener.stop();
      this.#step.close();
    }
  }

  async #runStep(): Promise<StepResult> {
    const { plan } = this.#step;
    // srun has to be there to see a launch fail; until then its container can be prepared.
    const opening = this.#step.open();
    if (this.#step.isTakeOver) {
      this.#sayReady();
      await opening;
      const ended = this.#step.start(() => this.#started.resolve());
      if (!plan.isBatch) await Promise.race([this.#attached.promise, Bun.sleep(REATTACH_MS), ended]);
      this.#mayDrop = true;
      if (!plan.isBatch && this.#client === undefined) this.#step.terminate("clientLost", true);
      return await ended;
    }
    if (!plan.isBatch) {
      this.#sayReady();
      await Promise.race([this.#attached.promise, this.#abandoned()]);
      if (this.#client === undefined) this.#step.terminate("clientLost", true);
    }
    const failure = await opening;
    if (plan.isBatch) this.#sayReady();
    if (failure === undefined) return await this.#step.start(() => this.#started.resolve());
    if (failure.launchFailure !== null) {
      this.#publish({ event: "launchFailed", node: plan.facts.nodes[0]?.name ?? "", ...failure.launchFailure });
    }
    return failure;
  }

  /** Nobody came in time. For the prolog of an srun there is no limit. */
  async #abandoned(): Promise<void> {
    do await Bun.sleep(ATTACH_MS);
    while (this.#preparing !== undefined);
  }

  #sayReady(): void {
    this.#isReady = true;
    for (const controller of this.#controllers) controller.sendJson({ event: "ready" } satisfies FromDaemon);
  }

  /** The controller commits first, so that accounting is true when srun ends. */
  async #deliverResult(result: StepResult): Promise<void> {
    for (const controller of this.#controllers) controller.sendJson({ event: "ended", result } satisfies FromDaemon);
    await this.#waitForAcknowledgement();
    // An srun whose step was ended at once may not have come yet: it would look for us in vain.
    if (this.#client === undefined && !this.#step.plan.isBatch) await Promise.race([this.#served.promise, Bun.sleep(LATE_CLIENT_MS)]);
    this.#isConcluded = true;
    this.#publish({ event: "ended", result });
    this.#client?.end();
    this.#observers.end();
    if (this.#isAcknowledged) this.#removeSpool();
    const all = Promise.all([this.#client === undefined ? undefined : this.#clientGone.promise, this.#observers.gone]);
    await Promise.race([all, Bun.sleep(1000)]);
  }

  /** What a controller that hears of our end too late finds here, it removes. */
  #removeSpool(): void {
    if (this.#lock.isInPlace()) rmSync(this.#spoolDir, { recursive: true, force: true });
  }

  /** A controller that came while we did not listen yet has read the result in the journal, and taken the spool away. */
  async #waitForAcknowledgement(): Promise<void> {
    const deadline = performance.now() + ACKNOWLEDGE_MS;
    while (!this.#isAcknowledged && performance.now() < deadline && existsSync(this.#spoolDir))
      await Promise.race([this.#acknowledged.promise, Bun.sleep(LOOK_FOR_SPOOL_MS)]);
  }

  #welcome(connection: FrameConnection): void {
    connection.handle({
      frame: (type, payload) => {
        const message = type === JSON_FRAME ? parseToDaemon(payload) : undefined;
        if (message === undefined) connection.close();
        else if (message.op === "preparing") this.#preparing = connection;
        else if (message.op === "control") this.#adopt(connection);
        else if (message.op === "observe") this.#show(connection);
        else if (message.op === "attach" && this.#client === undefined && !this.#step.plan.isBatch) this.#serve(connection);
        else connection.close();
      },
      closed: () => {
        if (this.#preparing === connection) this.#attached.resolve(); // it will not come any more
      },
    });
  }

  #adopt(connection: FrameConnection): void {
    this.#controllers.add(connection);
    connection.handle({
      frame: (_type, payload) => {
        const message = parseToDaemon(payload);
        if (message === undefined) connection.close();
        else this.#obey(message);
      },
      closed: () => {
        this.#controllers.delete(connection);
      },
    });
    if (this.#isReady) connection.sendJson({ event: "ready" } satisfies FromDaemon);
    if (this.#result !== undefined) connection.sendJson({ event: "ended", result: this.#result } satisfies FromDaemon);
  }

  #obey(message: ToDaemon): void {
    switch (message.op) {
      case "terminate":
        this.#step.terminate(message.reason, message.hard);
        this.#attached.resolve();
        break;
      case "signal":
        this.#step.signal(message.signal, message.scope);
        break;
      case "message":
        // A batch step has no srun to tell.
        if (this.#step.plan.isBatch) this.#step.say(`slurmstepd: error: ${message.text}`);
        else this.#publish({ event: "message", text: message.text });
        break;
      case "acknowledged":
        this.#isAcknowledged = true;
        this.#acknowledged.resolve();
        break;
      default:
        break; // `run` and `control` came already; the others are srun's
    }
  }

  #serve(connection: FrameConnection): void {
    this.#client = connection;
    this.#served.resolve();
    connection.handle({
      frame: (type, payload) => this.#takeFrame(connection, type, payload),
      closed: () => {
        this.#clientGone.resolve();
        // srun is gone: nobody wants the step any more (lifecycle §10).
        if (!this.#isConcluded) this.#step.terminate("clientLost", true);
      },
    });
    for (const event of this.#step.replay()) connection.sendJson(event);
    this.#attached.resolve();
  }

  #show(connection: FrameConnection): void {
    connection.handle({
      frame: (type, payload) => this.#takeFrame(connection, type, payload),
      closed: () => this.#observers.remove(connection),
    });
    this.#observers.add(connection, this.#step.replay());
    if (!this.#isConcluded || this.#result === undefined) return;
    connection.sendJson({ event: "ended", result: this.#result } satisfies FromDaemon);
    connection.end();
  }

  /** Of srun, or of one that looks on. */
  #takeFrame(connection: FrameConnection, type: number, payload: Uint8Array): void {
    const message = type === JSON_FRAME ? parseToDaemon(payload) : undefined;
    if (message !== undefined) this.#listenTo(message);
    else if (type === INPUT_FRAME && payload.byteLength >= TASK_HEADER) this.#takeInput(payload);
    else connection.close();
  }

  #listenTo(message: ToDaemon): void {
    switch (message.op) {
      case "eof":
        this.#inputQueue = this.#inputQueue.then(() => this.#step.endInput(message.task ?? null));
        break;
      case "resize":
        this.#step.resize(message);
        break;
      default:
        this.#obey(message);
    }
  }

  #takeInput(payload: Uint8Array): void {
    const { task, bytes } = parseTaskFrame(payload.slice());
    this.#inputQueue = this.#inputQueue.then(() => this.#step.writeInput(task, bytes));
  }

  #publish(event: FromDaemon): void {
    this.#client?.sendJson(event);
    this.#observers.event(event);
  }

  #sendOutput(rank: number, type: number, bytes: Uint8Array): Promise<void> | undefined {
    const client = this.#client;
    this.#observers.output(type, rank, bytes);
    if (client === undefined && this.#step.isTakeOver && !this.#mayDrop) {
      const kept = bytes.slice();
      return Promise.race([this.#attached.promise, Bun.sleep(REATTACH_MS)]).then(() => {
        this.#client?.send(type, taskFrame(rank, kept));
      });
    }
    if (client === undefined || client.send(type, taskFrame(rank, bytes))) return undefined;
    return client.drained();
  }
}
