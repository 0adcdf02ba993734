/**
 * The controller of the embedded engine: one cluster, one user, this machine.
 *
 * Everything happens on an event (a request, the end of a step, an alarm); nothing polls. Records change only through
 * `next` (job/life.ts), and each change is in the store before anybody is told of it. What a state asks for is done by
 * `#act…` functions that may be repeated safely, because a restart repeats them.
 */
import type { RuntimeCopyKeeper } from "#container/runtime-copy.ts";
import { allocationVariables, type JobFacts } from "#job/environment.ts";
import { slurmError } from "#job/errors.ts";
import { nowMs, type JobId, type StepKey } from "#job/id.ts";
import type { JobRecord } from "#job/record.ts";
import type { JobRequest } from "#job/request.ts";
import { parseDependency, type Dependency } from "#options/dependency.ts";
import type { ProcessIdentity } from "#platform/process-tree.ts";
import type { StepResult } from "#step/journal.ts";
import type { AllocationInfo, StepRequest } from "../engine.ts";
import type { OwnStepRequest } from "../own-step.ts";
import { admit, type Submitter } from "./admission.ts";
import { batchFiles } from "./batch-files.ts";
import { ClusterControl } from "./cluster-control.ts";
import type { ClusterConfig } from "./config.ts";
import type { DaemonPool } from "./daemon-pool.ts";
import { Eligibility } from "./eligibility.ts";
import { Holders } from "./holders.ts";
import { JobBook, type Log } from "./job-book.ts";
import { JobEnds } from "./job-ends.ts";
import { JobAlarms } from "./job-alarms.ts";
import { JobControl } from "./job-control.ts";
import { allocatedTres, jobFacts } from "./job-facts.ts";
import type { LiveJob, Holder, LiveStep } from "./live-job.ts";
import type { Paths } from "./paths.ts";
import { Passes } from "./passes.ts";
import type { Placement } from "./placement.ts";
import { FIRST_PRIORITY } from "./priority.ts";
import { Recovery } from "./recovery.ts";
import { Resources } from "./resources.ts";
import { StepManager, type StepManagerHost } from "./step-manager.ts";
import type { Store } from "./store.ts";
import type { CreatedOwnStep, CreatedStep, FoundStep } from "./wire.ts";

export interface ControllerOptions {
  readonly config: ClusterConfig;
  readonly paths: Paths;
  readonly store: Store;
  readonly pool: DaemonPool;
  readonly runtimeCopies: RuntimeCopyKeeper;
  readonly log: Log;
  /** In a container engine's user namespace, where batch jobs must not run. */
  readonly isConfined: boolean;
}

export class Controller implements StepManagerHost {
  readonly config: ClusterConfig;
  readonly paths: Paths;
  readonly store: Store;
  readonly pool: DaemonPool;
  readonly runtimeCopies: RuntimeCopyKeeper;
  readonly log: ControllerOptions["log"];
  readonly book: JobBook;
  readonly control: JobControl;
  readonly cluster: ClusterControl;
  readonly resources: Resources;
  readonly #steps: StepManager;
  readonly ends: JobEnds;
  readonly alarms: JobAlarms;
  readonly holders: Holders;
  readonly passes: Passes;
  readonly startedAt = nowMs();

