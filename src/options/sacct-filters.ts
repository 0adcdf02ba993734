/** The filters of sacct that ask for sizes, limits, flags and reasons (sacct(1): -i -I -k -K -C -F -R). */
import { parseDuration } from "./duration.ts";
import { listOf, type Said } from "./said.ts";
import { UsageError } from "./usage-error.ts";

export interface Range {
  readonly min: number;
  readonly max: number;
}

const FLAGS = ["SchedSubmit", "SchedMain", "SchedBackfill", "StartReceived"] as const;
export type AccountingFlag = (typeof FLAGS)[number];

export interface SacctFilters {
  readonly ncpus: Range | null;
  readonly nnodes: Range | null;
  /** Minutes. */
  readonly timeLimit: Range | null;
  readonly constraints: readonly string[] | null;
  readonly flags: readonly AccountingFlag[] | null;
  readonly reasons: readonly string[] | null;
}

/** @throws UsageError */
export function sacctFiltersOf(said: Said): SacctFilters {
  return {
    ncpus: rangeOf(said, "ncpus"),
    nnodes: rangeOf(said, "nnodes"),
    timeLimit: timeLimitOf(said),
    constraints: listOf(said.value("constraints")),
    flags: listOf(said.value("flags"))?.map(flagOf) ?? null,
    reasons: listOf(said.value("reason")),
  };
}

/** `N` is exactly so many, `MIN-MAX` all in between. */
function rangeOf(said: Said, name: string): Range | null {
  const text = said.value(name);
  if (text === null) return null;
  const [, min, max = min] = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(text) ?? [];
  if (min === undefined || Number(max) < Number(min)) throw new UsageError([`sacct: fatal: Invalid ${name} range: ${text}`], 1);
  return { min: Number(min), max: Number(max) };
}

/** A minimum alone is exactly that limit; a maximum alone says nothing (sacct(1)). */
function timeLimitOf(said: Said): Range | null {
  const minutes = (name: string): number | null => {
    const text = said.value(name);
    if (text === null) return null;
    const parsed = parseDuration(text);
    if (parsed === undefined) throw new UsageError([`sacct: fatal: Invalid time limit specification: ${text}`], 1);
    return parsed === "unlimited" ? Infinity : parsed;
  };
  const min = minutes("timelimit-min");
  const max = minutes("timelimit-max");
  if (min === null) {
    if (max === null) return null;
    throw new UsageError(["sacct: fatal: timelimit-max requires timelimit-min"], 1);
  }
  return { min, max: max ?? min };
}

function flagOf(word: string): AccountingFlag {
  const lower = word.toLowerCase();
  const flag = FLAGS.find((name) => name.toLowerCase() === lower);
  if (flag !== undefined) return flag;
  throw new UsageError([`sacct: fatal: unrecognized job flag '${word}'`], 1);
}
