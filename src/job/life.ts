/**
 * The life of a job as pure functions: how events change its record, the same live, in recovery and in tests.
 *
 *   PENDING ─granted─► RUNNING ─finished─► <outcome>+COMPLETING ─released─► <outcome>
 *      │                  └── suspended ⇄ resumed
 *      └─ cancelled ─► CANCELLED            (requeued: back to PENDING from anywhere with an allocation)
 *
 * The first outcome stays: a job that reached its time limit is TIMEOUT whatever its script says while it is killed.
 */
import { assertNever, impossible } from "./assert.ts";
import type { EpochMs } from "./id.ts";
import { EXIT_ZERO, worseExit, type ExitPair } from "./outcome.ts";
import type { JobRecord, NodeShare, Tres } from "./record.ts";
import { isTerminal, type BaseState } from "./state.ts";

export type JobEvent =
  | {
      readonly kind: "granted";
      readonly at: EpochMs;
      readonly shares: readonly NodeShare[];
      readonly allocated: Tres;
      readonly isBackfill: boolean;
    }
  /** The outcome is decided; processes may still be there. */
  | { readonly kind: "finishing"; readonly at: EpochMs; readonly outcome: Outcome }
  /** The script or step is reaped: its exit status is known, whatever ended it. */
  | { readonly kind: "exited"; readonly exit: ExitPair }
  /** Everything of the job is gone. */
  | { readonly kind: "released"; readonly at: EpochMs }
  | { readonly kind: "cancelledPending"; readonly at: EpochMs; readonly by: number }
  | {
      readonly kind: "requeued";
      readonly at: EpochMs;
      readonly eligibleAt: EpochMs;
      readonly isHeld: boolean;
      readonly description: string | null;
    }
  | { readonly kind: "suspended"; readonly at: EpochMs }
  | { readonly kind: "resumed"; readonly at: EpochMs }
  | { readonly kind: "stepEnded"; readonly exit: ExitPair };

export interface Outcome {
  readonly state: BaseState;
  readonly reason: string;
  readonly cancelledBy: number | null;
}

export function next(job: JobRecord, event: JobEvent): JobRecord {
  switch (event.kind) {
    case "granted":
      return granted(job, event);
    case "finishing":
      if (isTerminal(job.state)) return job; // the first outcome stays
      // To be requeued is no outcome yet: a cancel overrules it while the old run still ends.
      if (job.state === "PENDING" && !(job.flags.includes("COMPLETING") && event.outcome.state === "CANCELLED")) return job;
      return {
        ...job,
        state: event.outcome.state,
        reason: event.outcome.reason,
        cancelledBy: event.outcome.cancelledBy,
        endedAt: event.at,
        flags: [...job.flags.filter((flag) => flag !== "STOPPED" && flag !== "COMPLETING"), "COMPLETING"],
      };
    case "exited":
      return { ...job, exit: event.exit };
    case "released":
      if (!isTerminal(job.state)) return impossible(job.state, event);
      return { ...job, endedAt: event.at, flags: job.flags.filter((flag) => flag !== "COMPLETING") };
    case "cancelledPending":
      if (job.state !== "PENDING") return job;
      return { ...job, state: "CANCELLED", cancelledBy: event.by, startedAt: event.at, endedAt: event.at };
    case "requeued":
      return requeued(job, event);
    case "suspended":
      return job.state === "RUNNING" ? { ...job, state: "SUSPENDED", suspendedAt: event.at } : job;
    case "resumed":
      if (job.state !== "SUSPENDED") return job;
      return { ...job, state: "RUNNING", suspendedAt: null, suspendedMs: job.suspendedMs + event.at - (job.suspendedAt ?? event.at) };
    case "stepEnded":
      return { ...job, derivedExit: worseExit(job.derivedExit, event.exit) };
    default:
      return assertNever(event);
  }
}

function granted(job: JobRecord, event: Extract<JobEvent, { kind: "granted" }>): JobRecord {
  if (job.state !== "PENDING") return impossible(job.state, event);
  const nodes = event.shares.map((share) => share.node);
  return {
    ...job,
    state: "RUNNING",
    reason: "None",
    stateDescription: null,
    startedAt: event.at,
    endedAt: null,
    expectedStartAt: null,
    lastSchedEvalAt: event.at,
    scheduler: event.isBackfill ? "Backfill" : "Main",
    nodes,
    batchHost: nodes[0] ?? null,
    shares: event.shares,
    allocated: event.allocated,
    exit: EXIT_ZERO,
  };
}

function requeued(job: JobRecord, event: Extract<JobEvent, { kind: "requeued" }>): JobRecord {
  return {
    ...job,
    state: "PENDING",
    flags: [],
    reason: event.isHeld ? "JobHeldUser" : "BeginTime",
    stateDescription: event.description,
    priority: event.isHeld ? 0 : job.priority,
    restarts: job.restarts + 1,
    submittedAt: event.at,
    eligibleAt: event.eligibleAt,
    startedAt: null,
    endedAt: null,
    suspendedAt: null,
    suspendedMs: 0,
    exit: EXIT_ZERO,
    derivedExit: EXIT_ZERO,
    cancelledBy: null,
    nodes: [],
    batchHost: null,
    shares: [],
    allocated: null,
  };
}

/** Slurm's state for a job whose script or step ended by itself (lifecycle §5.1). */
export function outcomeOf(exit: ExitPair): Outcome {
  if (exit.signal === 53) return { state: "FAILED", reason: "JobLaunchFailure", cancelledBy: null };
  if (exit.signal !== 0)
    return { state: "FAILED", reason: `RaisedSignal:${exit.signal}(${SIGNAL_WORDS[exit.signal] ?? "Unknown"})`, cancelledBy: null };
  if (exit.code !== 0) return { state: "FAILED", reason: "NonZeroExitCode", cancelledBy: null };
  return { state: "COMPLETED", reason: "None", cancelledBy: null };
}

/** What strsignal(3) says, as far as batch scripts die of it. */
const SIGNAL_WORDS: Readonly<Record<number, string>> = {
  1: "Hangup",
  2: "Interrupt",
  3: "Quit",
  4: "Illegal_instruction",
  6: "Aborted",
  7: "Bus_error",
  8: "Floating_point_exception",
  9: "Killed",
  10: "User_defined_signal_1",
  11: "Segmentation_fault",
  12: "User_defined_signal_2",
  13: "Broken_pipe",
  14: "Alarm_clock",
  15: "Terminated",
  24: "CPU_time_limit_exceeded",
  25: "File_size_limit_exceeded",
};
