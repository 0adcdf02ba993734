/** Job, array and step ids as users see them (commands.md §1.4.9, lifecycle §6). */
import type { StepKey } from "#job/id.ts";
import type { ArrayInfo, JobRecord } from "#job/record.ts";

/** SLURM_BITSTR_LEN when it is not set; 0 never cuts. */
export const DEFAULT_BITSTR_LENGTH = 64;

/** The indices of the tasks that have not started, cut to `bitstrLength` as Slurm's buffer does, with the throttle. */
export function pendingIndexText(array: ArrayInfo, bitstrLength = DEFAULT_BITSTR_LENGTH): string {
  const indices = array.pendingIndices ?? "";
  const shown = bitstrLength > 3 && indices.length >= bitstrLength ? `${indices.slice(0, bitstrLength - 4)}...` : indices;
  return array.throttle !== null && array.throttle > 0 ? `${shown}%${array.throttle}` : shown;
}

/** `12`, `9_3`, `9_[3,5,7,9%2]`. `task` is set when one pending task is shown by itself. */
export function shownJobId(job: JobRecord, task: number | null = null, bitstrLength = DEFAULT_BITSTR_LENGTH): string {
  const { array } = job;
  if (array === null) return `${job.jobId}`;
  const one = task ?? array.taskId;
  return one === null ? `${array.jobId}_[${pendingIndexText(array, bitstrLength)}]` : `${array.jobId}_${one}`;
}

/** `12.0`, `9_3.batch`; `job` gives the array task that the step belongs to. */
export function shownStepId(step: { readonly jobId: number; readonly stepKey: StepKey }, job: JobRecord | undefined): string {
  return `${job === undefined ? step.jobId : shownJobId(job)}.${step.stepKey}`;
}

/** `1,3,5-7,1-9:2` → each number, in order of the text. */
export function expandIndices(text: string): number[] {
  const numbers: number[] = [];
  for (const part of text.split(",")) {
    const match = /^([0-9]+)(?:-([0-9]+)(?::([0-9]+))?)?$/.exec(part);
    if (match === null) continue;
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    const step = match[3] === undefined ? 1 : Math.max(1, Number(match[3]));
    for (let index = first; index <= last; index += step) numbers.push(index);
  }
  return numbers;
}