  constructor(options: ControllerOptions) {
    this.config = options.config;
    this.paths = options.paths;
    this.store = options.store;
    this.pool = options.pool;
    this.runtimeCopies = options.runtimeCopies;
    this.log = options.log;
    this.cluster = new ClusterControl(this.config, this.store);
    this.book = new JobBook(options);
    this.resources = new Resources(this.config.nodes);
    const eligibility = new Eligibility(this.book, {
      endPending: (job, state, reason) => this.ends.endPending(job, state, reason),
      isConfined: options.isConfined,
    });
    this.passes = new Passes({
      config: this.config,
      store: this.store,
      book: this.book,
      resources: this.resources,
      eligibility,
      grant: (job, placements, isBackfill) => this.#grant(job, placements, isBackfill),
    });
    this.#steps = new StepManager(this);
    const { book, store, resources, log } = this;
    this.ends = new JobEnds({ book, store, resources, steps: this.#steps, requestPass: () => this.requestPass() });
    this.holders = new Holders({ book, store, ends: this.ends, log });
    this.alarms = new JobAlarms({ ends: this.ends, steps: this.#steps });
    const { ends, alarms } = this;
    this.control = new JobControl({ book, steps: this.#steps, resources, ends, alarms, requestPass: () => this.requestPass() });
  }

  // --- Submitting -----------------------------------------------------------------------------------------------

  /** Admits a job and queues it. With a token that was used before, answers the job of that time. */
  submit(
    request: JobRequest,
    submitter: Submitter,
    options: { readonly token: string; readonly holder: Holder | null },
  ): LiveJob | JobRecord {
    const known = this.store.findToken(options.token);
    if (known !== undefined) {
      const found = this.book.live.get(known) ?? this.book.recent.get(known);
      if (found !== undefined) return found;
    }
    const dependency = this.parseDependency(request.options.dependency);
    const job = this.store.transaction(() => {
      const jobId = this.store.nextJobId(this.config.firstJobId);
      const record = admit(request, {
        config: this.config,
        total: this.resources.total(),
        submitter,
        jobId,
        now: nowMs(),
        priority: Math.max(1, FIRST_PRIORITY - jobId),
      });
      this.store.saveJob(record);
      this.store.addRequest(jobId, request, options.token);
      if (options.holder !== null) this.store.setHolder(jobId, options.holder.process);
      return this.book.liveJob(record, request, dependency);
    });
    job.holder = options.holder;
    this.#enqueue(job);
    return job;
  }

  /** @throws BerthError DEPENDENCY, also for one that names a job which nobody knows */
  parseDependency(text: string | null): Dependency | null {
    if (text === null || text === "") return null;
    const dependency = parseDependency(text);
    for (const { type, jobs } of dependency.terms) {
      for (const job of jobs) {
        if ((type === "afterok" || type === "afternotok") && this.book.findRecords(job).length === 0) throw slurmError("DEPENDENCY");
      }
    }
    return dependency;
  }

  #enqueue(job: LiveJob): void {
    this.book.add(job);
    this.book.queue.add(job);
    this.passes.queued(job);
  }

  // --- Scheduling -----------------------------------------------------------------------------------------------

  /** Looks at the queue soon; many requests make one pass. */
  requestPass(): void {
    this.passes.request();
  }

  // --- Running --------------------------------------------------------------------------------------------------

  #grant(job: LiveJob, placements: readonly Placement[], isBackfill: boolean): void {
    this.book.queue.remove(job);
    const shares = placements.map((placement) => this.resources.take(placement));
    this.book.occupying.add(job);
    this.book.apply(job, { kind: "granted", at: nowMs(), shares, allocated: allocatedTres(shares, job.record), isBackfill });
    this.#actRunning(job);
  }

  /** What a running job needs: its alarms, and its script or its holder. Harmless to repeat. */
  #actRunning(job: LiveJob): void {
    this.alarms.set(job);
    if (job.record.kind === "batch") {
      if (job.steps.has("batch")) return;
      void this.#launchBatch(job);
    } else job.holder?.notify({ kind: "granted", info: this.allocationInfo(job), waited: false });
  }

  async #launchBatch(job: LiveJob): Promise<void> {
    try {
      const request = this.book.request(job);
      this.book.save(job, { ...job.record, ...batchFiles(request, job.record) });
      await this.#steps.launchBatch(job, request);
    } catch (error) {
      this.log("job.launchFailed", { job: job.id, error: String(error) });
      this.book.apply(job, { kind: "exited", exit: { code: 0, signal: 53 } });
      this.ends.end(job, { state: "FAILED", reason: "JobLaunchFailure", cancelledBy: null });
    }
  }

  jobFacts(job: LiveJob): JobFacts {
    return jobFacts(job, this.book.request(job), this.config);
  }

  allocationInfo(job: LiveJob): AllocationInfo {
    const { killWaitSeconds, srunProlog, srunEpilog } = this.config;
    return {
      job: job.record,
      environment: allocationVariables(this.jobFacts(job)),
      killWaitSeconds,
      stepScripts: { prolog: srunProlog, epilog: srunEpilog },
    };
  }

  /** @throws BerthError when there is no such job, or it runs no longer or not yet */
  findRunning(jobId: number): LiveJob {
    const job = this.book.live.get(jobId as JobId);
    if (job === undefined) throw this.book.recent.has(jobId as JobId) ? slurmError("ALREADY_DONE") : slurmError("INVALID_JOB_ID");
    if (job.record.state === "PENDING") throw slurmError("JOB_PENDING");
    if (!job.isRunning) throw slurmError("ALREADY_DONE");
    return job;
  }

  createStep(
    request: StepRequest,
    options: { readonly signal: AbortSignal; readonly onWait: (text: string) => void },
  ): Promise<CreatedStep> {
    return this.#steps.create(this.findRunning(request.jobId), request, options);
  }

  findStep(jobId: number, stepKey: StepKey): FoundStep {
    return this.#steps.find(this.findRunning(jobId), stepKey);
  }

  /** @param onOwner gets what is to be called when the owner's connection has closed */
  createOwnStep(request: OwnStepRequest, owner: ProcessIdentity, onOwner: (check: () => void) => void): CreatedOwnStep {
    const job = this.findRunning(request.jobId);
    const created = this.#steps.createOwn(job, request, owner);
    onOwner(() => void this.#steps.ownerDisconnected(job, created.step.stepKey, owner));
    return created;
  }

  async ownStepReady(jobId: number, stepKey: StepKey): Promise<void> {
    const job = this.book.live.get(jobId as JobId);
    if (job !== undefined) await this.#steps.ownerListens(job, stepKey);
  }

  stepEnded(job: LiveJob, step: LiveStep, result: StepResult): void {
    this.ends.stepEnded(job, step, result);
  }

  // --- After a restart ------------------------------------------------------------------------------------------

  /** `isSameBoot` is false when the machine was restarted: then no process of any job exists any more. */
  async recover(isSameBoot: boolean): Promise<void> {
    const { config, store, book, resources, ends, alarms, holders, log } = this;
    const hooks = {
      actRunning: (job: LiveJob) => this.#actRunning(job),
      requestPass: () => this.requestPass(),
    };
    await new Recovery({ config, store, book, resources, steps: this.#steps, ends, alarms, holders, log, hooks }).run(isSameBoot);
  }

  /** A process whose parent died has come to us and ended. */
  orphanReaped(orphan: { readonly pid: number; readonly waitStatus: number }): void {
    this.#steps.reaped(this.book.live.values(), orphan);
  }

  /** Before the process ends: jobs go on without it, unless they are to be cancelled. */
  async stop(options: { readonly cancelJobs: boolean; readonly by: number }): Promise<void> {
    if (!options.cancelJobs) return;
    const jobs = [...this.book.live.values()];
    for (const job of jobs) this.ends.cancelJob(job, options.by);
    await Promise.race([
      Promise.all(jobs.map((job) => this.book.waitForEnd(job.id, new AbortController().signal).catch(() => undefined))),
      Bun.sleep((this.config.killWaitSeconds + 5) * 1000),
    ]);
  }
}
