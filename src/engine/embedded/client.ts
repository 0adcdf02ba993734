/**
 * The embedded engine as commands see it. Starts the controller when there is none, and finds it again when it was
 * killed: questions are asked again, a submission is repeated with the same token (so that it counts once), an
 * allocation is taken up where it was.
 */
import { BerthError, slurmError } from "#job/errors.ts";
import type { JobId, StepKey } from "#job/id.ts";
import type { ExitPair } from "#job/outcome.ts";
import type { AccountedJob, JobRecord, NodeRecord, PartitionRecord, StepRecord } from "#job/record.ts";
import type { JobRequest } from "#job/request.ts";
import { VERSION } from "#job/version.ts";
import { parseJsonFrame, type FrameConnection } from "#platform/frames.ts";
import { mayStartController } from "#platform/start-controller.ts";
import type {
  AccountingFilter,
  AllocateEvent,
  AllocationInfo,
  Cancellable,
  Engine,
  EngineConfig,
  EngineInfo,
  HeldAllocation,
  JobFilter,
  JobTarget,
  OwnStep,
  OwnStepOrder,
  MeasuredStep,
  OwnStepRequest,
  PlacedTasks,
  SignalScope,
  StepChannel,
  StepHooks,
  StepProcess,
  StepRequest,
} from "../engine.ts";
import { unpackRecords } from "./packed-records.ts";
import { enginePaths, type Paths } from "./paths.ts";
import { connectToController, findConnection } from "./start.ts";
import { EmbeddedOwnStep } from "./own-step.ts";
import { EmbeddedStepChannel } from "./step-channel.ts";
import {
  CANCEL_AT_ONCE,
  MOVED,
  type AllocationNews,
  type Answer,
  type CreatedOwnStep,
  type CreatedStep,
  type DaemonStatus,
  type FoundStep,
  type Operation,
  type Operations,
  type WireError,
} from "./wire.ts";

interface Pending {
  readonly parts: unknown[];
  readonly onEvent: ((event: AllocationNews) => void) | undefined;
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/** The controller went away in the middle of a request. */
class ConnectionLost extends Error {}

/** A controller in a container engine's user namespace has done nothing but end, because we are outside. */
class Moved extends ConnectionLost {}

/** Its lock goes with it. */
const MOVE_MS = 60;
/** For ending a step that did not come to start. */
const CANCEL_MS = 10_000;

/** Operations that may be repeated when nobody knows whether they were done. */
const REPEATABLE: ReadonlySet<Operation> = new Set<Operation>([
  "info",
  "submit",
  "resumeAllocation",
  "releaseAllocation",
  "detachAllocation",
  "findAllocation",
  "ownStepReady",
  "tryJob",
  "cancel",
  "cancelEach",
  "hold",
  "release",
  "jobs",
  "steps",
  "processes",
  "nodes",
  "partitions",
  "config",
  "accounting",
  "batchScript",
  "waitForEnd",
  "status",
]);
const ATTEMPTS = 5;

export class EmbeddedEngine implements Engine {
  readonly name = "embedded";
  #connection: Promise<FrameConnection> | undefined;
  /** What `#connection` came to; one that is still being made is not waited for at the end. */
  #established: FrameConnection | undefined;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #isDisposed = false;

  /** Found once: an anchor's host name changes when it stands in its container's namespaces. */
  #paths: Paths | undefined;

  async #connect(): Promise<FrameConnection> {
    this.#paths ??= enginePaths();
    const connection = await connectToController(this.#paths);
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
      pending.reject(errorOf(answer.error));
    } else pending.resolve(answer.result ?? pending.parts);
  }

