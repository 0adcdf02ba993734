/** A job that the controller works on, with what is not in its record: who holds it, its steps, its timers. */
import type { FrameConnection } from "#platform/frames.ts";
import type { ProcessIdentity } from "#platform/process-tree.ts";
import type { JobId, StepKey } from "#job/id.ts";
import type { JobRecord, StepRecord } from "#job/record.ts";
import type { Dependency } from "#options/dependency.ts";
import type { StepResult, TerminateReason } from "#step/journal.ts";
import type { Standing } from "./dependencies.ts";
import type { Devices } from "./step-gres.ts";
import type { Ask } from "./placement.ts";
import type { AllocationNews } from "./wire.ts";

export interface LiveStep {
  record: StepRecord;
  /** CPUs it holds, by node; nothing when it overlaps others. */
  readonly cpuIds: ReadonlyMap<string, readonly number[]>;
  /** Devices it holds, by node and pool. */
  readonly gres: ReadonlyMap<string, Devices>;
  daemon: FrameConnection | null;
  /** Run by the process that asked for it, which speaks as a step daemon does; nobody can take over from it. */
  readonly isOwned: boolean;
  /** The engine has ended it; the daemon that takes over from one that was killed has to be told again. */
  terminating: { readonly reason: TerminateReason; readonly hard: boolean } | null;
  /** When its daemons were lost, lately; of the monotonic clock. */
  losses: readonly number[];
  /** Runs while its result could not be saved. */
  retry: ReturnType<typeof setTimeout> | undefined;
  limit: Alarm | undefined;
  readonly ready: PromiseWithResolvers<void>;
  readonly ended: PromiseWithResolvers<StepResult>;
}

/** The process that an interactive allocation belongs to. */
export interface Holder {
  readonly process: ProcessIdentity;
  connection: FrameConnection | null;
  /** Tells the connection; lost news are told again when it resumes. */
  notify(news: AllocationNews): void;
  ended(job: JobRecord): void;
}

export class LiveJob {
  record: JobRecord;
  ask: Ask;
  readonly killOnInvalidDependency: boolean;
  #dependency: Dependency | null;
  /** How its dependency stands, until a job that it names changes; undefined when it is to be looked at. */
  judged: Standing | undefined;
  holder: Holder | null = null;
  #steps: Map<StepKey, LiveStep> | undefined;
  nextStep = 0;
  /** Suspended: its CPUs were given back. */
  lacksCpus = false;
  #stepWaiters: Set<() => void> | undefined;
  #alarms: Alarm[] | undefined;
  grace: Alarm | undefined;
  /** Tasks of an array that have not started, in order; null for single jobs. */
  pendingTasks: number[] | null;
  /** To be requeued when everything of the present run is gone. */
  requeue: {
    readonly isHeld: boolean;
    readonly description: string | null;
    /** It is requeued because a node of its run fell. */
    readonly isNodeFailure?: boolean;
  } | null = null;

  constructor(
    record: JobRecord,
    facts: {
      readonly ask: Ask;
      readonly killOnInvalidDependency: boolean;
      readonly dependency: Dependency | null;
      readonly pendingTasks: number[] | null;
    },
  ) {
    this.record = record;
    this.ask = facts.ask;
    this.killOnInvalidDependency = facts.killOnInvalidDependency;
    this.#dependency = facts.dependency;
    this.pendingTasks = facts.pendingTasks;
  }

  get dependency(): Dependency | null {
    return this.#dependency;
  }

  /** Only the book, which knows who waits for whom. */
  set dependency(dependency: Dependency | null) {
    this.#dependency = dependency;
    this.judged = undefined;
  }

  // Made when they are needed: most jobs of a long queue wait, and have none of these.
  get steps(): Map<StepKey, LiveStep> {
    this.#steps ??= new Map();
    return this.#steps;
  }

  get hasSteps(): boolean {
    return this.#steps !== undefined && this.#steps.size > 0;
  }

  /** Called when a step has ended, for the ones that wait for its CPUs. */
  get stepWaiters(): Set<() => void> {
    this.#stepWaiters ??= new Set();
    return this.#stepWaiters;
  }

  get alarms(): Alarm[] {
    this.#alarms ??= [];
    return this.#alarms;
  }

  get id(): JobId {
    return this.record.jobId;
  }

  get isRunning(): boolean {
    return this.record.state === "RUNNING" || this.record.state === "SUSPENDED";
  }

  /** Waits in the queue. A job that is requeued is PENDING while its old run still ends, and waits only afterwards. */
  get isQueued(): boolean {
    return this.record.state === "PENDING" && !this.record.flags.includes("COMPLETING");
  }

  stopAlarms(): void {
    if (this.#alarms !== undefined) for (const alarm of this.#alarms.splice(0)) alarm.stop();
    this.grace?.stop();
    this.grace = undefined;
  }
}

/** Node's timers end after 24.8 days; jobs may not. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Calls once, at a wall-clock time. */
export class Alarm {
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(at: number, call: () => void) {
    const wait = () => {
      const left = at - Date.now();
      this.#timer = left > MAX_TIMER_MS ? setTimeout(wait, MAX_TIMER_MS) : setTimeout(call, Math.max(0, left));
    };
    wait();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
