/**
 * The controller's looks at the queue: on an event or at a time, one pass asks the scheduler what may start, grants it, and tells the
 * others why they wait. Nothing but `grant` changes what a job has.
 */
import { slurmError } from "#job/errors.ts";
import { nowMs, type EpochMs, type JobId } from "#job/id.ts";
import type { JobRequest } from "#job/request.ts";
import { admit, type Submitter } from "./admission.ts";
import { splitArray } from "./array-tasks.ts";
import { askOf } from "./ask.ts";
import { partitionOf, type ClusterConfig } from "./config.ts";
import type { Eligibility } from "./eligibility.ts";
import type { JobBook } from "./job-book.ts";
import { Alarm, type LiveJob } from "./live-job.ts";
import type { Placement } from "./placement.ts";
import { heldShare, type Resources } from "./resources.ts";
import { schedule, type Holding } from "./scheduler.ts";
import type { Store } from "./store.ts";
import type { PassTimes } from "./wire.ts";

/** Waiting jobs that get a reservation in one pass. */
const BACKFILL_DEPTH = 100;

export interface PassesOptions {
  readonly config: ClusterConfig;
  readonly store: Store;
  readonly book: JobBook;
  readonly resources: Resources;
  readonly eligibility: Eligibility;
  readonly grant: (job: LiveJob, placements: readonly Placement[], isBackfill: boolean) => void;
}

export class Passes {
  readonly #config: ClusterConfig;
  readonly #store: Store;
  readonly #book: JobBook;
  readonly #resources: Resources;
  readonly #eligibility: Eligibility;
  readonly #grant: PassesOptions["grant"];
  #isPassQueued = false;
  #timedPass: Alarm | undefined;
  /** Queued since the last pass. */
  readonly #fresh: LiveJob[] = [];
  times: PassTimes = { count: 0, lastMs: 0, longestMs: 0 };

  constructor(options: PassesOptions) {
    this.#config = options.config;
    this.#store = options.store;
    this.#book = options.book;
    this.#resources = options.resources;
    this.#eligibility = options.eligibility;
    this.#grant = options.grant;
  }

  /** A job has come into the queue. */
  queued(job: LiveJob): void {
    this.#fresh.push(job);
    this.request();
  }

  /** Looks at the queue soon; many requests make one pass. */
  request(): void {
    if (this.#isPassQueued) return;
    this.#isPassQueued = true;
    queueMicrotask(() => {
      this.#isPassQueued = false;
      const started = performance.now();
      this.#pass();
      const lastMs = performance.now() - started;
      this.times = { count: this.times.count + 1, lastMs, longestMs: Math.max(this.times.longestMs, lastMs) };
    });
  }

  #pass(): void {
    const now = nowMs();
    const again = { at: Infinity };
    const decision = schedule({
      now,
      free: this.#resources.free(),
      holdings: this.#holdings(),
      waiting: this.#eligibility.waiting(now, again),
      depth: BACKFILL_DEPTH,
    });
    for (const { jobId, reason, expectedStartAt } of decision.waits) {
      const job = this.#book.live.get(jobId);
      if (job !== undefined) this.#book.annotate(job, { reason, expectedStartAt, lastSchedEvalAt: now });
    }
    let isMoreToStart = false;
    for (const { jobId, placements, isBackfill } of decision.starts) {
      const job = this.#book.live.get(jobId);
      if (job === undefined) continue;
      if (!this.#eligibility.hasLicenses(job)) continue; // an earlier one of this pass took them
      const task = splitArray(this.#book, job);
      this.#grant(task, placements, isBackfill);
      // The rest of its array, and those that wait for its start ("after:").
      if (task !== job || this.#book.hasDependents(task)) isMoreToStart = true;
    }
    // The ones behind the last that was looked at.
    for (const job of this.#fresh.splice(0))
      if (job.isQueued && job.record.reason === "None") this.#book.annotate(job, { reason: "Priority" });
    if (isMoreToStart) this.request();
    this.#timedPass?.stop();
    this.#timedPass = again.at === Infinity ? undefined : new Alarm(again.at, () => this.request());
  }

  #holdings(): Holding[] {
    const holdings: Holding[] = [];
    for (const { record } of this.#book.occupying) {
      if (record.startedAt === null) continue;
      const placements = record.shares
        .map((held) => heldShare(record, held))
        .map((share) => ({
          node: share.node,
          tasks: 0,
          cpus: share.cpuIds.length,
          memMib: share.memMib,
          gres: Object.fromEntries(Object.entries(share.gres).map(([name, ids]) => [name, ids.length])),
        }));
      holdings.push({
        until: record.timeLimitMinutes === null ? Infinity : record.startedAt + record.timeLimitMinutes * 60_000,
        placements,
      });
    }
    return holdings;
  }

  /** When and where a request would start; nothing is kept of it. */
  estimate(
    request: JobRequest,
    submitter: Submitter,
  ): { jobId: JobId; startAt: EpochMs; cpus: number; nodes: readonly string[]; partition: string } {
    const now = nowMs();
    const jobId = Math.max(Number(this.#store.meta("nextJobId") ?? 1), this.#config.firstJobId) as JobId;
    const record = admit(request, { config: this.#config, total: this.#resources.total(), submitter, jobId, now, priority: 1 });
    const ask = askOf(request.options, partitionOf(this.#config, record.partition), this.#config);
    const durationMs = (record.timeLimitMinutes ?? Infinity) * 60_000;
    // As many before it as a pass would look at: the answer is an estimate, and a long queue must not hold up everybody.
    const before = this.#eligibility.waiting(now, { at: Infinity }).take(BACKFILL_DEPTH);
    const waiting = [...before, { jobId, partition: record.partition, ask, durationMs }];
    const decision = schedule({ now, free: this.#resources.free(), holdings: this.#holdings(), waiting, depth: waiting.length + 1 });
    const start = decision.starts.find((found) => found.jobId === jobId);
    const wait = decision.waits.find((found) => found.jobId === jobId);
    const total = schedule({
      now,
      free: this.#resources.total(),
      holdings: [],
      waiting: [{ jobId, partition: record.partition, ask, durationMs }],
      depth: 1,
    });
    const placements = start?.placements ?? total.starts[0]?.placements;
    if (placements === undefined) {
      const partition = partitionOf(this.#config, record.partition);
      const hint = `cannot be met: ${ask.nodesMin} nodes (--nodes); partition "${partition.name}" has ${Math.min(partition.nodes.length, partition.maxNodes ?? Infinity)}`;
      throw slurmError("NODE_CONFIG_UNAVAILABLE", { hint });
    }
    return {
      jobId,
      partition: record.partition,
      startAt: wait?.expectedStartAt ?? now,
      cpus: placements.reduce((sum, { cpus }) => sum + cpus, 0),
      nodes: placements.map(({ node }) => node),
    };
  }
}
