/**
 * The controller of the embedded engine: one cluster, one user, this machine.
 *
 * Everything happens on an event (a request, the end of a step, an alarm); nothing polls. Records change only through
 * `next` (job/life.ts), and each change is in the store before anybody is told of it. What a state asks for is done by
 * `#act…` functions that may be repeated safely, because a restart repeats them.
 */
import { allocationVariables, type JobFacts } from "#job/environment.ts";
import { BerthError, slurmError } from "#job/errors.ts";
import { nowMs, type EpochMs, type JobId, type StepKey } from "#job/id.ts";
import { outcomeOf, type Outcome } from "#job/life.ts";
import { EXIT_ZERO, type ExitPair } from "#job/outcome.ts";
import type { JobRecord, StepRecord } from "#job/record.ts";
import type { JobRequest } from "#job/request.ts";
import { isTerminal } from "#job/state.ts";
import { parseDependency, type Dependency } from "#options/dependency.ts";
import { isAlive, type ProcessIdentity } from "#platform/process-tree.ts";
import type { StepResult } from "#step/journal.ts";
import type { MeasuredStep, AllocationInfo, JobTarget, StepRequest } from "../engine.ts";
import type { OwnStepRequest } from "../own-step.ts";
import { admit, type Submitter } from "./admission.ts";
import { batchFiles } from "./batch-files.ts";
import { ClusterControl } from "./cluster-control.ts";
import type { ClusterConfig } from "./config.ts";
import type { DaemonPool } from "./daemon-pool.ts";
import { Eligibility } from "./eligibility.ts";
import { JobBook, type Log } from "./job-book.ts";
import { JobControl } from "./job-control.ts";
import { allocatedTres, jobFacts } from "./job-facts.ts";
import { Alarm, type LiveJob, type Holder, type LiveStep } from "./live-job.ts";
import type { Paths } from "./paths.ts";
import { Passes } from "./passes.ts";
import type { Placement } from "./placement.ts";
import { FIRST_PRIORITY, requeueReason } from "./priority.ts";
import { Recovery } from "./recovery.ts";
import { Resources } from "./resources.ts";
import { StepManager, type StepManagerHost } from "./step-manager.ts";
import type { Store } from "./store.ts";
import type { CreatedOwnStep, CreatedStep, FoundStep } from "./wire.ts";

/** How long an interactive allocation outlives the connection of a process that still runs. */
const RESUME_GRACE_MS = 10_000;
/** Slurm starts a requeued job about two minutes later (lifecycle §5.4). */
const REQUEUE_DELAY_MS = 121_000;

export interface ControllerOptions {
  readonly config: ClusterConfig;
  readonly paths: Paths;
  readonly store: Store;
  readonly pool: DaemonPool;
  readonly log: Log;
  /** In a container engine's user namespace, where batch jobs must not run. */
  readonly isConfined: boolean;
}

export class Controller implements StepManagerHost {
  readonly config: ClusterConfig;
  readonly paths: Paths;
  readonly store: Store;
  readonly pool: DaemonPool;
  readonly log: ControllerOptions["log"];
  readonly book: JobBook;
  readonly control: JobControl;
  readonly cluster: ClusterControl;
  readonly resources: Resources;
  readonly #steps: StepManager;
  readonly passes: Passes;
  readonly startedAt = nowMs();

  constructor(options: ControllerOptions) {
    this.config = options.config;
    this.paths = options.paths;
    this.store = options.store;
    this.pool = options.pool;
    this.log = options.log;
    this.cluster = new ClusterControl(this.config, this.store);
    this.book = new JobBook(options);
    this.resources = new Resources(this.config.nodes);
    const eligibility = new Eligibility(this.book, {
      endPending: (job, state, reason) => this.#endPending(job, state, reason),
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
    this.control = new JobControl({
      book: this.book,
      steps: this.#steps,
      hooks: {
        end: (job, outcome) => this.#end(job, outcome),
        requeueNow: (job, how) => this.#requeueNow(job, how),
        setAlarms: (job) => this.setAlarms(job),
        lendCpus: (job, isLent) => this.#lendCpus(job, isLent),
        requestPass: () => this.requestPass(),
        cancel: (target, by) => this.cancel(target, by),
      },
    });
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
    this.setAlarms(job);
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
      this.#end(job, { state: "FAILED", reason: "JobLaunchFailure", cancelledBy: null });
    }
  }

  /** A suspended job's CPUs are free for others; once it resumes it has them back, though others may use them too. */
  #lendCpus(job: LiveJob, isLent: boolean): void {
    if (job.lacksCpus === isLent) return;
    job.lacksCpus = isLent;
    for (const { node, cpuIds } of job.record.shares) {
      const cpus = { node, cpuIds, memMib: 0, gres: {} };
      if (isLent) this.resources.giveBack(cpus);
      else this.resources.hold(cpus);
    }
    this.requestPass();
  }

