/** The embedded engine as commands see it: each operation is a request to the controller (controller-calls.ts). */
import type { BerthError } from "#job/errors.ts";
import type { JobId, StepKey } from "#job/id.ts";
import type { AccountedJob, JobRecord, NodeRecord, PartitionRecord, StepRecord } from "#job/record.ts";
import type { JobRequest } from "#job/request.ts";
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
  MeasuredStep,
  PlacedTasks,
  SignalScope,
  StepChannel,
  StepHooks,
  StepProcess,
  StepRequest,
} from "../engine.ts";
import type { OwnStep, OwnStepOrder, OwnStepRequest } from "../own-step.ts";
import { ControllerCalls } from "./controller-calls.ts";
import { holdAllocation } from "./held-allocation.ts";
import { enginePaths } from "./paths.ts";
import { findConnection } from "./start.ts";
import { EmbeddedStepChannel } from "./step-channel.ts";
import { fromWire } from "./wire-error.ts";
import {
  CANCEL_AT_ONCE,
  type AllocationNews,
  type CreatedOwnStep,
  type CreatedStep,
  type DaemonStatus,
  type FoundStep,
  type WireError,
} from "./wire.ts";

/** For ending a step that did not come to start. */
const CANCEL_MS = 10_000;

export class EmbeddedEngine implements Engine {
  readonly name = "embedded";
  readonly #calls: ControllerCalls;

  /** `onStart`: a controller had to be started for the first call. */
  constructor(options: { readonly onStart?: () => Promise<void> } = {}) {
    this.#calls = new ControllerCalls(options.onStart);
  }

