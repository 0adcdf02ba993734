/** What several views derive from a record in the same way: run time, expected ends, counts. Times are in seconds. */
import { isTerminal } from "#job/state.ts";
import type { ExitPair } from "#job/outcome.ts";
import type { JobRecord, StepRecord } from "#job/record.ts";
import { seconds } from "./times.ts";

/** Seconds in which the job ran, without suspensions; 0 while pending. */
export function runSeconds(job: JobRecord, nowMs: number): number {
  if (job.startedAt === null || job.state === "PENDING") return 0;
  const until = job.endedAt ?? (job.state === "SUSPENDED" ? (job.suspendedAt ?? nowMs) : nowMs);
  return Math.max(0, seconds(until) - seconds(job.startedAt) - seconds(job.suspendedMs));
}

export function stepRunSeconds(step: StepRecord, nowMs: number): number {
  return Math.max(0, seconds(step.endedAt ?? nowMs) - seconds(step.startedAt) - seconds(step.suspendedMs));
}

/** When it started, or is expected to: the scheduler's estimate, or the begin time while that is ahead. */
export function startMs(job: JobRecord, nowMs: number): number | null {
  if (job.state !== "PENDING") return job.startedAt;
  if (job.expectedStartAt !== null) return job.expectedStartAt;
  return job.eligibleAt !== null && job.eligibleAt > nowMs ? job.eligibleAt : null;
}

/** When it ended, or its time limit will end it; null when nobody knows. */
export function endMs(job: JobRecord): number | null {
  if (job.endedAt !== null) return job.endedAt;
  const start = job.state === "PENDING" ? job.expectedStartAt : job.startedAt;
  if (start === null || job.timeLimitMinutes === null) return null;
  return start + job.timeLimitMinutes * 60_000 + job.suspendedMs;
}

/** The reason's text: a description replaces the code (lifecycle §3.2). */
export function reasonText(job: JobRecord): string {
  return job.stateDescription ?? job.reason;
}

export function cpuCount(job: JobRecord): number {
  return job.allocated?.cpus ?? job.requested.cpus;
}

export function nodeCount(job: JobRecord): number {
  return job.nodes.length > 0 ? job.nodes.length : Math.max(job.nodesMin, 1);
}

export function batchHost(job: JobRecord): string | null {
  return job.batchHost ?? job.nodes[0] ?? null;
}

export function oversubscribeText(job: JobRecord): string {
  return job.exclusive ? "NO" : job.oversubscribe ? "YES" : "OK";
}

/** Memory per node, or per CPU when that was asked for; 0 when neither was. */
export function minMemory(job: JobRecord): { readonly mib: number; readonly perCpu: boolean } {
  if (job.memPerNodeMib !== null) return { mib: job.memPerNodeMib, perCpu: false };
  return { mib: job.memPerCpuMib ?? 0, perCpu: job.memPerCpuMib !== null };
}

/** True for a job whose priority is 0 because someone holds it. */
export function isHeld(job: JobRecord): boolean {
  return !isTerminal(job.state) && job.priority === 0;
}

export function exitText(exit: ExitPair): string {
  return `${exit.code}:${exit.signal}`;
}