  setAlarms(job: LiveJob): void {
    job.stopAlarms();
    const { record } = job;
    if (record.startedAt === null || record.timeLimitMinutes === null) return;
    const end = record.startedAt + record.suspendedMs + record.timeLimitMinutes * 60_000;
    job.alarms.push(new Alarm(end, () => this.#end(job, { state: "TIMEOUT", reason: "TimeLimit", cancelledBy: null })));
    const { warnSignal } = record;
    if (warnSignal !== null) {
      job.alarms.push(new Alarm(end - warnSignal.seconds * 1000, () => this.#warn(job)));
    }
  }

  #warn(job: LiveJob): void {
    const { warnSignal } = job.record;
    if (warnSignal === null || job.record.state !== "RUNNING") return;
    for (const [key, step] of job.steps) {
      if ((key === "batch") === warnSignal.toBatch) this.#steps.signal(step, warnSignal.signal, warnSignal.toBatch ? "batch" : "steps");
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

  /** Nothing for a job that does not run. */
  measureSteps(jobId: number): MeasuredStep[] {
    const job = this.book.live.get(jobId as JobId);
    return job === undefined ? [] : this.#steps.measure(job);
  }

  findStep(jobId: number, stepKey: StepKey): FoundStep {
    return this.#steps.find(this.findRunning(jobId), stepKey);
  }

  /** @param onOwner gets what is to be called when the owner's connection has closed */
  createOwnStep(request: OwnStepRequest, owner: ProcessIdentity, onOwner: (check: () => void) => void): CreatedOwnStep {
    const job = this.findRunning(request.jobId);
    const created = this.#steps.createOwn(job, request, owner);
    onOwner(() => this.#steps.ownerDisconnected(job, created.step.stepKey, owner));
    return created;
  }

  async ownStepReady(jobId: number, stepKey: StepKey): Promise<void> {
    const job = this.book.live.get(jobId as JobId);
    if (job !== undefined) await this.#steps.ownerListens(job, stepKey);
  }

  // --- Ending ---------------------------------------------------------------------------------------------------

  stepEnded(job: LiveJob, step: LiveStep, result: StepResult): void {
    const { stepKey } = step.record;
    if (typeof stepKey === "number") {
      this.book.apply(job, { kind: "stepEnded", exit: result.exit });
      // Its one step is what it was for. Whether the step's daemon or we see first that srun is gone makes no difference.
      if (job.record.kind === "srun" && stepKey === 0) {
        if (result.terminated === "clientLost") this.#cancelJob(job, job.record.userId);
        else if (result.outOfMemory) {
          this.book.apply(job, { kind: "exited", exit: result.exit });
          this.#end(job, { state: "OUT_OF_MEMORY", reason: "OutOfMemory", cancelledBy: null });
        } else this.#endWith(job, result.exit);
      }
    }
    if (stepKey === "batch") {
      // How a script ends on a node that is down says nothing about the script.
      if (job.record.state !== "NODE_FAIL") this.book.apply(job, { kind: "exited", exit: result.exit });
      if (result.terminated === "nodeFailure") this.#end(job, { state: "NODE_FAIL", reason: "NodeDown", cancelledBy: null });
      else if (result.launchFailure === null) this.#end(job, outcomeOf(result.exit));
      else this.#end(job, { state: "FAILED", reason: "JobLaunchFailure", cancelledBy: null });
    }
    this.#releaseWhenEmpty(job);
  }

  /** Decides how the job ends, ends its steps, and releases it when they are gone. The first outcome stays. */
  #end(job: LiveJob, outcome: Outcome): void {
    const isRequeueOverruled = outcome.state === "CANCELLED" && job.record.state === "PENDING" && !job.isQueued;
    if (!job.isRunning && !isRequeueOverruled) return;
    this.book.apply(job, { kind: "finishing", at: nowMs(), outcome });
    job.stopAlarms();
    const reason =
      outcome.state === "TIMEOUT"
        ? "timeLimit"
        : outcome.state === "CANCELLED"
          ? "cancelled"
          : outcome.state === "NODE_FAIL"
            ? "nodeFailure"
            : job.requeue !== null
              ? "requeued"
              : "jobEnded";
    for (const step of job.steps.values()) this.#steps.terminate(step, reason, { hard: false });
    this.#releaseWhenEmpty(job);
  }

  #releaseWhenEmpty(job: LiveJob): void {
    if (job.steps.size > 0 || !job.record.flags.includes("COMPLETING")) return;
    for (const share of job.record.shares) this.resources.giveBack(job.lacksCpus ? { ...share, cpuIds: [] } : share);
    job.lacksCpus = false;
    this.book.occupying.delete(job);
    if (job.requeue !== null) this.#requeueNow(job, job.requeue);
    else {
      this.book.apply(job, { kind: "released", at: nowMs() });
      this.book.retire(job);
    }
    this.requestPass();
  }

  #requeueNow(job: LiveJob, { isNodeFailure = false, ...how }: NonNullable<LiveJob["requeue"]>): void {
    job.requeue = null;
    const now = nowMs();
    this.store.transaction(() => {
      const steps = this.store.steps(job.id);
      this.store.saveEarlierRun({
        ...asEarlierRun(job.record, now),
        steps,
        earlierRun: isNodeFailure || steps.some(hasLostNode) ? "NODE_FAIL" : "REQUEUED",
      });
      this.book.apply(job, { kind: "requeued", at: now, eligibleAt: (now + REQUEUE_DELAY_MS) as EpochMs, ...how });
    });
    job.nextStep = 0;
    this.book.queue.add(job);
  }

  #endPending(job: LiveJob, state: "CANCELLED" | "DEADLINE", reason: string): void {
    this.book.queue.remove(job);
    this.book.apply(job, { kind: "cancelledPending", at: nowMs(), by: job.record.userId });
    if (state === "DEADLINE" || reason !== job.record.reason) this.book.save(job, { ...job.record, state, reason });
    this.book.retire(job);
  }

  cancel(target: JobTarget, by: number): void {
    const jobs = this.book.resolve(target);
    if (target.stepKey !== null) {
      for (const job of jobs) {
        const step = job.steps.get(target.stepKey);
        if (step === undefined) throw slurmError("INVALID_JOB_ID");
        this.#steps.terminate(step, "cancelled", { hard: true });
      }
      return;
    }
    for (const job of jobs) this.#cancelJob(job, by);
  }

  /** Many targets as one change of the queue. What could not be done comes back at the target's place. */
  cancelEach(targets: readonly JobTarget[], by: number): (BerthError | null)[] {
    const queued = new Set<LiveJob>();
    const outcomes = targets.map((target) => {
      try {
        const jobs = target.stepKey === null ? this.book.resolve(target) : [];
        if (target.stepKey !== null) this.cancel(target, by);
        for (const job of jobs) {
          if (job.isQueued) queued.add(job);
          else this.#cancelJob(job, by);
        }
        return null;
      } catch (error) {
        if (error instanceof BerthError) return error;
        throw error;
      }
    });
    this.#cancelQueued(queued, by);
    return outcomes;
  }

  #cancelQueued(jobs: ReadonlySet<LiveJob>, by: number): void {
    if (jobs.size === 0) return;
    this.book.applyAll([...jobs], { kind: "cancelledPending", at: nowMs(), by });
    if (jobs.size > 1) this.book.queue.removeAll(jobs);
    else for (const job of jobs) this.book.queue.remove(job);
    for (const job of jobs) this.book.retire(job);
    this.requestPass();
  }

  #cancelJob(job: LiveJob, by: number): void {
    if (job.isQueued) this.#cancelQueued(new Set([job]), by);
    else {
      job.requeue = null;
      this.#end(job, { state: "CANCELLED", reason: "None", cancelledBy: by });
    }
  }

