/**
 * The controller of the embedded engine: one cluster, one user, this machine.
 *
 * Everything happens on an event (a request, the end of a step, an alarm); nothing polls. Records change only through
 * `next` (job/life.ts), and each change is in the store before anybody is told of it. What a state asks for is done by
 * `#act…` functions that may be repeated safely, because a restart repeats them.
 */
import { slurmError } from "#job/errors.ts";
import { allocationVariables, type JobFacts } from "#job/environment.ts";
import { nowMs, type EpochMs, type JobId, type StepKey } from "#job/id.ts";
import { next, outcomeOf, type JobEvent, type Outcome } from "#job/life.ts";
import { EXIT_ZERO, type ExitPair } from "#job/outcome.ts";
import type { JobRecord, StepRecord, Tres } from "#job/record.ts";
import type { JobRequest } from "#job/request.ts";
import { isTerminal } from "#job/state.ts";
import { foldArraySpec, parseIndexList } from "#options/array.ts";
import { parseDependency, type Dependency, type DependencyJob } from "#options/dependency.ts";
import { compressHostlist } from "#options/hostlist.ts";
import { isAlive, type ProcessIdentity } from "#platform/process-tree.ts";
import type { AllocationInfo, JobTarget, SignalScope, StepRequest } from "../engine.ts";
import { admit, askOf, batchFiles, partitionOf, wantsTooManyNodes, type Submitter } from "./admission.ts";
import type { ClusterConfig } from "./config.ts";
import type { DaemonPool } from "./daemon-pool.ts";
import { judge } from "./dependencies.ts";
import { Alarm, LiveJob, type Holder, type LiveStep } from "./live-job.ts";
import type { Paths } from "./paths.ts";
import { Queue } from "./queue.ts";
import { Resources } from "./resources.ts";
import { schedule, type Holding, type WaitingJob } from "./scheduler.ts";
import { StepManager, type StepManagerHost } from "./step-manager.ts";
import type { Store } from "./store.ts";
import type { StepResult } from "#step/journal.ts";
import type { CreatedStep } from "./wire.ts";
import type { Placement } from "./placement.ts";

/** priority/basic gives this to the first job, and one less to each next one (lifecycle §4.2). */
const FIRST_PRIORITY = 4294901759;
/** Waiting jobs that get a reservation in one pass. */
const BACKFILL_DEPTH = 100;
/** How long an interactive allocation outlives the connection of a process that still runs. */
const RESUME_GRACE_MS = 10_000;
/** Slurm starts a requeued job about two minutes later (lifecycle §5.4). */
const REQUEUE_DELAY_MS = 121_000;
const REQUEUED_HELD = "job requeued in held state";

export interface ControllerOptions {
  readonly config: ClusterConfig;
  readonly paths: Paths;
  readonly store: Store;
  readonly pool: DaemonPool;
  readonly log: (event: string, facts: Readonly<Record<string, unknown>>) => void;
}

export class Controller implements StepManagerHost {
  readonly config: ClusterConfig;
  readonly paths: Paths;
  readonly store: Store;
  readonly pool: DaemonPool;
  readonly log: ControllerOptions["log"];
  readonly #live = new Map<JobId, LiveJob>();
  /** Ended jobs that squeue -t all and scontrol still show. */
  readonly #recent = new Map<JobId, JobRecord>();
  readonly #queue: Queue;
  /** Live jobs that hold resources. */
  readonly #occupying = new Set<LiveJob>();
  readonly #resources: Resources;
  readonly #steps: StepManager;
  readonly #endWaiters = new Map<JobId, Set<() => void>>();
  #isPassQueued = false;
  #timedPass: Alarm | undefined;
  #startedAt = nowMs();

  constructor(options: ControllerOptions) {
    this.config = options.config;
    this.paths = options.paths;
    this.store = options.store;
    this.pool = options.pool;
    this.log = options.log;
    this.#resources = new Resources(this.config.nodes);
    this.#queue = new Queue((name) => partitionOf(this.config, name).priorityTier);
    this.#steps = new StepManager(this);
  }

  get startedAt(): EpochMs {
    return this.#startedAt;
  }

  // --- Submitting -----------------------------------------------------------------------------------------------

  /** Admits a job and queues it. With a token that was used before, answers the job of that time. */
  submit(request: JobRequest, submitter: Submitter, options: { readonly token: string; readonly holder: Holder | null }): LiveJob | JobRecord {
    const known = this.store.findToken(options.token);
    if (known !== undefined) {
      const found = this.#live.get(known) ?? this.#recent.get(known);
      if (found !== undefined) return found;
    }
    const dependency = this.#parseDependency(request.options.dependency);
    const job = this.store.transaction(() => {
      const jobId = this.store.nextJobId(this.config.firstJobId);
      const record = admit(request, {
        config: this.config, total: this.#resources.total(), submitter, jobId, now: nowMs(), priority: Math.max(1, FIRST_PRIORITY - jobId),
      });
      this.store.saveJob(record);
      this.store.addRequest(jobId, request, options.token);
      if (options.holder !== null) this.store.setHolder(jobId, options.holder.process);
      return this.#liveJob(record, request, dependency);
    });
    job.holder = options.holder;
    this.#enqueue(job);
    return job;
  }

