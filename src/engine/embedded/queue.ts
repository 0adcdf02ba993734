/** Pending jobs in the order they are looked at: partition tier, priority, id (lifecycle §4.2). */
import type { LiveJob } from "./live-job.ts";

export class Queue {
  readonly #jobs: LiveJob[] = [];
  readonly #tierOf: (partition: string) => number;

  constructor(tierOf: (partition: string) => number) {
    this.#tierOf = tierOf;
  }

  get length(): number {
    return this.#jobs.length;
  }

  add(job: LiveJob): void {
    this.#jobs.splice(this.#position(job), 0, job);
  }

  remove(job: LiveJob): void {
    // Its priority may have changed since it came in, so a search by order could miss it.
    const guess = this.#position(job);
    const index = this.#jobs[guess] === job ? guess : this.#jobs.indexOf(job);
    if (index >= 0) this.#jobs.splice(index, 1);
  }

  /** Many at once: one by one each would move all that stand behind it. */
  removeAll(jobs: ReadonlySet<LiveJob>): void {
    let kept = 0;
    for (const job of this.#jobs) if (!jobs.has(job)) this.#jobs[kept++] = job;
    this.#jobs.length = kept;
  }

  /** The one that was just given may be removed meanwhile. */
  *[Symbol.iterator](): Generator<LiveJob> {
    for (let index = 0; index < this.#jobs.length; ) {
      const job = this.#jobs[index];
      if (job !== undefined) yield job;
      if (this.#jobs[index] === job) index++;
    }
  }

  #position(job: LiveJob): number {
    let low = 0;
    let high = this.#jobs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#jobs[middle];
      if (other !== undefined && this.#compare(other, job) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #compare(a: LiveJob, b: LiveJob): number {
    return (
      this.#tierOf(b.record.partition) - this.#tierOf(a.record.partition) ||
      b.record.priority - a.record.priority ||
      a.record.jobId - b.record.jobId
    );
  }
}
