/** Why a pending job may not start yet, apart from room: holds, times, dependencies, limits, licences (lifecycle §3). */
import type { EpochMs } from "#job/id.ts";
import type { JobRecord } from "#job/record.ts";
import { parseLicenses } from "#options/licenses.ts";
import { wantsTooManyNodes } from "./ask.ts";
import { partitionOf } from "./config.ts";
import { judge, type DependencyStanding, type Standing } from "./dependencies.ts";
import type { JobBook } from "./job-book.ts";
import type { LiveJob } from "./live-job.ts";
import type { WaitingJob } from "./scheduler.ts";

export type EndPending = (job: LiveJob, state: "CANCELLED" | "DEADLINE", reason: string) => void;

export class Eligibility {
  readonly #book: JobBook;
  readonly #endPending: EndPending;
  /** The lowest id of each user's live jobs of a name, for one pass. */
  #firstOfName: Map<string, number> | undefined;
  readonly #isConfined: boolean;

  constructor(book: JobBook, options: { readonly endPending: EndPending; readonly isConfined: boolean }) {
    this.#book = book;
    this.#endPending = options.endPending;
    this.#isConfined = options.isConfined;
  }

  /** Jobs that may start as soon as there is room; the others get their reason. `again` learns when to look once more. */
  *waiting(now: EpochMs, again: { at: number }): Generator<WaitingJob> {
    this.#firstOfName = undefined;
    for (const job of this.#book.queue) {
      // The user's programs must not find themselves as root in podman's namespaces: the next controller runs them.
      if (this.#isConfined && job.record.kind === "batch") continue;
      const reason = this.#whyNot(job, now, again);
      if (reason === undefined) {
        const { record } = job;
        yield {
          jobId: record.jobId,
          partition: record.partition,
          ask: job.ask,
          durationMs: record.timeLimitMinutes === null ? Infinity : record.timeLimitMinutes * 60_000,
        };
      } else if (reason !== "ended" && reason !== job.record.reason) this.#book.annotate(job, { reason, lastSchedEvalAt: now });
    }
  }

  #whyNot(job: LiveJob, now: EpochMs, again: { at: number }): string | undefined {
    const { record } = job;
    if (record.deadlineAt !== null && now >= record.deadlineAt) {
      this.#endPending(job, "DEADLINE", "DeadLine");
      return "ended";
    }
    if (record.priority === 0) return record.reason === "JobHeldAdmin" ? "JobHeldAdmin" : "JobHeldUser";
    const dependency = this.#dependencyReason(job, now, again);
    if (dependency !== undefined) return dependency;
    if (record.eligibleAt !== null && record.eligibleAt > now) {
      again.at = Math.min(again.at, record.eligibleAt);
      return "BeginTime";
    }
    if (record.eligibleAt === null) this.#book.annotate(job, { eligibleAt: now });
    const partition = partitionOf(this.#book.config, record.partition);
    if (partition.state === "DOWN") return "PartitionDown";
    if (wantsTooManyNodes(job.ask, partition)) return "PartitionConfig";
    if (partition.maxTimeMinutes !== null && (record.timeLimitMinutes ?? Infinity) > partition.maxTimeMinutes) return "PartitionTimeLimit";
    if (this.#isThrottled(job)) return "JobArrayTaskLimit";
    if (!this.hasLicenses(job)) return "Licenses";
    return undefined;
  }

  #dependencyReason(job: LiveJob, now: EpochMs, again: { at: number }): string | undefined {
    if (job.dependency === null) return undefined;
    const standing = job.judged ?? this.#judge(job, now, again);
    if (standing === "fulfilled") return undefined;
    if (standing === "waiting") return "Dependency";
    if (job.killOnInvalidDependency) {
      this.#endPending(job, "CANCELLED", "DependencyNeverSatisfied");
      return "ended";
    }
    return "DependencyNeverSatisfied";
  }

  #judge(job: LiveJob, now: EpochMs, again: { at: number }): Standing {
    const { dependency } = job;
    if (dependency === null) return "fulfilled";
    const judgeAs = (self: JobRecord) =>
      judge(dependency, { now, self, find: (wanted) => this.#book.findRecords(wanted), hasTwin: () => this.#hasTwin(self) });
    const isTaskByTask = job.pendingTasks !== null && dependency.terms.some(({ type }) => type === "aftercorr");
    const { standing, text, againAt } = isTaskByTask ? firstToGo(job, judgeAs) : judgeAs(job.record);
    if (againAt !== null) again.at = Math.min(again.at, againAt);
    this.#book.annotate(job, { dependency: text });
    // It stays so until a job that it names changes; time and other jobs of its name may change it too.
    const isLasting = againAt === null && !isTaskByTask && dependency.terms.every(({ type }) => type !== "singleton");
    if (isLasting) job.judged = standing;
    return standing;
  }

  #hasTwin(record: JobRecord): boolean {
    const keyOf = ({ userId, name }: JobRecord) => `${userId} ${name}`;
    if (this.#firstOfName === undefined) {
      this.#firstOfName = new Map();
      for (const { record: other } of this.#book.live.values()) {
        const key = keyOf(other);
        this.#firstOfName.set(key, Math.min(other.jobId, this.#firstOfName.get(key) ?? Infinity));
      }
    }
    return (this.#firstOfName.get(keyOf(record)) ?? Infinity) < record.jobId;
  }

  #isThrottled(job: LiveJob): boolean {
    const { array } = job.record;
    if (array?.throttle == null || array.throttle === 0) return false;
    let running = 0;
    for (const other of this.#book.occupying) if (other.record.array?.jobId === array.jobId) running++;
    return running >= array.throttle;
  }

  hasLicenses(job: LiveJob): boolean {
    if (job.record.licenses === null) return true;
    const used = new Map<string, number>();
    for (const { record } of this.#book.occupying)
      for (const [name, count] of parseLicenses(record.licenses)) used.set(name, (used.get(name) ?? 0) + count);
    return parseLicenses(job.record.licenses).every(
      ([name, count]) => !((used.get(name) ?? 0) + count > (this.#book.config.licenses[name] ?? 0)),
    );
  }
}

/**
 * With aftercorr each task of an array waits for its own. A task that may go is put in front, because the first one is
 * what starts; as long as one may go or wait, the others' failures are their own.
 */
function firstToGo(job: LiveJob, judgeAs: (self: JobRecord) => DependencyStanding): DependencyStanding {
  const { array } = job.record;
  const tasks = job.pendingTasks;
  if (array === null || tasks === null) return judgeAs(job.record);
  const judged = tasks.map((taskId) => ({ taskId, ...judgeAs({ ...job.record, array: { ...array, taskId } }) }));
  const ready = judged.find(({ standing }) => standing === "fulfilled");
  if (ready !== undefined) job.pendingTasks = [ready.taskId, ...tasks.filter((taskId) => taskId !== ready.taskId)];
  const best = ready ?? judged.find(({ standing }) => standing === "waiting") ?? judged[0];
  return best ?? judgeAs(job.record);
}