  #parseDependency(text: string | null): Dependency | null {
    if (text === null || text === "") return null;
    const dependency = parseDependency(text);
    for (const { type, jobs } of dependency.terms) {
      for (const job of jobs) {
        if ((type === "afterok" || type === "afternotok") && this.#findRecords(job).length === 0) throw slurmError("DEPENDENCY");
      }
    }
    return dependency;
  }

  #liveJob(record: JobRecord, request: JobRequest, dependency: Dependency | null): LiveJob {
    const pending = record.array?.pendingIndices ?? null;
    return new LiveJob(record, {
      ask: askOf(request.options, partitionOf(this.config, record.partition)),
      killOnInvalidDependency: request.options.killOnInvalidDependency === true,
      dependency,
      pendingTasks: pending === null ? null : parseIndexList(pending, this.config.maxArraySize) ?? [],
    });
  }

  #enqueue(job: LiveJob): void {
    this.#live.set(job.id, job);
    this.#queue.add(job);
    this.requestPass();
  }

  // --- Scheduling -----------------------------------------------------------------------------------------------

  /** Looks at the queue soon; many requests make one pass. */
  requestPass(): void {
    if (this.#isPassQueued) return;
    this.#isPassQueued = true;
    queueMicrotask(() => {
      this.#isPassQueued = false;
      this.#pass();
    });
  }

  #pass(): void {
    const now = nowMs();
    const again: number[] = [];
    const decision = schedule({
      now,
      free: this.#resources.free(),
      holdings: this.#holdings(),
      waiting: this.#eligible(now, again),
      depth: BACKFILL_DEPTH,
    });
    for (const { jobId, reason, expectedStartAt } of decision.waits) {
      const job = this.#live.get(jobId);
      if (job !== undefined) this.#annotate(job, { reason, expectedStartAt, lastSchedEvalAt: now });
    }
    let isArrayLeft = false;
    for (const { jobId, placements, isBackfill } of decision.starts) {
      const job = this.#live.get(jobId);
      if (job === undefined) continue;
      const task = this.#splitArray(job);
      if (task !== job) isArrayLeft = true;
      this.#grant(task, placements, isBackfill);
    }
    if (isArrayLeft) this.requestPass();
    this.#timedPass?.stop();
    this.#timedPass = again.length === 0 ? undefined : new Alarm(Math.min(...again), () => this.requestPass());
  }

  #holdings(): Holding[] {
    const holdings: Holding[] = [];
    for (const { record } of this.#occupying) {
      if (record.startedAt === null) continue;
      const placements = record.shares.map((share) => ({
        node: share.node, tasks: 0, cpus: share.cpuIds.length, memMib: share.memMib,
        gres: Object.fromEntries(Object.entries(share.gres).map(([name, ids]) => [name, ids.length])),
      }));
      holdings.push({ until: record.timeLimitMinutes === null ? Infinity : record.startedAt + record.timeLimitMinutes * 60_000, placements });
    }
    return holdings;
  }

  /** Jobs that may start as soon as there is room; the others get their reason. `again` collects times to look once more. */
  *#eligible(now: EpochMs, again: number[]): Generator<WaitingJob> {
    for (const job of this.#queue) {
      const reason = this.#whyNot(job, now, again);
      if (reason === undefined) {
        const { record } = job;
        yield {
          jobId: record.jobId, partition: record.partition, ask: job.ask,
          durationMs: record.timeLimitMinutes === null ? Infinity : record.timeLimitMinutes * 60_000,
        };
      } else if (reason !== "ended") this.#annotate(job, { reason });
    }
  }

  #whyNot(job: LiveJob, now: EpochMs, again: number[]): string | undefined {
    const { record } = job;
    if (record.deadlineAt !== null && now >= record.deadlineAt) {
      this.#endPending(job, "DEADLINE", "DeadLine");
      return "ended";
    }
    if (record.priority === 0) return record.reason === "JobHeldAdmin" ? "JobHeldAdmin" : "JobHeldUser";
    const dependency = this.#dependencyReason(job, now, again);
    if (dependency !== undefined) return dependency;
    if (record.eligibleAt !== null && record.eligibleAt > now) {
      again.push(record.eligibleAt);
      return "BeginTime";
    }
    if (record.eligibleAt === null) this.#annotate(job, { eligibleAt: now });
    const partition = partitionOf(this.config, record.partition);
    if (partition.state === "DOWN") return "PartitionDown";
    if (wantsTooManyNodes(job.ask, partition)) return "PartitionConfig";
    if (partition.maxTimeMinutes !== null && (record.timeLimitMinutes ?? Infinity) > partition.maxTimeMinutes) return "PartitionTimeLimit";
    if (this.#isThrottled(job)) return "JobArrayTaskLimit";
    if (!this.#hasLicenses(job)) return "Licenses";
    return undefined;
  }

  #dependencyReason(job: LiveJob, now: EpochMs, again: number[]): string | undefined {
    if (job.dependency === null) return undefined;
    const { standing, text, againAt } = judge(job.dependency, {
      now, self: job.record,
      find: (wanted) => this.#findRecords(wanted),
      hasTwin: () => [...this.#live.values()].some(({ record }) => record.jobId < job.id && record.name === job.record.name && record.userId === job.record.userId),
    });
    if (againAt !== null) again.push(againAt);
    this.#annotate(job, { dependency: text });
    if (standing === "fulfilled") return undefined;
    if (standing === "waiting") return "Dependency";
    if (job.killOnInvalidDependency) {
      this.#endPending(job, "CANCELLED", "DependencyNeverSatisfied");
      return "ended";
    }
    return "DependencyNeverSatisfied";
  }

  #findRecords(wanted: DependencyJob): readonly JobRecord[] {
    const matches = (job: JobRecord) => (job.jobId === wanted.jobId && wanted.arrayTask === null)
      || (job.array?.jobId === wanted.jobId && (wanted.arrayTask === null || job.array.taskId === wanted.arrayTask));
    const found = [...[...this.#live.values()].map((job) => job.record), ...this.#recent.values()].filter(matches);
    return found.length > 0 ? found : this.store.accounting({ jobIds: [wanted.jobId], from: null, to: null }).filter(matches);
  }

  #isThrottled(job: LiveJob): boolean {
    const { array } = job.record;
    if (array?.throttle == null || array.throttle === 0) return false;
    let running = 0;
    for (const other of this.#occupying) if (other.record.array?.jobId === array.jobId) running++;
    return running >= array.throttle;
  }

  #hasLicenses(job: LiveJob): boolean {
    if (job.record.licenses === null) return true;
    const used = new Map<string, number>();
    const each = (text: string | null, add: (name: string, count: number) => void) => {
      for (const entry of (text ?? "").split(/[,;]/).filter(Boolean)) {
        const [name = "", count = "1"] = entry.split(":");
        add(name, Number(count));
      }
    };
    for (const other of this.#occupying) {
      each(other.record.licenses, (name, count) => used.set(name, (used.get(name) ?? 0) + count));
    }
    let fits = true;
    each(job.record.licenses, (name, count) => { if ((used.get(name) ?? 0) + count > (this.config.licenses[name] ?? 0)) fits = false; });
    return fits;
  }

  /** The next task of an array as a job of its own; the last one keeps the array's id (lifecycle §6). */
  #splitArray(job: LiveJob): LiveJob {
    const { pendingTasks, record } = job;
    const { array } = record;
    if (pendingTasks === null || array === null) return job;
    const [taskId = 0] = pendingTasks;
    return this.#splitTask(job, taskId);
  }

  #splitTask(master: LiveJob, taskId: number): LiveJob {
    const { array } = master.record;
    if (array === null || master.pendingTasks === null) throw new Error(`job ${master.id} has no tasks to split`);
    const rest = master.pendingTasks.filter((index) => index !== taskId);
    const request = this.#request(master);
    if (rest.length === 0) {
      master.pendingTasks = null;
      const record = { ...master.record, array: { ...array, taskId, pendingIndices: null } };
      this.#save(master, { ...record, ...batchFiles(request, record) });
      return master;
    }
    return this.store.transaction(() => {
      const record: JobRecord = { ...master.record, jobId: this.store.nextJobId(this.config.firstJobId), array: { ...array, taskId, pendingIndices: null } };
      const task = new LiveJob({ ...record, ...batchFiles(request, record) }, { ask: master.ask,
        killOnInvalidDependency: master.killOnInvalidDependency, dependency: master.dependency, pendingTasks: null });
      this.#live.set(task.id, task);
      this.#queue.add(task);
      this.store.saveJob(task.record);
      // The last one left is no longer a set of tasks, and has files of its own.
      const [last] = rest;
      const isLast = rest.length === 1 && last !== undefined;
      master.pendingTasks = isLast ? null : rest;
      const left: JobRecord = { ...master.record, array: isLast ? { ...array, taskId: last, pendingIndices: null }
        : { ...array, pendingIndices: foldArraySpec({ indices: rest, throttle: null }, 0) } };
      this.#save(master, isLast ? { ...left, ...batchFiles(request, left) } : left);
      return task;
    });
  }

  #request(job: LiveJob): JobRequest {
    const request = this.store.request(job.record.array?.jobId ?? job.id);
    if (request === undefined) throw new Error(`the request of job ${job.id} is not in the store`);
    return request;
  }

  // --- Running --------------------------------------------------------------------------------------------------

  #grant(job: LiveJob, placements: readonly Placement[], isBackfill: boolean): void {
    this.#queue.remove(job);
    const shares = placements.map((placement) => this.#resources.take(placement));
    this.#occupying.add(job);
    this.#apply(job, { kind: "granted", at: nowMs(), shares, allocated: allocatedTres(shares, job.record), isBackfill });
    this.#actRunning(job);
  }

  /** What a running job needs: its alarms, and its script or its holder. Harmless to repeat. */
  #actRunning(job: LiveJob): void {
    this.#setAlarms(job);
    if (job.record.kind === "batch") {
      if (job.steps.has("batch")) return;
      void this.#launchBatch(job);
    } else job.holder?.notify({ kind: "granted", info: this.allocationInfo(job), waited: false });
  }

  async #launchBatch(job: LiveJob): Promise<void> {
    try {
      const request = this.#request(job);
      this.#save(job, { ...job.record, ...batchFiles(request, job.record) });
      await this.#steps.launchBatch(job, request);
    } catch (error) {
      this.log("job.launchFailed", { job: job.id, error: String(error) });
      this.#apply(job, { kind: "exited", exit: { code: 0, signal: 53 } });
      this.#end(job, { state: "FAILED", reason: "JobLaunchFailure", cancelledBy: null });
    }
  }

  #setAlarms(job: LiveJob): void {
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
    const request = this.#request(job);
    const { options } = request;
    return {
      cluster: { clusterName: this.config.clusterName, configFile: this.config.file },
      job: job.record,
      nodeList: compressHostlist(job.record.nodes),
      tasksPerNode: tasksPerNode(job.record, job.ask.overcommit),
      given: { tasks: options.tasks !== null || options.tasksPerNode !== null, cpusPerTask: options.cpusPerTask !== null },
      gpuOptions: {
        SLURM_GPUS: options.gpus, SLURM_GPUS_PER_NODE: options.gpusPerNode, SLURM_GPUS_PER_TASK: options.gpusPerTask,
        SLURM_GPUS_PER_SOCKET: options.gpusPerSocket, SLURM_CPUS_PER_GPU: options.cpusPerGpu === null ? null : String(options.cpusPerGpu),
        SLURM_OVERCOMMIT: options.overcommit ? "1" : null, SLURM_HINT: options.unused["hint"] ?? null,
        SLURM_THREADS_PER_CORE: options.unused["threads-per-core"] ?? null,
      },
    };
  }

  allocationInfo(job: LiveJob): AllocationInfo {
    return { job: job.record, environment: allocationVariables(this.jobFacts(job)), killWaitSeconds: this.config.killWaitSeconds };
  }

  /** @throws BerthError when there is no such job, or it runs no longer or not yet */
  findRunning(jobId: number): LiveJob {
    const job = this.#live.get(jobId as JobId);
    if (job === undefined) throw this.#recent.has(jobId as JobId) ? slurmError("ALREADY_DONE") : slurmError("INVALID_JOB_ID");
    if (job.record.state === "PENDING") throw slurmError("JOB_PENDING");
    if (!job.isRunning) throw slurmError("ALREADY_DONE");
    return job;
  }

  createStep(request: StepRequest, options: { readonly signal: AbortSignal; readonly onWait: (text: string) => void }): Promise<CreatedStep> {
    return this.#steps.create(this.findRunning(request.jobId), request, options);
  }

  // --- Ending ---------------------------------------------------------------------------------------------------

  stepEnded(job: LiveJob, step: LiveStep, result: StepResult): void {
    const { stepKey } = step.record;
    if (typeof stepKey === "number") this.#apply(job, { kind: "stepEnded", exit: result.exit });
    if (stepKey === "batch") {
      this.#apply(job, { kind: "exited", exit: result.exit });
      if (result.launchFailure === null) this.#end(job, outcomeOf(result.exit));
      else this.#end(job, { state: "FAILED", reason: "JobLaunchFailure", cancelledBy: null });
    }
    this.#releaseWhenEmpty(job);
  }

  /** Decides how the job ends, ends its steps, and releases it when they are gone. The first outcome stays. */
  #end(job: LiveJob, outcome: Outcome): void {
    const isRequeueOverruled = outcome.state === "CANCELLED" && job.record.state === "PENDING" && !job.isQueued;
    if (!job.isRunning && !isRequeueOverruled) return;
    this.#apply(job, { kind: "finishing", at: nowMs(), outcome });
    job.stopAlarms();
    const reason = outcome.state === "TIMEOUT" ? "timeLimit" : outcome.state === "CANCELLED" ? "cancelled"
      : outcome.state === "NODE_FAIL" ? "nodeFailure" : job.requeue !== null ? "requeued" : "jobEnded";
    for (const step of job.steps.values()) this.#steps.terminate(step, reason, { hard: false });
    this.#releaseWhenEmpty(job);
  }

  #releaseWhenEmpty(job: LiveJob): void {
    if (job.steps.size > 0 || !job.record.flags.includes("COMPLETING")) return;
    for (const share of job.record.shares) this.#resources.giveBack(share);
    this.#occupying.delete(job);
    if (job.requeue !== null) this.#requeueNow(job, job.requeue);
    else {
      this.#apply(job, { kind: "released", at: nowMs() });
      this.#retire(job);
    }
    this.requestPass();
  }

  #requeueNow(job: LiveJob, how: NonNullable<LiveJob["requeue"]>): void {
    job.requeue = null;
    const now = nowMs();
    this.#apply(job, { kind: "requeued", at: now, eligibleAt: (now + REQUEUE_DELAY_MS) as EpochMs, ...how });
    this.#queue.add(job);
  }

  #endPending(job: LiveJob, state: "CANCELLED" | "DEADLINE", reason: string): void {
    this.#queue.remove(job);
    this.#apply(job, { kind: "cancelledPending", at: nowMs(), by: job.record.userId });
    if (state === "DEADLINE" || reason !== job.record.reason) this.#save(job, { ...job.record, state, reason });
    this.#retire(job);
  }

  /** The job is over: it leaves the working set and is remembered for MinJobAge. */
  #retire(job: LiveJob): void {
    job.stopAlarms();
    this.#live.delete(job.id);
    const { record } = job;
    this.#recent.set(job.id, record);
    const age = setTimeout(() => this.#recent.delete(record.jobId), this.config.minJobAgeSeconds * 1000);
    age.unref();
    job.holder?.ended(record);
    this.store.setHolder(job.id, undefined);
    // A task of an array is waited for by its own id, or by the array's.
    for (const id of new Set([job.id, record.array?.jobId ?? job.id])) for (const wake of this.#endWaiters.get(id) ?? []) wake();
    this.log("job.ended", { job: job.id, state: record.state, exit: record.exit });
  }

  cancel(target: JobTarget, by: number): void {
    const jobs = this.#resolve(target);
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

  #cancelJob(job: LiveJob, by: number): void {
    if (job.isQueued) {
      this.#queue.remove(job);
      this.#apply(job, { kind: "cancelledPending", at: nowMs(), by });
      this.#retire(job);
      this.requestPass();
    } else {
      job.requeue = null;
      this.#end(job, { state: "CANCELLED", reason: "None", cancelledBy: by });
    }
  }

  signal(target: JobTarget & { readonly signalNumber: number; readonly scope: SignalScope }, by: number): void {
    if (target.signalNumber === 9 && target.stepKey === null && target.scope !== "batch") {
      this.cancel(target, by);
      return;
    }
    for (const job of this.#resolve(target)) {
      if (job.record.state === "PENDING") throw slurmError("JOB_PENDING");
      this.#signalJob(job, target);
    }
  }

  #signalJob(job: LiveJob, target: JobTarget & { readonly signalNumber: number; readonly scope: SignalScope }): void {
    const { scope, signalNumber, stepKey } = target;
    let isFound = false;
    for (const [key, step] of job.steps) {
      const isBatch = key === "batch";
      const isMeant = stepKey !== null ? key === stepKey : scope === "full" || isBatch === (scope === "batch");
      if (!isMeant) continue;
      isFound = true;
      this.#steps.signal(step, signalNumber, isBatch && scope === "batch" ? "batch" : "full");
    }
    if (stepKey !== null && !isFound) throw slurmError("INVALID_JOB_ID");
    if (signalNumber === 19 || signalNumber === 18) {
      const flags = job.record.flags.filter((flag) => flag !== "STOPPED");
      this.#save(job, { ...job.record, flags: signalNumber === 19 ? [...flags, "STOPPED"] : flags });
    }
  }

  // --- Holding, requeueing, suspending, updating -----------------------------------------------------------------

  hold(target: JobTarget): void {
    for (const job of this.#resolve(target)) this.#reprioritise(job, 0, "JobHeldUser");
  }

  releaseHold(target: JobTarget): void {
    for (const job of this.#resolve(target)) {
      if (job.record.priority !== 0) continue;
      this.#reprioritise(job, Math.max(1, FIRST_PRIORITY - job.id - job.record.nice), "None");
    }
    this.requestPass();
  }

  #reprioritise(job: LiveJob, priority: number, reason: string): void {
    const { isQueued } = job;
    if (isQueued) this.#queue.remove(job);
    this.#save(job, { ...job.record, priority, reason, stateDescription: priority === 0 ? job.record.stateDescription : null });
    if (isQueued) this.#queue.add(job);
  }

  requeue(target: JobTarget & { readonly hold: boolean }): void {
    const how = { isHeld: target.hold, description: target.hold ? REQUEUED_HELD : null };
    const jobs = this.#resolve(target, { orEnded: true });
    for (const job of jobs) if (!job.record.requeue || job.record.kind !== "batch") throw slurmError("DISABLED");
    for (const job of jobs) {
      if (job.record.state === "PENDING") {
        if (!job.isQueued) job.requeue = how;
        else if (target.hold) this.#reprioritise(job, 0, "JobHeldUser");
      } else if (job.isRunning) {
        job.requeue = how;
        this.#end(job, { state: "PENDING", reason: requeueReason(how.isHeld), cancelledBy: null });
      } else {
        this.#recent.delete(job.id);
        this.#live.set(job.id, job);
        this.#requeueNow(job, how);
        this.requestPass();
      }
    }
  }

  suspend(target: JobTarget): void {
    for (const job of this.#resolve(target)) {
      if (job.record.state === "PENDING") throw slurmError("JOB_PENDING");
      if (job.record.state !== "RUNNING") throw slurmError("ALREADY_DONE");
      for (const step of job.steps.values()) this.#steps.signal(step, 19, "full");
      this.#apply(job, { kind: "suspended", at: nowMs() });
      job.stopAlarms();
    }
  }

  resume(target: JobTarget): void {
    for (const job of this.#resolve(target)) {
      if (job.record.state !== "SUSPENDED") throw slurmError("ALREADY_DONE");
      this.#apply(job, { kind: "resumed", at: nowMs() });
      for (const step of job.steps.values()) this.#steps.signal(step, 18, "full");
      this.#setAlarms(job);
    }
  }

  /** Changes that were checked already (update.ts); a pending job is looked at again, a running one gets new alarms. */
  change(target: JobTarget, edit: (job: JobRecord) => JobRecord): void {
    for (const job of this.#resolve(target)) {
      const edited = edit(job.record);
      const { isQueued } = job;
      if (isQueued) this.#queue.remove(job);
      this.#save(job, edited);
      if (isQueued) this.#queue.add(job);
      else if (job.isRunning) this.#setAlarms(job);
    }
    this.requestPass();
  }

  /** Live jobs that a target names; tasks of an array that have not started become jobs of their own when they are named. */
  #resolve(target: JobTarget, options: { readonly orEnded?: boolean } = {}): LiveJob[] {
    const found: LiveJob[] = [];
    const single = target.arrayTasks === null ? this.#live.get(target.jobId as JobId) : undefined;
    if (single !== undefined && single.record.array === null) return [single];
    for (const job of [...this.#live.values()]) {
      const { array } = job.record;
      if (target.arrayTasks === null) {
        if (job.id === target.jobId || array?.jobId === target.jobId) found.push(job);
      } else if (array?.jobId === target.jobId) {
        if (array.taskId !== null && target.arrayTasks.includes(array.taskId)) found.push(job);
        for (const index of target.arrayTasks) if (job.pendingTasks?.includes(index) === true) found.push(this.#splitTask(job, index));
      }
    }
    // An id that is both an array's and its last task's own means the array only when nothing narrower fits.
    if (found.length > 0) return found;
    const ended = this.#recent.get(target.jobId as JobId);
    if (ended === undefined) throw slurmError("INVALID_JOB_ID");
    if (options.orEnded !== true) throw slurmError("ALREADY_DONE");
    const request = this.store.request(ended.array?.jobId ?? ended.jobId);
    if (request === undefined) throw slurmError("INVALID_JOB_ID");
    return [this.#liveJob(ended, request, null)];
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
    this.log("job.abandoned", { job: job.id });
    this.#cancelJob(job, job.record.userId);
  }

  resumeHolding(jobId: number, holder: Holder): LiveJob | JobRecord {
    const job = this.#live.get(jobId as JobId);
    if (job === undefined) {
      const ended = this.#recent.get(jobId as JobId);
      if (ended === undefined) throw slurmError("INVALID_JOB_ID");
      return ended;
    }
    job.grace?.stop();
    job.grace = undefined;
    job.holder = holder;
    return job;
  }

  releaseAllocation(jobId: number, exit: ExitPair): void {
    const job = this.#live.get(jobId as JobId);
    if (job === undefined) return; // it has ended already, which is what the caller wants
    if (job.record.state === "PENDING") this.#cancelJob(job, job.record.userId);
    else {
      this.#apply(job, { kind: "exited", exit });
      this.#end(job, outcomeOf(exit));
    }
  }

  detach(jobId: number): void {
    const job = this.#live.get(jobId as JobId);
    if (job === undefined) return;
    job.holder = null;
    this.store.setHolder(job.id, undefined);
  }

  // --- Questions ------------------------------------------------------------------------------------------------

  *records(): Generator<JobRecord> {
    for (const record of this.#recent.values()) yield record;
    for (const job of this.#live.values()) yield job.record;
  }

  *stepRecords(): Generator<StepRecord> {
    for (const job of this.#live.values()) for (const step of job.steps.values()) yield step.record;
  }

  get liveJobs(): number {
    return this.#live.size;
  }

  runningSteps(): { readonly jobId: JobId; readonly stepKey: StepKey }[] {
    return [...this.stepRecords()].map(({ jobId, stepKey }) => ({ jobId, stepKey }));
  }

  /** Resolves with the records of the job, or of its array's tasks, when none of them is live. */
  async waitForEnd(jobId: number, signal: AbortSignal): Promise<readonly JobRecord[]> {
    const isLive = () => [...this.#live.values()].some((job) => job.id === jobId || job.record.array?.jobId === jobId);
    const key = jobId as JobId;
    while (isLive() && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const waiters = this.#endWaiters.get(key) ?? new Set();
      this.#endWaiters.set(key, waiters.add(resolve));
      signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
      waiters.delete(resolve);
      if (waiters.size === 0) this.#endWaiters.delete(key);
    }
    const ended = this.store.accounting({ jobIds: [jobId], from: null, to: null });
    if (ended.length === 0) throw slurmError("INVALID_JOB_ID");
    return ended;
  }

  /** When and where a request would start; nothing is kept of it. */
  tryJob(request: JobRequest, submitter: Submitter): { jobId: JobId; startAt: EpochMs; cpus: number; nodes: readonly string[]; partition: string } {
    const now = nowMs();
    const jobId = Math.max(Number(this.store.meta("nextJobId") ?? 1), this.config.firstJobId) as JobId;
    const record = admit(request, { config: this.config, total: this.#resources.total(), submitter, jobId, now, priority: 1 });
    const ask = askOf(request.options, partitionOf(this.config, record.partition));
    const durationMs = (record.timeLimitMinutes ?? Infinity) * 60_000;
    const waiting = [...this.#eligible(now, []), { jobId, partition: record.partition, ask, durationMs }];
    const decision = schedule({ now, free: this.#resources.free(), holdings: this.#holdings(), waiting, depth: waiting.length + 1 });
    const start = decision.starts.find((found) => found.jobId === jobId);
    const wait = decision.waits.find((found) => found.jobId === jobId);
    const total = schedule({ now, free: this.#resources.total(), holdings: [], waiting: [{ jobId, partition: record.partition, ask, durationMs }], depth: 1 });
    const placements = start?.placements ?? total.starts[0]?.placements;
    if (placements === undefined) throw slurmError("NODE_CONFIG_UNAVAILABLE");
    return {
      jobId, partition: record.partition,
      startAt: wait?.expectedStartAt ?? now,
      cpus: placements.reduce((sum, { cpus }) => sum + cpus, 0),
      nodes: placements.map(({ node }) => node),
    };
  }

  batchScript(jobId: number): string {
    const job = this.store.accounting({ jobIds: [jobId], from: null, to: null })[0];
    const script = job === undefined ? undefined : this.store.request(job.array?.jobId ?? job.jobId)?.batch?.script;
    if (script === undefined) throw slurmError("INVALID_JOB_ID");
    return script;
  }

  // --- Records --------------------------------------------------------------------------------------------------

  #apply(job: LiveJob, event: JobEvent): void {
    this.#save(job, next(job.record, event));
  }

  #save(job: LiveJob, record: JobRecord): void {
    job.record = record;
    this.store.saveJob(record);
  }

  /** What the scheduler thinks of a waiting job: shown, but not worth a write. */
  #annotate(job: LiveJob, facts: Partial<Pick<JobRecord, "reason" | "expectedStartAt" | "lastSchedEvalAt" | "dependency" | "eligibleAt">>): void {
    job.record = { ...job.record, ...facts };
  }

  // --- After a restart ------------------------------------------------------------------------------------------

  /**
   * Takes up the work of a controller that stopped or was killed. `isSameBoot` is false when the machine was
   * restarted: then no process of any job exists any more.
   */
  async recover(isSameBoot: boolean): Promise<void> {
    const since = (Date.now() - this.config.minJobAgeSeconds * 1000) as EpochMs;
    for (const record of this.store.recentlyEnded(since)) {
      this.#recent.set(record.jobId, record);
      setTimeout(() => this.#recent.delete(record.jobId), this.config.minJobAgeSeconds * 1000).unref();
    }
    for (const record of this.store.liveJobs()) await this.#recoverJob(record, isSameBoot);
    this.requestPass();
  }

  async #recoverJob(record: JobRecord, isSameBoot: boolean): Promise<void> {
    const request = this.store.request(record.array?.jobId ?? record.jobId);
    if (request === undefined) {
      this.log("job.unreadable", { job: record.jobId });
      return;
    }
    const { dependency } = request.options;
    const job = this.#liveJob(record, request, dependency === null ? null : parseDependency(dependency));
    this.#live.set(job.id, job);
    const holder = this.store.holder(job.id);
    if (holder !== undefined) this.#expectHolder(job, holder);
    if (job.isQueued) {
      this.#queue.add(job);
      return;
    }
    if (record.state === "PENDING") {
      const isHeld = record.reason === requeueReason(true);
      job.requeue = { isHeld, description: isHeld ? REQUEUED_HELD : null };
    }
    for (const share of record.shares) this.#resources.hold(share);
    this.#occupying.add(job);
    if (!isSameBoot) {
      this.#recoverAfterBoot(job);
      return;
    }
    const running = this.store.steps(job.id).filter((step) => !isTerminal(step.state));
    for (const key of this.store.stepKeys(job.id)) if (typeof key === "number") job.nextStep = Math.max(job.nextStep, key + 1);
    for (const step of running) await this.#steps.recover(job, step);
    if (job.isRunning) this.#recoverRunning(job);
    else {
      for (const step of job.steps.values()) this.#steps.terminate(step, "cancelled", { hard: false });
      this.#releaseWhenEmpty(job);
    }
  }

  #recoverRunning(job: LiveJob): void {
    const hasRun = this.store.stepKeys(job.id).includes("batch");
    if (job.record.kind === "batch" && (job.steps.has("batch") || hasRun)) this.#setAlarms(job);
    else this.#actRunning(job);
  }

  /** The process that held it is expected to come back; when it is gone, so is the job. */
  #expectHolder(job: LiveJob, process: ProcessIdentity): void {
    job.holder = { process, connection: null, notify: () => undefined, ended: () => undefined };
    queueMicrotask(() => this.holderDisconnected(job));
  }

  #recoverAfterBoot(job: LiveJob): void {
    const at = nowMs();
    for (const step of this.store.steps(job.id)) {
      if (!isTerminal(step.state)) this.store.saveStep({ ...step, state: "NODE_FAIL", endedAt: at });
    }
    if (job.record.kind === "batch" && job.record.requeue && job.isRunning) job.requeue = { isHeld: false, description: null };
    this.#apply(job, { kind: "exited", exit: EXIT_ZERO });
    this.#end(job, job.requeue === null ? { state: "NODE_FAIL", reason: "NodeDown", cancelledBy: null } : { state: "PENDING", reason: "None", cancelledBy: null });
    this.#releaseWhenEmpty(job);
  }

  /** A process whose parent died has come to us and ended. */
  orphanReaped(orphan: { readonly pid: number; readonly waitStatus: number }): void {
    this.#steps.reaped(this.#live.values(), orphan);
  }

  /** Before the process ends: jobs go on without it, unless they are to be cancelled. */
  async stop(options: { readonly cancelJobs: boolean; readonly by: number }): Promise<void> {
    if (!options.cancelJobs) return;
    const jobs = [...this.#live.values()];
    for (const job of jobs) this.#cancelJob(job, options.by);
    await Promise.race([
      Promise.all(jobs.map((job) => this.waitForEnd(job.id, new AbortController().signal).catch(() => undefined))),
      Bun.sleep((this.config.killWaitSeconds + 5) * 1000),
    ]);
  }
}

/** Of a job that is requeued while its old run still ends: a controller that takes over finds there what was asked for. */
function requeueReason(isHeld: boolean): string {
  return isHeld ? "JobHeldUser" : "BeginTime";
}

function allocatedTres(shares: JobRecord["shares"], job: JobRecord): Tres {
  const gres: Record<string, number> = {};
  for (const share of shares) for (const [name, ids] of Object.entries(share.gres)) gres[name] = (gres[name] ?? 0) + ids.length;
  const isMemoryTracked = job.memPerNodeMib !== null || job.memPerCpuMib !== null;
  return {
    cpus: shares.reduce((sum, share) => sum + share.cpuIds.length, 0),
    memMib: isMemoryTracked ? shares.reduce((sum, share) => sum + share.memMib, 0) : null,
    nodes: shares.length,
    gres,
  };
}

/** Tasks on each allocated node, as the job's own layout has them. */
function tasksPerNode(job: JobRecord, isOvercommitted: boolean): number[] {
  let left = job.tasks;
  return job.shares.map((share, index) => {
    const after = job.shares.length - index - 1;
    const capacity = isOvercommitted ? left : Math.min(Math.floor(share.cpuIds.length / job.cpusPerTask), job.tasksPerNode ?? Infinity);
    const tasks = Math.max(0, Math.min(Math.max(capacity, 1), Math.max(1, left - after), left));
    left -= tasks;
    return tasks;
  });
}

