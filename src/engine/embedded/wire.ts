/**
 * What commands and the controller say to each other, one JSON value a frame (platform/frames.ts).
 *
 *   request   { id, version, op, args }
 *   answers   { id, part: [...] }*      pieces of a list, in order
 *             { id, packed: {...} }*    the same, of many records (packed-records.ts)
 *             { id, event }*            while an allocation waits
 *             { id, result } | { id, error }
 *
 * A connection that asked for an allocation holds it: when it closes and its process is gone, the job ends.
 * `version` must be the controller's own: the two ends come from one executable, and a user who has replaced it is told
 * to restart the controller instead of meeting a half-understood message.
 */
import type { JobId, StepKey } from "#job/id.ts";
import type { ExitPair } from "#job/outcome.ts";
import type { JobRecord, StepRecord } from "#job/record.ts";
import type { JobRequest } from "#job/request.ts";
import type { AccountingFilter, AllocationInfo, JobFilter, JobTarget, PlacedTasks, SignalScope, StepRequest } from "../engine.ts";
import type { OwnStepRequest } from "../own-step.ts";
import type { PackedRecords } from "./packed-records.ts";

export interface Operations {
  readonly info: { readonly args: Record<string, never> };
  readonly submit: { readonly args: { readonly request: JobRequest; readonly token: string } };
  readonly allocate: { readonly args: { readonly request: JobRequest; readonly token: string } };
  /** After the connection was lost: the same allocation on a new one. */
  readonly resumeAllocation: { readonly args: { readonly jobId: number } };
  readonly releaseAllocation: { readonly args: { readonly jobId: number; readonly exit: ExitPair } };
  readonly detachAllocation: { readonly args: { readonly jobId: number } };
  readonly findAllocation: { readonly args: { readonly jobId: number } };
  readonly createStep: { readonly args: { readonly request: StepRequest } };
  /** What steps use now: for sstat. */
  readonly measureSteps: { readonly args: { readonly jobIds: readonly number[] } };
  /** A step that runs: for sattach. */
  readonly findStep: { readonly args: { readonly jobId: number; readonly stepKey: StepKey } };
  /** A step that its caller runs; the caller then listens at the step's socket as a step daemon does, and says `ownStepReady`. */
  readonly createOwnStep: { readonly args: { readonly request: OwnStepRequest } };
  readonly ownStepReady: { readonly args: { readonly jobId: number; readonly stepKey: StepKey } };
  readonly tryJob: { readonly args: { readonly request: JobRequest } };
  readonly cancel: { readonly args: JobTarget };
  /** Answers a list, in order: null, or why it could not be done. */
  readonly cancelEach: { readonly args: { readonly targets: readonly JobTarget[] } };
  readonly signal: { readonly args: JobTarget & { readonly signalNumber: number; readonly scope: SignalScope } };
  readonly hold: { readonly args: JobTarget };
  readonly release: { readonly args: JobTarget };
  readonly notify: { readonly args: JobTarget & { readonly text: string } };
  readonly requeue: { readonly args: JobTarget & { readonly hold: boolean } };
  readonly suspend: { readonly args: JobTarget };
  readonly resume: { readonly args: JobTarget };
  readonly update: { readonly args: JobTarget & { readonly changes: Readonly<Record<string, string>> } };
  readonly updateNodes: { readonly args: { readonly names: readonly string[]; readonly changes: Readonly<Record<string, string>> } };
  readonly updatePartition: { readonly args: { readonly name: string; readonly changes: Readonly<Record<string, string>> } };
  readonly jobs: { readonly args: JobFilter };
  readonly steps: { readonly args: { readonly jobId: number | null } };
  readonly processes: { readonly args: { readonly jobId: number | null } };
  readonly nodes: { readonly args: Record<string, never> };
  readonly partitions: { readonly args: Record<string, never> };
  readonly config: { readonly args: Record<string, never> };
  readonly accounting: { readonly args: AccountingFilter };
  readonly batchScript: { readonly args: { readonly jobId: number } };
  readonly waitForEnd: { readonly args: { readonly jobId: number } };
  readonly status: { readonly args: Record<string, never> };
  readonly stop: { readonly args: { readonly cancelJobs: boolean } };
}
export type Operation = keyof Operations;

export type Request = {
  [Op in Operation]: { readonly id: number; readonly version: string; readonly op: Op; readonly args: Operations[Op]["args"] };
}[Operation];

export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
  readonly before: readonly string[];
}

export type Answer =
  | { readonly id: number; readonly part: readonly unknown[] }
  | { readonly id: number; readonly packed: PackedRecords }
  | { readonly id: number; readonly event: AllocationNews }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: WireError };

export type AllocationNews =
  | { readonly kind: "queued"; readonly jobId: JobId; readonly configUnavailable: boolean }
  | { readonly kind: "granted"; readonly info: AllocationInfo; readonly waited: boolean }
  | { readonly kind: "waiting"; readonly text: string }
  | { readonly kind: "message"; readonly text: string };

export interface CreatedStep {
  readonly step: StepRecord;
  readonly socketPath: string;
  readonly waited: boolean;
}

export interface FoundStep extends CreatedStep {
  readonly layout: readonly PlacedTasks[];
}

export interface CreatedOwnStep {
  readonly step: StepRecord;
  readonly job: JobRecord;
  readonly socketPath: string;
  readonly spoolDir: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly gres: Readonly<Record<string, readonly number[]>>;
  readonly killWaitSeconds: number;
}

export interface DaemonStatus {
  readonly pid: number;
  readonly version: string;
  readonly startedAt: number;
  readonly liveJobs: number;
  readonly runningSteps: readonly { readonly jobId: JobId; readonly stepKey: StepKey }[];
  readonly stateDir: string;
  readonly logFile: string;
  /** Looks at the queue since it started, and what they took. */
  readonly passes: PassTimes;
  /** What is wrong with berth.conf as it was read at the start; a controller of an older version does not say. */
  readonly configWarnings?: readonly string[];
}

export interface PassTimes {
  readonly count: number;
  readonly lastMs: number;
  readonly longestMs: number;
}

/** Error code: ask again, of the controller that you start now. */
export const MOVED = "MOVED";

/** Pieces of long lists: below a frame's size, and small enough that the controller does other things in between. */
export const PART_SIZE = 1000;
/** Fewer records are sent one by one. */
export const PACK_LEAST = 20;
/** Jobs that one request cancels. */
export const CANCEL_AT_ONCE = 1000;
