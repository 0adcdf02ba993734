/**
 * The jobs that the controller knows, by id: live ones, and ended ones for as long as the show commands remember them
 * (MinJobAge). Records change here only, through `next` (job/life.ts), and each change is in the store at once.
 */
import { slurmError } from "#job/errors.ts";
import type { JobId, StepKey } from "#job/id.ts";
import { next, type JobEvent } from "#job/life.ts";
import type { JobRecord, StepRecord } from "#job/record.ts";
import type { JobRequest } from "#job/request.ts";
import { foldArraySpec, parseIndexList } from "#options/array.ts";
import type { Dependency, DependencyJob } from "#options/dependency.ts";
import type { JobTarget } from "../engine.ts";
import { askOf, batchFiles, partitionOf } from "./admission.ts";
import type { ClusterConfig } from "./config.ts";
import { LiveJob } from "./live-job.ts";
import { Queue } from "./queue.ts";
import type { Store } from "./store.ts";

export type Log = (event: string, facts: Readonly<Record<string, unknown>>) => void;

export class JobBook {
  readonly config: ClusterConfig;
  readonly store: Store;
  readonly log: Log;
  readonly live = new Map<JobId, LiveJob>();
  /** Ended jobs that squeue -t all and scontrol still show. */
  readonly recent = new Map<JobId, JobRecord>();
  readonly queue: Queue;
  /** Live jobs that hold resources. */
  readonly occupying = new Set<LiveJob>();
  readonly #endWaiters = new Map<JobId, Set<() => void>>();

  constructor(options: { readonly config: ClusterConfig; readonly store: Store; readonly log: Log }) {
    this.config = options.config;
    this.store = options.store;
    this.log = options.log;
    this.queue = new Queue((name) => partitionOf(this.config, name).priorityTier);
  }

  liveJob(record: JobRecord, request: JobRequest, dependency: Dependency | null): LiveJob {
    const pending = record.array?.pendingIndices ?? null;
    return new LiveJob(record, {
      ask: askOf(request.options, partitionOf(this.config, record.partition)),
      killOnInvalidDependency: request.options.killOnInvalidDependency === true,
      dependency,
      pendingTasks: pending === null ? null : (parseIndexList(pending, this.config.maxArraySize) ?? []),
    });
  }

  findRecords(wanted: DependencyJob): readonly JobRecord[] {
    const matches = (job: JobRecord) =>
      (job.jobId === wanted.jobId && wanted.arrayTask === null) ||
      (job.array?.jobId === wanted.jobId && (wanted.arrayTask === null || job.array.taskId === wanted.arrayTask));
    const found = [...[...this.live.values()].map((job) => job.record), ...this.recent.values()].filter(matches);
    return found.length > 0 ? found : this.store.accounting({ jobIds: [wanted.jobId], from: null, to: null }).filter(matches);
  }

  /** The next task of an array as a job of its own; the last one keeps the array's id (lifecycle §6). */
  splitArray(job: LiveJob): LiveJob {
    const { pendingTasks, record } = job;
    const { array } = record;
    if (pendingTasks === null || array === null) return job;
    const [taskId = 0] = pendingTasks;
    const task = this.splitTask(job, taskId);
    if (task !== job && job.pendingTasks?.length === 1) this.#becomeLastTask(job);
    return task;
  }

  splitTask(master: LiveJob, taskId: number): LiveJob {
    const { array } = master.record;
    if (array === null || master.pendingTasks === null) throw new Error(`job ${master.id} has no tasks to split`);
    const rest = master.pendingTasks.filter((index) => index !== taskId);
    const request = this.request(master);
    if (rest.length === 0) {
      master.pendingTasks = null;
      const record = { ...master.record, array: { ...array, taskId, pendingIndices: null } };
      this.save(master, { ...record, ...batchFiles(request, record) });
      return master;
    }
    return this.store.transaction(() => {
      const record: JobRecord = {
        ...master.record,
        jobId: this.store.nextJobId(this.config.firstJobId),
        array: { ...array, taskId, pendingIndices: null },
      };
      const task = new LiveJob(
        { ...record, ...batchFiles(request, record) },
        { ask: master.ask, killOnInvalidDependency: master.killOnInvalidDependency, dependency: master.dependency, pendingTasks: null },
      );
      this.live.set(task.id, task);
      this.queue.add(task);
      this.store.saveJob(task.record);
      master.pendingTasks = rest;
      this.save(master, { ...master.record, array: { ...array, pendingIndices: foldArraySpec({ indices: rest, throttle: null }, 0) } });
      return task;
    });
  }