  /** What ran on nodes that are down now is lost: batch jobs that may run again do, the others have failed. */
  nodesFell(names: readonly string[]): void {
    for (const job of [...this.book.occupying]) {
      const failed = job.record.nodes.filter((node) => names.includes(node));
      if (!job.isRunning || failed.length === 0) continue;
      // An srun says which of its step's nodes failed before it says that the step ends.
      for (const step of [...job.steps.values()].filter(({ record }) => record.stepKey !== "batch"))
        for (const node of step.record.nodes) if (failed.includes(node)) this.#steps.message(step, `error: Node failure on ${node}`);
      if (job.record.kind === "batch" && job.record.requeue) {
        job.requeue = { isHeld: false, description: null, isNodeFailure: true };
        this.#end(job, { state: "PENDING", reason: requeueReason(false), cancelledBy: null });
      } else this.#end(job, { state: "NODE_FAIL", reason: "NodeDown", cancelledBy: null });
    }
  }

  // --- Holders of interactive allocations -----------------------------------------------------------------------

  /** The holder's connection closed: the job ends when its process is gone, or does not come back soon. */
  holderDisconnected(job: LiveJob): void {
    if (job.holder === null) return;
    job.holder.connection = null;
    if (!isAlive(job.holder.process)) {
      this.#abandon(job);
      return;
    }
    job.grace = new Alarm(Date.now() + RESUME_GRACE_MS, () => this.#abandon(job));
  }

  #abandon(job: LiveJob): void {
    if (job.holder === null || job.holder.connection !== null) return;
    // A holder that runs the job's step itself takes the step with it, and the step its job.
    if ([...job.steps.values()].some((step) => step.isOwned)) return;
    this.log("job.abandoned", { job: job.id });
    this.#cancelJob(job, job.record.userId);
  }

