/**
 * The jobs that the controller knows, by id: live ones, and ended ones for as long as the show commands remember them
 * (MinJobAge). Records change here only, through `next` (job/life.ts), and each change is in the store at once.
 */
import { slurmError } from "#job/errors.ts";
import type { JobId, StepKey } from "#job/id.ts";
import { next, type JobEvent } from "#job/life.ts";
import type { JobRecord, StepRecord } from "#job/record.ts";
import type { JobRequest } from "#job/request.ts";
import { parseIndexList } from "#options/array.ts";
import type { Dependency, DependencyJob } from "#options/dependency.ts";
import type { JobTarget } from "../engine.ts";
import { splitTask } from "./array-tasks.ts";
import { askOf } from "./ask.ts";
import { partitionOf, type ClusterConfig } from "./config.ts";
import { LiveJob } from "./live-job.ts";
import type { JobRun } from "./paths.ts";
import { isEqual, sharingWith } from "./packed-records.ts";
import type { Ask } from "./placement.ts";
import { Queue } from "./queue.ts";
import { RecentJobs } from "./recent-jobs.ts";
import type { Store } from "./store.ts";

export type Log = (event: string, facts: Readonly<Record<string, unknown>>) => void;

export class JobBook {
  readonly config: ClusterConfig;
  readonly store: Store;
  readonly log: Log;
  readonly live = new Map<JobId, LiveJob>();
  /** Ended jobs that squeue -t all and scontrol still show. */
  readonly recent: RecentJobs;
  readonly queue: Queue;
  /** Live jobs that hold resources. */
  readonly occupying = new Set<LiveJob>();
  readonly #endWaiters = new Map<JobId, Set<() => void>>();
  /** An array's jobs, live and ended, by its id: the record of the tasks that wait, and the tasks. */
  readonly #arrays = new Map<number, Set<JobId>>();
  /** Waiting jobs by the ids that their dependencies name. */
  readonly #dependents = new Map<number, Set<LiveJob>>();
  #lastRecord: JobRecord | undefined;
  #lastAsk: Ask | undefined;

  constructor(options: { readonly config: ClusterConfig; readonly store: Store; readonly log: Log }) {
    this.config = options.config;
    this.store = options.store;
    this.log = options.log;
    this.recent = new RecentJobs({
      keptMs: options.config.minJobAgeSeconds * 1000,
      onForget: (record) => this.#forgetInArray(record),
    });
    this.queue = new Queue((name) => partitionOf(this.config, name).priorityTier);
  }

