/** Ended jobs that the show commands still know, for MinJobAge each. After that only the store has them. */
import type { JobId } from "#job/id.ts";
import type { JobRecord } from "#job/record.ts";

export class RecentJobs {
  readonly #keptMs: number;
  readonly #onForget: (record: JobRecord) => void;
  readonly #records = new Map<JobId, JobRecord>();
  /** In the order in which they are to be forgotten. */
  readonly #fading: { readonly record: JobRecord; readonly at: number }[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: { readonly keptMs: number; readonly onForget: (record: JobRecord) => void }) {
    this.#keptMs = options.keptMs;
    this.#onForget = options.onForget;
  }

  get(jobId: JobId): JobRecord | undefined {
    return this.#records.get(jobId);
  }

  has(jobId: JobId): boolean {
    return this.#records.has(jobId);
  }

  values(): Iterable<JobRecord> {
    return this.#records.values();
  }

  /** From now on. */
  add(record: JobRecord): void {
    this.#records.set(record.jobId, record);
    this.#fading.push({ record, at: Date.now() + this.#keptMs });
    this.#fade();
  }

  /** It runs once more. */
  delete(jobId: JobId): void {
    this.#records.delete(jobId);
  }

  /** One timer for all of them: a hundred thousand jobs may end in a second. */
  #fade(): void {
    if (this.#timer !== undefined) return;
    const [first] = this.#fading;
    if (first === undefined) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        const now = Date.now();
        const kept = this.#fading.findIndex(({ at }) => at > now);
        for (const { record } of this.#fading.splice(0, kept < 0 ? this.#fading.length : kept)) {
          if (this.#records.get(record.jobId) !== record) continue; // it ran once more
          this.#records.delete(record.jobId);
          this.#onForget(record);
        }
        this.#fade();
      },
      Math.max(0, first.at - Date.now()),
    ).unref();
  }
}