  resumeHolding(jobId: number, holder: Holder): LiveJob | JobRecord {
    const job = this.book.live.get(jobId as JobId);
    if (job === undefined) {
      const ended = this.book.recent.get(jobId as JobId);
      if (ended === undefined) throw slurmError("INVALID_JOB_ID");
      return ended;
    }
    job.grace?.stop();
    job.grace = undefined;
    job.holder = holder;
    return job;
  }

  releaseAllocation(jobId: number, exit: ExitPair): void {
    const job = this.book.live.get(jobId as JobId);
    if (job === undefined) return; // it has ended already, which is what the caller wants
    if (job.record.state === "PENDING") this.#cancelJob(job, job.record.userId);
    else this.#endWith(job, exit);
  }

  #endWith(job: LiveJob, exit: ExitPair): void {
    this.book.apply(job, { kind: "exited", exit });
    this.#end(job, outcomeOf(exit));
  }

  detach(jobId: number): void {
    const job = this.book.live.get(jobId as JobId);
    if (job === undefined) return;
    job.holder = null;
    this.store.setHolder(job.id, undefined);
  }

  // --- After a restart ------------------------------------------------------------------------------------------

  /** `isSameBoot` is false when the machine was restarted: then no process of any job exists any more. */
  async recover(isSameBoot: boolean): Promise<void> {
    const { config, store, book, resources, log } = this;
    const hooks = {
      actRunning: (job: LiveJob) => this.#actRunning(job),
      setAlarms: (job: LiveJob) => this.setAlarms(job),
      end: (job: LiveJob, outcome: Outcome) => this.#end(job, outcome),
      releaseWhenEmpty: (job: LiveJob) => this.#releaseWhenEmpty(job),
      holderDisconnected: (job: LiveJob) => this.holderDisconnected(job),
      requestPass: () => this.requestPass(),
    };
    await new Recovery({ config, store, book, resources, steps: this.#steps, log, hooks }).run(isSameBoot);
  }

  /** A process whose parent died has come to us and ended. */
  orphanReaped(orphan: { readonly pid: number; readonly waitStatus: number }): void {
    this.#steps.reaped(this.book.live.values(), orphan);
  }

  /** Before the process ends: jobs go on without it, unless they are to be cancelled. */
  async stop(options: { readonly cancelJobs: boolean; readonly by: number }): Promise<void> {
    if (!options.cancelJobs) return;
    const jobs = [...this.book.live.values()];
    for (const job of jobs) this.#cancelJob(job, options.by);
    await Promise.race([
      Promise.all(jobs.map((job) => this.book.waitForEnd(job.id, new AbortController().signal).catch(() => undefined))),
      Bun.sleep((this.config.killWaitSeconds + 5) * 1000),
    ]);
  }
}

/** What the job itself came to counts only when it had ended before it was requeued. */
function asEarlierRun(job: JobRecord, now: EpochMs): JobRecord {
  return { ...job, endedAt: now, flags: [], ...(isTerminal(job.state) ? {} : { state: "CANCELLED", exit: EXIT_ZERO }) };
}

function hasLostNode({ state }: StepRecord): boolean {
  return state === "NODE_FAIL";
}
