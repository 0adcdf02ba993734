/** Whether a job's dependencies are fulfilled, and how squeue shows them (lifecycle §7). */
import type { JobRecord } from "#job/record.ts";
import { isTerminal } from "#job/state.ts";
import type { Dependency, DependencyJob, DependencyType } from "#options/dependency.ts";

export type Standing = "fulfilled" | "waiting" | "never";

export interface DependencyFacts {
  readonly now: number;
  readonly self: JobRecord;
  /** Records of a job, or of an array's tasks, live or ended; none when nobody knows it. */
  find(job: DependencyJob): readonly JobRecord[];
  /** Jobs of the same user and name that come before this one and have not ended. */
  hasTwin(): boolean;
}

export interface DependencyStanding {
  readonly standing: Standing;
  /** What is left, in squeue's words; null when nothing is. */
  readonly text: string | null;
  /** When time alone may change it. */
  readonly againAt: number | null;
}

export function judge(dependency: Dependency, facts: DependencyFacts): DependencyStanding {
  const words: string[] = [];
  const standings: Standing[] = [];
  let againAt: number | null = null;
  for (const { type, jobs } of dependency.terms) {
    if (type === "singleton") {
      const standing = facts.hasTwin() ? "waiting" : "fulfilled";
      standings.push(standing);
      if (standing === "waiting") words.push("singleton(unfulfilled)");
      continue;
    }
    for (const job of jobs) {
      const { standing, at } = judgeOne(type, job, facts);
      standings.push(standing);
      if (at !== null) againAt = Math.min(againAt ?? Infinity, at);
      if (standing !== "fulfilled")
        words.push(
          `${type}:${job.jobId}${job.arrayTask === null ? "" : `_${job.arrayTask}`}${job.delayMinutes === 0 ? "" : `+${job.delayMinutes}`}(${standing === "never" ? "failed" : "unfulfilled"})`,
        );
    }
  }
  const standing = dependency.isAny ? any(standings) : all(standings);
  return { standing, againAt, text: standing === "fulfilled" ? null : [...new Set(words)].join(dependency.isAny ? "?" : ",") };
}

function all(standings: readonly Standing[]): Standing {
  if (standings.includes("never")) return "never";
  return standings.includes("waiting") ? "waiting" : "fulfilled";
}

function any(standings: readonly Standing[]): Standing {
  if (standings.includes("fulfilled") || standings.length === 0) return "fulfilled";
  return standings.includes("waiting") ? "waiting" : "never";
}

function judgeOne(type: DependencyType, wanted: DependencyJob, facts: DependencyFacts): { standing: Standing; at: number | null } {
  const correspondingTask = type === "aftercorr" ? (facts.self.array?.taskId ?? wanted.arrayTask) : wanted.arrayTask;
  const records = facts.find({ ...wanted, arrayTask: correspondingTask });
  // What nobody knows any more counts as done; afterok on an id that never was is refused at submission.
  if (records.length === 0) return { standing: "fulfilled", at: null };
  if (type === "after") {
    const starts = records.map((job) => job.startedAt ?? (isTerminal(job.state) ? job.endedAt : null));
    if (starts.some((at) => at === null)) return { standing: "waiting", at: null };
    const at = Math.max(...starts.map((start) => start ?? 0)) + wanted.delayMinutes * 60_000;
    return at <= facts.now ? { standing: "fulfilled", at: null } : { standing: "waiting", at };
  }
  if (records.some((job) => !isTerminal(job.state) || job.flags.includes("COMPLETING"))) return { standing: "waiting", at: null };
  const isOk = records.every((job) => job.state === "COMPLETED");
  const isFulfilled = type === "afterok" || type === "aftercorr" ? isOk : type === "afternotok" ? !isOk : true;
  return { standing: isFulfilled ? "fulfilled" : "never", at: null };
}
