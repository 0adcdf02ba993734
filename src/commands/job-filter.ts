/** Which jobs and steps the options of squeue, scancel and scontrol mean. Pure. */
import type { JobFilter, JobTarget } from "#engine/engine.ts";
import type { JobRecord, StepRecord } from "#job/record.ts";
import type { AnyState } from "#job/state.ts";
import { foldArraySpec, parseIndexList } from "#options/array.ts";

/** No filter at all; for one of its members to be replaced. */
export const ANY_JOB: JobFilter = { jobIds: null, userIds: null, states: null, names: null, partitions: null };

/** What has not ended, or not quite. */
export const LIVE_STATES: readonly AnyState[] = ["PENDING", "RUNNING", "SUSPENDED", "COMPLETING", "STAGE_OUT"];

/** The base state counts, and each flag: `-t CD` and `-t CG` both find a job that is COMPLETED and COMPLETING. */
export function isInStates(job: JobRecord, states: readonly AnyState[]): boolean {
  return states.includes(job.state) || job.flags.some((flag) => states.includes(flag));
}

/** Indices of an array's tasks that have not started; undefined for any other record. */
export function pendingTasks(job: JobRecord): readonly number[] | undefined {
  const { array } = job;
  if (array === null || array.taskId !== null || array.pendingIndices === null) return undefined;
  return parseIndexList(array.pendingIndices, Number.MAX_SAFE_INTEGER) ?? [];
}

/** Whether the target's job is this record: by its own id, as its array, or as one of its tasks. */
export function isTargetJob(target: JobTarget, job: JobRecord): boolean {
  const { array } = job;
  if (target.arrayTasks === null) return job.jobId === target.jobId || array?.jobId === target.jobId;
  if (array === null || array.jobId !== target.jobId) return false;
  const tasks = array.taskId === null ? (pendingTasks(job) ?? []) : [array.taskId];
  return tasks.some((task) => target.arrayTasks?.includes(task) === true);
}

/** `job` is the step's job where it is known; it tells array tasks apart. */
export function isTargetStep(target: JobTarget, step: StepRecord, job: JobRecord | undefined): boolean {
  if (target.stepKey !== null && target.stepKey !== step.stepKey) return false;
  return job === undefined ? target.arrayTasks === null && target.jobId === step.jobId : isTargetJob(target, job);
}

/** `12`, `12_3`, `12_[1-3]`, `12.0`: the target as users write it. */
export function targetText({ jobId, arrayTasks, stepKey }: JobTarget): string {
  const [only, ...others] = arrayTasks ?? [];
  const tasks =
    only === undefined ? "" : others.length === 0 ? `_${only}` : `_[${foldArraySpec({ indices: arrayTasks ?? [], throttle: null }, 0)}]`;
  return `${jobId}${tasks}${stepKey === null ? "" : `.${stepKey}`}`;
}

/** The target that means exactly this record, for a task its array and index. */
export function targetOf(job: JobRecord): JobTarget {
  const { array } = job;
  if (array === null) return { jobId: job.jobId, arrayTasks: null, stepKey: null };
  const tasks = array.taskId === null ? (pendingTasks(job) ?? null) : [array.taskId];
  return { jobId: array.jobId, arrayTasks: tasks, stepKey: null };
}

export function isOnNodes(names: readonly string[], wanted: readonly string[] | null): boolean {
  return wanted === null || names.some((name) => wanted.includes(name));
}

/** A list of allowed words; null allows all, and a missing word is in no list. */
export function isAllowed(word: string | null, allowed: readonly string[] | null): boolean {
  return allowed === null || (word !== null && allowed.includes(word));
}
