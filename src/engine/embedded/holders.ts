/** The processes that interactive allocations belong to (srun, salloc, a scrun anchor): they come, go, and come back. */
import { slurmError } from "#job/errors.ts";
import type { JobId } from "#job/id.ts";
import type { ExitPair } from "#job/outcome.ts";
import type { JobRecord } from "#job/record.ts";
import { isAlive } from "#platform/process-tree.ts";
import type { JobBook, Log } from "./job-book.ts";
import type { JobEnds } from "./job-ends.ts";
import { Alarm, type Holder, type LiveJob } from "./live-job.ts";
import type { Store } from "./store.ts";

/** How long an interactive allocation outlives the connection of a process that still runs. */
const RESUME_GRACE_MS = 10_000;

export class Holders {
  readonly #book: JobBook;
  readonly #store: Store;
  readonly #ends: JobEnds;
  readonly #log: Log;

  constructor(parts: { readonly book: JobBook; readonly store: Store; readonly ends: JobEnds; readonly log: Log }) {
    this.#book = parts.book;
    this.#store = parts.store;
    this.#ends = parts.ends;
    this.#log = parts.log;
  }

  /** The holder's connection closed: the job ends when its process is gone, or does not come back soon. */
  disconnected(job: LiveJob): void {
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
    this.#log("job.abandoned", { job: job.id });
    this.#ends.cancelJob(job, job.record.userId);
  }

  /** On another connection. A record: the job has ended meanwhile. @throws BerthError INVALID_JOB_ID */
  resume(jobId: number, holder: Holder): LiveJob | JobRecord {
    const job = this.#book.live.get(jobId as JobId);
    if (job === undefined) {
      const ended = this.#book.recent.get(jobId as JobId);
      if (ended === undefined) throw slurmError("INVALID_JOB_ID");
      return ended;
    }
    job.grace?.stop();
    job.grace = undefined;
    job.holder = holder;
    return job;
  }

  /** The holder ends its job. Idempotent. */
  release(jobId: number, exit: ExitPair): void {
    const job = this.#book.live.get(jobId as JobId);
    if (job === undefined) return; // it has ended already, which is what the caller wants
    if (job.record.state === "PENDING") this.#ends.cancelJob(job, job.record.userId);
    else this.#ends.endWith(job, exit);
  }

  /** The job lives on without a holder. */
  detach(jobId: number): void {
    const job = this.#book.live.get(jobId as JobId);
    if (job === undefined) return;
    job.holder = null;
    this.#store.setHolder(job.id, undefined);
  }
}