  /** The last one left, once others have started, is no longer a set of tasks, and has files of its own. */
  #becomeLastTask(master: LiveJob): void {
    const { array } = master.record;
    const [taskId] = master.pendingTasks ?? [];
    if (array === null || taskId === undefined) return;
    master.pendingTasks = null;
    const record: JobRecord = { ...master.record, array: { ...array, taskId, pendingIndices: null } };
    this.save(master, { ...record, ...batchFiles(this.request(master), record) });
  }

  request(job: LiveJob): JobRequest {
    const request = this.store.request(job.record.array?.jobId ?? job.id);
    if (request === undefined) throw new Error(`the request of job ${job.id} is not in the store`);
    return request;
  }

  /** The job is over: it leaves the working set and is remembered for MinJobAge. */
  retire(job: LiveJob): void {
    job.stopAlarms();
    this.live.delete(job.id);
    const { record } = job;
    this.remember(record);
    job.holder?.ended(record);
    this.store.setHolder(job.id, undefined);
    // A task of an array is waited for by its own id, or by the array's.
    for (const id of new Set([job.id, record.array?.jobId ?? job.id])) for (const wake of this.#endWaiters.get(id) ?? []) wake();
    this.log("job.ended", { job: job.id, state: record.state, exit: record.exit });
  }

  /** Live jobs that a target names; tasks of an array that have not started become jobs of their own when they are named. */
  resolve(target: JobTarget, options: { readonly orEnded?: boolean } = {}): LiveJob[] {
    const found: LiveJob[] = [];
    const single = target.arrayTasks === null ? this.live.get(target.jobId as JobId) : undefined;
    if (single !== undefined && single.record.array === null) return [single];
    for (const job of [...this.live.values()]) {
      const { array } = job.record;
      if (target.arrayTasks === null) {
        if (job.id === target.jobId || array?.jobId === target.jobId) found.push(job);
      } else if (array?.jobId === target.jobId) {
        if (array.taskId !== null && target.arrayTasks.includes(array.taskId)) found.push(job);
        for (const index of target.arrayTasks) if (job.pendingTasks?.includes(index) === true) found.push(this.splitTask(job, index));
      }
    }
    // An id that is both an array's and its last task's own means the array only when nothing narrower fits.
    if (found.length > 0) return found;
    const ended = this.recent.get(target.jobId as JobId);
    if (ended === undefined) throw slurmError("INVALID_JOB_ID");
    if (options.orEnded !== true) throw slurmError("ALREADY_DONE");
    const request = this.store.request(ended.array?.jobId ?? ended.jobId);
    if (request === undefined) throw slurmError("INVALID_JOB_ID");
    return [this.liveJob(ended, request, null)];
  }

  *records(): Generator<JobRecord> {
    for (const record of this.recent.values()) yield record;
    for (const job of this.live.values()) yield job.record;
  }

  *stepRecords(): Generator<StepRecord> {
    for (const job of this.live.values()) for (const step of job.steps.values()) yield step.record;
  }

  get liveJobs(): number {
    return this.live.size;
  }

  runningSteps(): { readonly jobId: JobId; readonly stepKey: StepKey }[] {
    return [...this.stepRecords()].map(({ jobId, stepKey }) => ({ jobId, stepKey }));
  }

  /** Resolves with the records of the job, or of its array's tasks, when none of them is live. */
  async waitForEnd(jobId: number, signal: AbortSignal): Promise<readonly JobRecord[]> {
    const isLive = () => [...this.live.values()].some((job) => job.id === jobId || job.record.array?.jobId === jobId);
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

  batchScript(jobId: number): string {
    const job = this.store.accounting({ jobIds: [jobId], from: null, to: null })[0];
    const script = job === undefined ? undefined : this.store.request(job.array?.jobId ?? job.jobId)?.batch?.script;
    if (script === undefined) throw slurmError("INVALID_JOB_ID");
    return script;
  }

  apply(job: LiveJob, event: JobEvent): void {
    this.save(job, next(job.record, event));
  }

  save(job: LiveJob, record: JobRecord): void {
    this.store.saveJob(record); // first: what could not be saved has not happened
    job.record = record;
  }

  /** What the scheduler thinks of a waiting job: shown, but not worth a write. */
  annotate(
    job: LiveJob,
    facts: Partial<Pick<JobRecord, "reason" | "expectedStartAt" | "lastSchedEvalAt" | "dependency" | "eligibleAt">>,
  ): void {
    job.record = { ...job.record, ...facts };
  }

  /** Shows an ended job for the rest of MinJobAge. */
  remember(record: JobRecord): void {
    this.recent.set(record.jobId, record);
    setTimeout(() => this.recent.delete(record.jobId), this.config.minJobAgeSeconds * 1000).unref();
  }
}