  async info(options: Cancellable): Promise<EngineInfo> {
    return (await this.#calls.call("info", {}, options)) as EngineInfo;
  }

  async submit(request: JobRequest, options: Cancellable): Promise<{ readonly jobId: JobId }> {
    return (await this.#calls.call("submit", { request, token: crypto.randomUUID() }, options)) as { jobId: JobId };
  }

  allocate(request: JobRequest, options: Cancellable & { readonly onEvent: (event: AllocateEvent) => void }): Promise<HeldAllocation> {
    return holdAllocation(this.#calls, request, options);
  }

  async findAllocation(jobId: number, options: Cancellable): Promise<AllocationInfo> {
    return (await this.#calls.call("findAllocation", { jobId }, options)) as AllocationInfo;
  }

  async runStep(request: StepRequest, options: Cancellable & StepHooks): Promise<StepChannel> {
    const onEvent = (event: AllocationNews) => {
      if (event.kind === "waiting") options.onWaiting(event.text);
    };
    const created = (await this.#calls.call("createStep", { request }, { signal: options.signal, onEvent })) as CreatedStep;
    const { jobId, stepKey } = created.step;
    try {
      return await EmbeddedStepChannel.attach(created, options.beforeStart);
    } catch (error) {
      await this.cancel({ jobId, arrayTasks: null, stepKey }, { signal: AbortSignal.timeout(CANCEL_MS) }).catch(() => undefined); // it may be over already
      throw error;
    }
  }

  async attachStep(target: { readonly jobId: number; readonly stepKey: StepKey }, options: Cancellable): Promise<StepChannel> {
    return await EmbeddedStepChannel.observe((await this.#calls.call("findStep", target, options)) as FoundStep);
  }

  async measureSteps(jobIds: readonly number[], options: Cancellable): Promise<readonly MeasuredStep[]> {
    return (await this.#calls.call("measureSteps", { jobIds }, options)) as MeasuredStep[];
  }

  async stepLayout(target: { readonly jobId: number; readonly stepKey: StepKey }, options: Cancellable): Promise<readonly PlacedTasks[]> {
    return ((await this.#calls.call("findStep", target, options)) as FoundStep).layout;
  }

  async openOwnStep(request: OwnStepRequest, options: Cancellable & { readonly onOrder: (order: OwnStepOrder) => void }): Promise<OwnStep> {
    const created = (await this.#calls.call("createOwnStep", { request }, options)) as CreatedOwnStep;
    const { jobId, stepKey } = created.step;
    const { EmbeddedOwnStep } = await import("./own-step.ts");
    return new EmbeddedOwnStep(created, {
      onOrder: options.onOrder,
      tellReady: async () => void (await this.#calls.call("ownStepReady", { jobId, stepKey }, options)),
    });
  }

  async tryJob(request: JobRequest, options: Cancellable): ReturnType<Engine["tryJob"]> {
    return (await this.#calls.call("tryJob", { request }, options)) as Awaited<ReturnType<Engine["tryJob"]>>;
  }

  async cancel(target: JobTarget, options: Cancellable): Promise<void> {
    await this.#calls.call("cancel", target, options);
  }
  async cancelEach(targets: readonly JobTarget[], options: Cancellable): Promise<readonly (BerthError | null)[]> {
    const outcomes: (BerthError | null)[] = [];
    for (let start = 0; start < targets.length; start += CANCEL_AT_ONCE) {
      const answers = await this.#calls.call("cancelEach", { targets: targets.slice(start, start + CANCEL_AT_ONCE) }, options);
      for (const error of answers as (WireError | null)[]) outcomes.push(error === null ? null : fromWire(error));
    }
    return outcomes;
  }
  async sendSignal(
    target: JobTarget & { readonly signalNumber: number; readonly scope: SignalScope },
    options: Cancellable,
  ): Promise<void> {
    await this.#calls.call("signal", target, options);
  }
  async hold(target: JobTarget, options: Cancellable): Promise<void> {
    await this.#calls.call("hold", target, options);
  }
  async release(target: JobTarget, options: Cancellable): Promise<void> {
    await this.#calls.call("release", target, options);
  }
  async notify(target: JobTarget & { readonly text: string }, options: Cancellable): Promise<void> {
    await this.#calls.call("notify", target, options);
  }
  async requeue(target: JobTarget & { readonly hold: boolean }, options: Cancellable): Promise<void> {
    await this.#calls.call("requeue", target, options);
  }
  async suspend(target: JobTarget, options: Cancellable): Promise<void> {
    await this.#calls.call("suspend", target, options);
  }
  async resume(target: JobTarget, options: Cancellable): Promise<void> {
    await this.#calls.call("resume", target, options);
  }
  async update(target: JobTarget & { readonly changes: Readonly<Record<string, string>> }, options: Cancellable): Promise<void> {
    await this.#calls.call("update", target, options);
  }

  async updateNodes(names: readonly string[], changes: Readonly<Record<string, string>>, options: Cancellable): Promise<void> {
    await this.#calls.call("updateNodes", { names, changes }, options);
  }
  async updatePartition(name: string, changes: Readonly<Record<string, string>>, options: Cancellable): Promise<void> {
    await this.#calls.call("updatePartition", { name, changes }, options);
  }

  async jobs(filter: JobFilter, options: Cancellable): Promise<readonly JobRecord[]> {
    return (await this.#calls.call("jobs", filter, options)) as JobRecord[];
  }
  async steps(filter: { readonly jobId: number | null }, options: Cancellable): Promise<readonly StepRecord[]> {
    return (await this.#calls.call("steps", filter, options)) as StepRecord[];
  }
  async processes(filter: { readonly jobId: number | null }, options: Cancellable): Promise<readonly StepProcess[]> {
    return (await this.#calls.call("processes", filter, options)) as StepProcess[];
  }
  async nodes(options: Cancellable): Promise<readonly NodeRecord[]> {
    return (await this.#calls.call("nodes", {}, options)) as NodeRecord[];
  }
  async partitions(options: Cancellable): Promise<readonly PartitionRecord[]> {
    return (await this.#calls.call("partitions", {}, options)) as PartitionRecord[];
  }
  async config(options: Cancellable): Promise<EngineConfig> {
    return (await this.#calls.call("config", {}, options)) as EngineConfig;
  }
  async accounting(filter: AccountingFilter, options: Cancellable): Promise<readonly AccountedJob[]> {
    return (await this.#calls.call("accounting", filter, options)) as AccountedJob[];
  }
  async batchScript(jobId: number, options: Cancellable): Promise<string> {
    return (await this.#calls.call("batchScript", { jobId }, options)) as string;
  }
  async waitForEnd(jobId: number, options: Cancellable): Promise<readonly JobRecord[]> {
    return (await this.#calls.call("waitForEnd", { jobId }, options)) as JobRecord[];
  }

  /** For `berth daemon status`. */
  async status(options: Cancellable): Promise<DaemonStatus> {
    return (await this.#calls.call("status", {}, options)) as DaemonStatus;
  }
  async stop(cancelJobs: boolean, options: Cancellable): Promise<void> {
    await this.#calls.call("stop", { cancelJobs }, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#calls[Symbol.dispose]();
    await Promise.resolve();
  }
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
