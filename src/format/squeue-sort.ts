/** squeue's row order: `-S P,t,-p`, first key first, equal rows by id (commands.md §6.1). */
import { stepNumber } from "#job/id.ts";
import { STATES, STATE_FLAGS, type BaseState, type StateFlag } from "#job/state.ts";
import type { JobRecord, StepRecord } from "#job/record.ts";
import { cpuCount, endMs, minMemory, nodeCount, runSeconds, startMs, stepRunSeconds } from "./job-facts.ts";
import { JOB_FIELDS, JOB_LETTERS, type SqueueContext } from "./squeue-job-fields.ts";
import { STEP_FIELDS, STEP_LETTERS } from "./squeue-step-fields.ts";

export interface SortKey {
  readonly letter: string;
  readonly descending: boolean;
}

/** `P,t,-p` or `Pt-p` → keys; the sign stands before its letter. */
export function parseSort(text: string): SortKey[] {
  const keys: SortKey[] = [];
  let descending = false;
  for (const char of text) {
    if (char === "-") descending = true;
    else if (char === "+") descending = false;
    else if (char !== "," && char !== " " && char !== "#") {
      keys.push({ letter: char, descending });
      descending = false;
    }
  }
  return keys;
}

const STATE_ORDER = new Map(Object.keys(STATES).map((state, index) => [state as BaseState, index]));
const FLAG_ORDER = new Map(Object.keys(STATE_FLAGS).map((flag, index) => [flag as StateFlag, index]));

function stateRank(job: JobRecord): number {
  let rank = STATE_ORDER.get(job.state) ?? 0;
  for (const flag of job.flags) rank += 100 * (1 + (FLAG_ORDER.get(flag) ?? 0));
  return rank;
}

type Key<R> = (row: R) => number | string;

/** Numbers where the shown text would not sort as one. */
function numericJobKey(letter: string, context: SqueueContext): Key<JobRecord> | undefined {
  switch (letter) {
    case "c":
      return (job) => job.minCpusPerNode;
    case "C":
      return cpuCount;
    case "d":
      return (job) => job.tmpDiskMib;
    case "D":
      return nodeCount;
    case "e":
      return (job) => endMs(job) ?? Number.MAX_SAFE_INTEGER;
    case "G":
      return (job) => job.groupId;
    case "l":
      return (job) => job.timeLimitMinutes ?? Number.MAX_SAFE_INTEGER;
    case "L":
      return (job) =>
        job.timeLimitMinutes === null ? Number.MAX_SAFE_INTEGER : job.timeLimitMinutes * 60 - runSeconds(job, context.nowMs);
    case "m":
      return (job) => minMemory(job).mib;
    case "M":
      return (job) => runSeconds(job, context.nowMs);
    case "p":
    case "Q":
      return (job) => job.priority;
    case "S":
      return (job) => startMs(job, context.nowMs) ?? Number.MAX_SAFE_INTEGER;
    case "t":
    case "T":
      return stateRank;
    case "U":
      return (job) => job.userId;
    case "V":
      return (job) => job.submittedAt;
    default:
      return undefined;
  }
}

function byId(a: JobRecord, b: JobRecord): number {
  const left = a.array?.jobId ?? a.jobId;
  const right = b.array?.jobId ?? b.jobId;
  if (left !== right) return left - right;
  return (a.array?.taskId ?? -1) - (b.array?.taskId ?? -1) || a.jobId - b.jobId;
}

/** Sorts by keys made once per row; `tie` orders the rest. Returns a new array. */
function sortRows<R>(
  rows: readonly R[],
  keys: readonly { readonly key: Key<R>; readonly descending: boolean }[],
  tie: (a: R, b: R) => number,
): R[] {
  const columns = keys
    .map(({ key, descending }) => ({ values: rows.map(key), less: descending ? 1 : -1 }))
    .filter(({ values }) => values.some((value) => value !== values[0])); // most queues have one partition
  const compare = (a: number, b: number) => {
    for (const { values, less } of columns) {
      const left = values[a] as number | string;
      const right = values[b] as number | string;
      if (left !== right) return left < right ? less : -less;
    }
    return tie(rows[a] as R, rows[b] as R);
  };
  // Long queues come in the order in which they were submitted, which is the default one: nothing to sort then.
  let isSorted = true;
  for (let index = 1; index < rows.length && isSorted; index++) isSorted = compare(index - 1, index) <= 0;
  if (isSorted) return [...rows];
  const order = rows.map((_row, index) => index).sort(compare);
  return order.map((index) => rows[index] as R);
}

/** Letters of columns by which 22.05 does not sort jobs. */
const NO_SORT_KEYS: ReadonlySet<string> = new Set("akoqrswxyzAEFKRWXYZ");

/** The key that Slurm, which reads them from the last one on, complains of; undefined when jobs can be sorted so. */
export function findUnsortable(keys: readonly SortKey[]): string | undefined {
  return keys.findLast(({ letter }) => JOB_LETTERS[letter] === undefined || NO_SORT_KEYS.has(letter))?.letter;
}

export function sortJobs(jobs: readonly JobRecord[], sort: readonly SortKey[], context: SqueueContext): JobRecord[] {
  const keys: { key: Key<JobRecord>; descending: boolean }[] = [];
  let tie = byId;
  for (const { letter, descending } of sort) {
    if (letter === "i") {
      tie = descending ? (a, b) => byId(b, a) : byId;
      break; // ids are all different: later keys decide nothing
    }
    const numeric = numericJobKey(letter, context);
    const field = JOB_FIELDS[JOB_LETTERS[letter] ?? ""];
    if (numeric !== undefined) keys.push({ key: numeric, descending });
    else if (field !== undefined) keys.push({ key: (job) => field.cell(job, context, null), descending });
  }
  return sortRows(jobs, keys, tie);
}

function byStepId(a: StepRecord, b: StepRecord): number {
  return a.jobId - b.jobId || stepNumber(a.stepKey) - stepNumber(b.stepKey);
}

export function sortSteps(steps: readonly StepRecord[], sort: readonly SortKey[], context: SqueueContext): StepRecord[] {
  const keys: { key: Key<StepRecord>; descending: boolean }[] = [];
  let tie = byStepId;
  for (const { letter, descending } of sort) {
    if (letter === "i") {
      tie = descending ? (a, b) => byStepId(b, a) : byStepId;
      break;
    }
    const field = STEP_FIELDS[STEP_LETTERS[letter] ?? ""];
    if (letter === "M") keys.push({ key: (step) => stepRunSeconds(step, context.nowMs), descending });
    else if (letter === "S") keys.push({ key: (step) => step.startedAt, descending });
    else if (letter === "l") keys.push({ key: (step) => step.timeLimitMinutes ?? Number.MAX_SAFE_INTEGER, descending });
    else if (field !== undefined) keys.push({ key: (step) => field.cell(step, context, undefined), descending });
    // Other letters say nothing of steps, in Slurm too.
  }
  return sortRows(steps, keys, tie);
}