  async #call<Op extends Operation>(
    op: Op,
    args: Operations[Op]["args"],
    options: Cancellable & { readonly onEvent?: (event: AllocationNews) => void },
  ): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#callOnce(op, args, options);
      } catch (error) {
        const isHarmless = error instanceof Moved || REPEATABLE.has(op);
        if (!(error instanceof ConnectionLost) || !isHarmless || attempt === ATTEMPTS) {
          throw error instanceof ConnectionLost ? slurmError("CONTROLLER_DOWN", { cause: error }) : error;
        }
      }
    }
  }

  async #callOnce<Op extends Operation>(
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

  async info(options: Cancellable): Promise<EngineInfo> {
    return (await this.#call("info", {}, options)) as EngineInfo;
  }

  async submit(request: JobRequest, options: Cancellable): Promise<{ readonly jobId: JobId }> {
    return (await this.#call("submit", { request, token: crypto.randomUUID() }, options)) as { jobId: JobId };
  }

  async allocate(
    request: JobRequest,
    options: Cancellable & { readonly onEvent: (event: AllocateEvent) => void },
  ): Promise<HeldAllocation> {
    const token = crypto.randomUUID();
    const granted = Promise.withResolvers<JobId>();
    let jobId: JobId | undefined;
    let isGranted = false;
    let hasWaited = false;
    const onEvent = (event: AllocationNews) => {
      if (event.kind === "queued") {
        jobId = event.jobId;
        if (!hasWaited) options.onEvent(event);
        hasWaited = true;
      } else if (event.kind === "granted") {
        jobId = event.info.job.jobId;
        if (!isGranted) options.onEvent({ ...event, waited: hasWaited });
        isGranted = true;
        granted.resolve(jobId);
      } else if (event.kind === "message") options.onEvent(event);
    };
    const ended = this.#followAllocation({ request, token, onEvent, jobId: () => jobId });
    ended.catch(granted.reject); // handled there, also when it comes after the grant
    const withdraw = () => {
      granted.reject(options.signal.reason);
      if (jobId !== undefined)
        void this.#call("releaseAllocation", { jobId, exit: { code: 0, signal: 0 } }, { signal: new AbortController().signal }).catch(
          () => undefined,
        );
    };
    options.signal.addEventListener("abort", withdraw, { once: true });
    // A job that ends while it waits was cancelled by somebody else.
    void ended.then(
      (job) => {
        if (!isGranted) granted.reject(slurmError("ALREADY_DONE", { before: [String(job.jobId)] }));
      },
      () => undefined,
    );
    const id = await granted.promise;
    options.signal.removeEventListener("abort", withdraw);
    const release = async (exit: ExitPair) => {
      await this.#call("releaseAllocation", { jobId: id, exit }, { signal: new AbortController().signal });
    };
    return {
      jobId: id,
      ended,
      release,
      detach: async () => {
        await this.#call("detachAllocation", { jobId: id }, { signal: new AbortController().signal });
      },
      [Symbol.asyncDispose]: () => release({ code: 0, signal: 0 }),
    };
  }

  /** Resolves with the job's last record, over as many connections as it takes. */
  async #followAllocation(facts: {
    readonly request: JobRequest;
    readonly token: string;
    readonly onEvent: (event: AllocationNews) => void;
    readonly jobId: () => JobId | undefined;
  }): Promise<JobRecord> {
    const options = { signal: new AbortController().signal, onEvent: facts.onEvent };
    for (;;) {
      try {
        const jobId = facts.jobId();
        return (await (jobId === undefined
          ? this.#callOnce("allocate", { request: facts.request, token: facts.token }, options)
          : this.#callOnce("resumeAllocation", { jobId }, options))) as JobRecord;
      } catch (error) {
        const isForOthers = error instanceof BerthError && error.code === "CONTROLLER_DOWN" && !mayStartController();
        if (this.#isDisposed || !(error instanceof ConnectionLost || isForOthers)) throw error;
      }
    }
  }

  async findAllocation(jobId: number, options: Cancellable): Promise<AllocationInfo> {
    return (await this.#call("findAllocation", { jobId }, options)) as AllocationInfo;
  }

  async runStep(request: StepRequest, options: Cancellable & StepHooks): Promise<StepChannel> {
    const onEvent = (event: AllocationNews) => {
      if (event.kind === "waiting") options.onWaiting(event.text);
    };
    const created = (await this.#call("createStep", { request }, { signal: options.signal, onEvent })) as CreatedStep;
    const { jobId, stepKey } = created.step;
    try {
      return await EmbeddedStepChannel.attach(created, options.beforeStart);
    } catch (error) {
      await this.cancel({ jobId, arrayTasks: null, stepKey }, { signal: AbortSignal.timeout(CANCEL_MS) }).catch(() => undefined); // it may be over already
      throw error;
    }
  }

  async attachStep(target: { readonly jobId: number; readonly stepKey: StepKey }, options: Cancellable): Promise<StepChannel> {
    return await EmbeddedStepChannel.observe((await this.#call("findStep", target, options)) as FoundStep);
  }

  async measureSteps(jobIds: readonly number[], options: Cancellable): Promise<readonly MeasuredStep[]> {
    return (await this.#call("measureSteps", { jobIds }, options)) as MeasuredStep[];
  }

  async stepLayout(target: { readonly jobId: number; readonly stepKey: StepKey }, options: Cancellable): Promise<readonly PlacedTasks[]> {
    return ((await this.#call("findStep", target, options)) as FoundStep).layout;
  }

  async openOwnStep(request: OwnStepRequest, options: Cancellable & { readonly onOrder: (order: OwnStepOrder) => void }): Promise<OwnStep> {
    const created = (await this.#call("createOwnStep", { request }, options)) as CreatedOwnStep;
    const { jobId, stepKey } = created.step;
    return new EmbeddedOwnStep(created, {
      onOrder: options.onOrder,
      tellReady: async () => void (await this.#call("ownStepReady", { jobId, stepKey }, options)),
    });
  }

  async tryJob(request: JobRequest, options: Cancellable): ReturnType<Engine["tryJob"]> {
    return (await this.#call("tryJob", { request }, options)) as Awaited<ReturnType<Engine["tryJob"]>>;
  }

  async cancel(target: JobTarget, options: Cancellable): Promise<void> {
    await this.#call("cancel", target, options);
  }
  async cancelEach(targets: readonly JobTarget[], options: Cancellable): Promise<readonly (BerthError | null)[]> {
    const outcomes: (BerthError | null)[] = [];
    for (let start = 0; start < targets.length; start += CANCEL_AT_ONCE) {
      const answers = await this.#call("cancelEach", { targets: targets.slice(start, start + CANCEL_AT_ONCE) }, options);
      for (const error of answers as (WireError | null)[]) outcomes.push(error === null ? null : errorOf(error));
    }
    return outcomes;
  }
  async sendSignal(
    target: JobTarget & { readonly signalNumber: number; readonly scope: SignalScope },
    options: Cancellable,
  ): Promise<void> {
    await this.#call("signal", target, options);
  }
  async hold(target: JobTarget, options: Cancellable): Promise<void> {
    await this.#call("hold", target, options);
  }
  async release(target: JobTarget, options: Cancellable): Promise<void> {
    await this.#call("release", target, options);
  }
  async notify(target: JobTarget & { readonly text: string }, options: Cancellable): Promise<void> {
    await this.#call("notify", target, options);
  }
  async requeue(target: JobTarget & { readonly hold: boolean }, options: Cancellable): Promise<void> {
    await this.#call("requeue", target, options);
  }
  async suspend(target: JobTarget, options: Cancellable): Promise<void> {
    await this.#call("suspend", target, options);
  }
  async resume(target: JobTarget, options: Cancellable): Promise<void> {
    await this.#call("resume", target, options);
  }
  async update(target: JobTarget & { readonly changes: Readonly<Record<string, string>> }, options: Cancellable): Promise<void> {
    await this.#call("update", target, options);
  }

  async updateNodes(names: readonly string[], changes: Readonly<Record<string, string>>, options: Cancellable): Promise<void> {
    await this.#call("updateNodes", { names, changes }, options);
  }
  async updatePartition(name: string, changes: Readonly<Record<string, string>>, options: Cancellable): Promise<void> {
    await this.#call("updatePartition", { name, changes }, options);
  }

  async jobs(filter: JobFilter, options: Cancellable): Promise<readonly JobRecord[]> {
    return (await this.#call("jobs", filter, options)) as JobRecord[];
  }
  async steps(filter: { readonly jobId: number | null }, options: Cancellable): Promise<readonly StepRecord[]> {
    return (await this.#call("steps", filter, options)) as StepRecord[];
  }
  async processes(filter: { readonly jobId: number | null }, options: Cancellable): Promise<readonly StepProcess[]> {
    return (await this.#call("processes", filter, options)) as StepProcess[];
  }
  async nodes(options: Cancellable): Promise<readonly NodeRecord[]> {
    return (await this.#call("nodes", {}, options)) as NodeRecord[];
  }
  async partitions(options: Cancellable): Promise<readonly PartitionRecord[]> {
    return (await this.#call("partitions", {}, options)) as PartitionRecord[];
  }
  async config(options: Cancellable): Promise<EngineConfig> {
    return (await this.#call("config", {}, options)) as EngineConfig;
  }
  async accounting(filter: AccountingFilter, options: Cancellable): Promise<readonly AccountedJob[]> {
    return (await this.#call("accounting", filter, options)) as AccountedJob[];
  }
  async batchScript(jobId: number, options: Cancellable): Promise<string> {
    return (await this.#call("batchScript", { jobId }, options)) as string;
  }
  async waitForEnd(jobId: number, options: Cancellable): Promise<readonly JobRecord[]> {
    return (await this.#call("waitForEnd", { jobId }, options)) as JobRecord[];
  }

  /** For `berth daemon status`. */
  async status(options: Cancellable): Promise<DaemonStatus> {
    return (await this.#call("status", {}, options)) as DaemonStatus;
  }
  async stop(cancelJobs: boolean, options: Cancellable): Promise<void> {
    await this.#call("stop", { cancelJobs }, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    this.#established?.end();
    await Promise.resolve();
  }
}

function errorOf({ code, message, hint, before }: WireError): BerthError {
  return new BerthError(code, message, { before, ...(hint === null ? {} : { hint }) });
}

/** Whether a controller answers, without starting one. */
export async function findController(): Promise<boolean> {
  try {
    const connection = await findConnection(enginePaths());
    connection?.end();
    return connection !== undefined;
  } catch {
    return false;
  }
}