  liveJob(record: JobRecord, request: JobRequest, dependency: Dependency | null): LiveJob {
    const pending = record.array?.pendingIndices ?? null;
    this.#lastRecord = sharingWith(record, this.#lastRecord);
    this.#lastAsk = sharingAsk(askOf(request.options, partitionOf(this.config, record.partition), this.config), this.#lastAsk);
    return new LiveJob(this.#lastRecord, {
      ask: this.#lastAsk,
      killOnInvalidDependency: request.options.killOnInvalidDependency === true,
      dependency,
      pendingTasks: pending === null ? null : (parseIndexList(pending, this.config.maxArraySize) ?? []),
    });
  }

  /** Takes up a job that lives. */
  add(job: LiveJob): void {
    this.live.set(job.id, job);
    this.#addToArray(job.record);
    for (const id of dependsOn(job)) addTo(this.#dependents, id, job);
  }

  /** Other options for a job that waits, and what follows from them: kept, so that they outlive the controller. */
  reconsider(
    job: LiveJob,
    change: { readonly record: JobRecord; readonly request: JobRequest; readonly ask: Ask; readonly dependency: Dependency | null },
  ): void {
    this.store.transaction(() => {
      this.store.saveRequest(job.id, change.request);
      this.store.saveJob(change.record);
    });
    for (const id of dependsOn(job)) removeFrom(this.#dependents, id, job);
    job.dependency = change.dependency;
    job.ask = change.ask;
    for (const id of dependsOn(job)) addTo(this.#dependents, id, job);
    this.#replace(job, change.record);
  }

  #addToArray({ array, jobId }: JobRecord): void {
    if (array !== null) addTo(this.#arrays, array.jobId, jobId);
  }

  #forgetInArray({ array, jobId }: JobRecord): void {
    if (array !== null && !this.live.has(jobId) && !this.recent.has(jobId)) removeFrom(this.#arrays, array.jobId, jobId);
  }

  /** Live or ended, while it is shown. */
  record(jobId: JobId): JobRecord | undefined {
    return this.live.get(jobId)?.record ?? this.recent.get(jobId);
  }

  /** The id itself, and those of the array's tasks when it is an array's. */
  #family(jobId: number): JobId[] {
    return [...new Set([jobId as JobId, ...(this.#arrays.get(jobId) ?? [])])];
  }

  findRecords(wanted: DependencyJob): readonly JobRecord[] {
    const matches = (job: JobRecord) =>
      (job.jobId === wanted.jobId && wanted.arrayTask === null) ||
      (job.array?.jobId === wanted.jobId && (wanted.arrayTask === null || job.array.taskId === wanted.arrayTask));
    const found = this.#family(wanted.jobId)
      .flatMap((id) => this.record(id) ?? [])
      .filter(matches);
    return found.length > 0 ? found : this.store.accounting({ jobIds: [wanted.jobId], from: null, to: null }).filter(matches);
  }

  request(job: LiveJob): JobRequest {
    // A task of an array has one of its own only when it was changed by itself.
    const request = this.store.request(job.id) ?? this.store.request(job.record.array?.jobId ?? job.id);
    if (request === undefined) throw new Error(`the request of job ${job.id} is not in the store`);
    return request;
  }

  /** The job is over: it leaves the working set and is remembered for MinJobAge. */
  retire(job: LiveJob): void {
    job.stopAlarms();
    this.live.delete(job.id);
    for (const id of dependsOn(job)) removeFrom(this.#dependents, id, job);
    const { record } = job;
    this.remember(record);
    if (job.holder !== null) {
      job.holder.ended(record);
      this.store.setHolder(job.id, undefined);
    }
    // A task of an array is waited for by its own id, or by the array's.
    for (const id of new Set([job.id, record.array?.jobId ?? job.id])) for (const wake of this.#endWaiters.get(id) ?? []) wake();
    this.log("job.ended", { job: job.id, state: record.state, exit: record.exit });
  }

  /** Live jobs that a target names; tasks of an array that have not started become jobs of their own when they are named. */
  resolve(target: JobTarget, options: { readonly orEnded?: boolean } = {}): LiveJob[] {
    const found: LiveJob[] = [];
    const single = target.arrayTasks === null ? this.live.get(target.jobId as JobId) : undefined;
    if (single !== undefined && single.record.array === null) return [single];
    for (const id of this.#family(target.jobId)) {
      const job = this.live.get(id);
      if (job === undefined) continue;
      const { array } = job.record;
      if (target.arrayTasks === null) {
        if (job.id === target.jobId || array?.jobId === target.jobId) found.push(job);
      } else if (array?.jobId === target.jobId) {
        if (array.taskId !== null && target.arrayTasks.includes(array.taskId)) found.push(job);
        for (const index of target.arrayTasks) if (job.pendingTasks?.includes(index) === true) found.push(splitTask(this, job, index));
      }
    }
    // An id that is both an array's and its last task's own means the array only when nothing narrower fits.
    if (found.length > 0) return found;
    const ended = this.recent.get(target.jobId as JobId);
    if (ended === undefined) throw slurmError("INVALID_JOB_ID");
    if (options.orEnded !== true) throw slurmError("ALREADY_DONE");
    const request = this.store.request(ended.jobId) ?? this.store.request(ended.array?.jobId ?? ended.jobId);
    if (request === undefined) throw slurmError("INVALID_JOB_ID");
    return [this.liveJob(ended, request, null)];
  }

  /** All, or those of the ids (an array's stands for its tasks): ended ones first. */
  records(jobIds: readonly number[] | null): JobRecord[] {
    if (jobIds === null) return [...this.recent.values(), ...Array.from(this.live.values(), (job) => job.record)];
    const ids = [...new Set(jobIds.flatMap((id) => this.#family(id)))];
    return [...ids.flatMap((id) => this.recent.get(id) ?? []), ...ids.flatMap((id) => this.live.get(id)?.record ?? [])];
  }

  *stepRecords(): Generator<StepRecord> {
    for (const job of this.live.values()) if (job.hasSteps) for (const step of job.steps.values()) yield step.record;
  }

  get liveJobs(): number {
    return this.live.size;
  }

  /** Whether jobs hold something, or are on their way out. */
  get hasRunningJobs(): boolean {
    return this.live.values().some(({ record }) => record.state !== "PENDING");
  }

  *runningSteps(): Generator<{ readonly run: JobRun; readonly stepKey: StepKey }> {
    for (const job of this.live.values()) if (job.hasSteps) for (const stepKey of job.steps.keys()) yield { run: job.record, stepKey };
  }

  /** Resolves with the records of the job, or of its array's tasks, when none of them is live. */
  async waitForEnd(jobId: number, signal: AbortSignal): Promise<readonly JobRecord[]> {
    const isLive = () => this.#family(jobId).some((id) => this.live.has(id));
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
    this.#replace(job, record);
  }

  /** One event for many jobs, saved together or not at all. */
  applyAll(jobs: readonly LiveJob[], event: JobEvent): void {
    const records = jobs.map((job) => next(job.record, event));
    this.store.transaction(() => {
      for (const record of records) this.store.saveJob(record);
    });
    for (const [index, job] of jobs.entries()) this.#replace(job, records[index] ?? job.record);
  }

  #replace(job: LiveJob, record: JobRecord): void {
    job.record = record;
    // Whoever waits for it, or for its array, has to look again.
    for (const id of namesOf(job)) for (const dependent of this.#dependents.get(id) ?? []) dependent.judged = undefined;
  }

  /** Whether others wait for it, or for its array. */
  hasDependents(job: LiveJob): boolean {
    return namesOf(job).some((id) => (this.#dependents.get(id)?.size ?? 0) > 0);
  }

  /** What the scheduler thinks of a waiting job: shown, but not worth a write. */
  annotate(
    job: LiveJob,
    facts: Partial<Pick<JobRecord, "reason" | "expectedStartAt" | "lastSchedEvalAt" | "dependency" | "eligibleAt">>,
  ): void {
    const record = job.record;
    if (Object.entries(facts).some(([key, value]) => record[key as keyof JobRecord] !== value)) job.record = { ...job.record, ...facts };
  }

  /** Shows an ended job for the rest of MinJobAge. */
  remember(record: JobRecord): void {
    this.recent.add(record);
    this.#addToArray(record);
  }
}

function namesOf({ id, record }: LiveJob): readonly number[] {
  return record.array === null || record.array.jobId === id ? [id] : [id, record.array.jobId];
}

function dependsOn(job: LiveJob): readonly number[] {
  return job.dependency === null ? [] : [...new Set(job.dependency.terms.flatMap(({ jobs }) => jobs.map(({ jobId }) => jobId)))];
}

function addTo<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set === undefined) map.set(key, new Set([value]));
  else set.add(value);
}

function removeFrom<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set?.delete(value) === true && set.size === 0) map.delete(key);
}

/** Asks never change: jobs that want the same may have the same one. */
function sharingAsk(ask: Ask, other: Ask | undefined): Ask {
  return other !== undefined && isEqual(ask, other) ? other : ask;
}
