import { slurmError } from "#job/errors.ts";

const DEPENDENCY_TYPES = ["after", "afterany", "afterok", "afternotok", "aftercorr", "afterburstbuffer", "expand", "singleton"] as const;
export type DependencyType = (typeof DEPENDENCY_TYPES)[number];

export interface DependencyJob {
  readonly jobId: number;
  /** One task of an array; null is the job, or the whole array. */
  readonly arrayTask: number | null;
  /** `after:ID+MIN`; 0 otherwise. */
  readonly delayMinutes: number;
}

export interface Dependency {
  /** True when one fulfilled term is enough (`?` between the terms instead of `,`). */
  readonly isAny: boolean;
  readonly terms: readonly { readonly type: DependencyType; readonly jobs: readonly DependencyJob[] }[];
}

/**
 * `TYPE:ID[+MIN][:ID…]`, several joined by `,` (all) or `?` (any), `singleton`, and the old form `ID[:ID…]`, which is
 * afterany. Says nothing about whether the jobs exist. Source: lifecycle.md §7.
 * @throws BerthError DEPENDENCY
 */
export function parseDependency(text: string): Dependency {
  const isAny = text.includes("?");
  if (isAny && text.includes(",")) throw slurmError("DEPENDENCY");
  const terms = text.split(isAny ? "?" : ",").map((term) => {
    if (term.toLowerCase() === "singleton") return { type: "singleton" as const, jobs: [] };
    const words = term.split(":");
    const first = words[0] ?? "";
    if (/^\d/.test(first)) {
      return { type: "afterany" as const, jobs: words.map((word) => parseJob(word, false)) };
    }
    const type = DEPENDENCY_TYPES.find((name) => name === first.toLowerCase());
    if (type === undefined || type === "singleton" || words.length < 2) throw slurmError("DEPENDENCY");
    return { type, jobs: words.slice(1).map((word) => parseJob(word, type === "after")) };
  });
  return { isAny, terms };
}

function parseJob(word: string, takesDelay: boolean): DependencyJob {
  const match = /^([1-9]\d{0,9})(?:_(\d{1,9}|\*))?(?:\+(\d{1,9}))?$/.exec(word);
  if (match === null || (match[3] !== undefined && !takesDelay)) throw slurmError("DEPENDENCY");
  const task = match[2];
  return {
    jobId: Number(match[1]),
    arrayTask: task === undefined || task === "*" ? null : Number(task),
    delayMinutes: Number(match[3] ?? 0),
  };
}
