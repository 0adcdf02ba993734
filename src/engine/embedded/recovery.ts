/** What a new controller makes of the store that another one left: its jobs are taken up where they are. */
import { nowMs, type EpochMs } from "#job/id.ts";
import { EXIT_ZERO } from "#job/outcome.ts";
import type { JobRecord } from "#job/record.ts";
import { isTerminal } from "#job/state.ts";
import { parseDependency } from "#options/dependency.ts";
import type { ProcessIdentity } from "#platform/process-tree.ts";
import type { ClusterConfig } from "./config.ts";
import type { Holders } from "./holders.ts";
import type { JobBook, Log } from "./job-book.ts";
import type { JobAlarms } from "./job-alarms.ts";
import type { JobEnds } from "./job-ends.ts";
import type { LiveJob } from "./live-job.ts";
import { REQUEUED_HELD, requeueReason } from "./priority.ts";
import { heldShare, type Resources } from "./resources.ts";
import type { StepManager } from "./step-manager.ts";
import type { Store } from "./store.ts";

/** What the controller does with a job whose state is known again; all of it may be repeated. */
export interface RecoveryHooks {
  actRunning(job: LiveJob): void;
  requestPass(): void;
}

export interface RecoveryOptions {
  readonly config: ClusterConfig;
  readonly store: Store;
  readonly book: JobBook;
  readonly resources: Resources;
  readonly steps: StepManager;
  readonly ends: JobEnds;
  readonly alarms: JobAlarms;
  readonly holders: Holders;
  readonly log: Log;
  readonly hooks: RecoveryHooks;
}

export class Recovery {
  readonly #config: ClusterConfig;
  readonly #store: Store;
  readonly #book: JobBook;
  readonly #resources: Resources;
  readonly #steps: StepManager;
  readonly #ends: JobEnds;
  readonly #alarms: JobAlarms;
  readonly #holders: Holders;
  readonly #log: Log;
  readonly #hooks: RecoveryHooks;

  constructor(options: RecoveryOptions) {
    this.#config = options.config;
    this.#store = options.store;
    this.#book = options.book;
    this.#resources = options.resources;
    this.#steps = options.steps;
    this.#ends = options.ends;
    this.#alarms = options.alarms;
    this.#holders = options.holders;
    this.#log = options.log;
    this.#hooks = options.hooks;
  }

  /**
   * Takes up the work of a controller that stopped or was killed. `isSameBoot` is false when the machine was
   * restarted: then no process of any job exists any more.
   */
  async run(isSameBoot: boolean): Promise<void> {
    const since = (Date.now() - this.#config.minJobAgeSeconds * 1000) as EpochMs;
    for (const record of this.#store.recentlyEnded(since)) this.#book.remember(record);
    for (const record of this.#store.liveJobs()) await this.#recoverJob(record, isSameBoot);
    this.#hooks.requestPass();
  }

  async #recoverJob(record: JobRecord, isSameBoot: boolean): Promise<void> {
    const job = this.#read(record);
    if (job === undefined) return;
    this.#book.add(job);
    const holder = this.#store.holder(job.id);
    if (holder !== undefined) this.#expectHolder(job, holder);
    await this.#recoverState(job, isSameBoot);
    // Not earlier: what a holder that is gone has written down about its end counts more than its absence.
    this.#holders.disconnected(job);
  }

  /** Undefined for one that cannot be read: it must not keep the others from theirs. It is ended, because nobody will ever run it. */
  #read(record: JobRecord): LiveJob | undefined {
    try {
      const request = this.#store.request(record.jobId) ?? this.#store.request(record.array?.jobId ?? record.jobId);
      if (request === undefined) throw new Error("its request is not in the store");
      const { dependency } = request.options;
      // An empty one is none, as in Slurm.
      return this.#book.liveJob(record, request, dependency === null || dependency === "" ? null : parseDependency(dependency));
    } catch (error) {
      this.#log("job.unreadable", { job: record.jobId, error: error instanceof Error ? error.message : String(error) });
      const endedAt = nowMs();
      const ended = { ...record, state: "FAILED", reason: "SystemFailure", flags: [], endedAt } as const;
      this.#store.transaction(() => {
        for (const step of this.#store.steps(record.jobId))
          if (!isTerminal(step.state)) this.#store.saveStep({ ...step, state: "FAILED", endedAt });
        this.#store.saveJob(ended);
      });
      this.#book.remember(ended);
      return undefined;
    }
  }

  async #recoverState(job: LiveJob, isSameBoot: boolean): Promise<void> {
    const { record } = job;
    if (job.isQueued) {
      this.#book.queue.add(job);
      return;
    }
    if (record.state === "PENDING") {
      const isHeld = record.reason === requeueReason(true);
      job.requeue = { isHeld, description: isHeld ? REQUEUED_HELD : null };
    }
    job.lacksCpus = record.state === "SUSPENDED";
    for (const share of record.shares) this.#resources.hold(heldShare(record, share));
    this.#book.occupying.add(job);
    if (!isSameBoot) {
      this.#recoverAfterBoot(job);
      return;
    }
    const running = this.#store.steps(job.id).filter((step) => !isTerminal(step.state));
    for (const key of this.#store.stepKeys(job.id)) if (typeof key === "number") job.nextStep = Math.max(job.nextStep, key + 1);
    for (const step of running) await this.#steps.recover(job, step);
    if (job.isRunning) this.#recoverRunning(job);
    else {
      for (const step of job.steps.values()) this.#steps.terminate(step, "cancelled", { hard: false });
      this.#ends.releaseWhenEmpty(job);
    }
  }

  #recoverRunning(job: LiveJob): void {
    const hasRun = this.#store.stepKeys(job.id).includes("batch");
    if (job.record.kind === "batch" && (job.steps.has("batch") || hasRun)) this.#alarms.set(job);
    else this.#hooks.actRunning(job);
  }

  /** The process that held it is expected to come back; when it is gone, so is the job. */
  #expectHolder(job: LiveJob, process: ProcessIdentity): void {
    job.holder = { process, connection: null, notify: () => undefined, ended: () => undefined };
  }

  #recoverAfterBoot(job: LiveJob): void {
    const at = nowMs();
    for (const step of this.#store.steps(job.id)) {
      if (!isTerminal(step.state)) this.#store.saveStep({ ...step, state: "NODE_FAIL", endedAt: at });
    }
    if (job.record.kind === "batch" && job.record.requeue && job.isRunning) job.requeue = { isHeld: false, description: null };
    this.#book.apply(job, { kind: "exited", exit: EXIT_ZERO });
    this.#ends.end(
      job,
      job.requeue === null
        ? { state: "NODE_FAIL", reason: "NodeDown", cancelledBy: null }
        : { state: "PENDING", reason: "None", cancelledBy: null },
    );
    this.#ends.releaseWhenEmpty(job);
  }
}
