import type { JobTarget } from "#engine/engine.ts";
import { parseStepKey } from "#job/id.ts";
import { parseIndexList } from "./array.ts";
import { splitOutsideBrackets } from "./hostlist.ts";

const MAX_ARRAY_INDEX = 4_000_000;

/**
 * `12`, `12_3`, `12_*`, `12_[1-3,5]`, `12+1` (component of a heterogeneous job: the id that follows), each with an
 * optional `.STEP`, a number or `batch`, `extern`, `interactive`. Undefined for anything else (commands.md §1.4.9).
 */
export function parseJobTarget(text: string): JobTarget | undefined {
  const match = /^([1-9]\d{0,9})(?:\+(\d{1,4})|_(\*|\d{1,7}|\[[^\]%]+(?:%\d{1,9})?\]))?(?:\.(\w+))?$/.exec(text);
  if (match === null) return undefined;
  const jobId = Number(match[1]) + Number(match[2] ?? 0);
  const stepKey = match[4] === undefined ? null : parseStepKey(match[4]);
  const arrayTasks = parseTasks(match[3]);
  if (jobId >= 2 ** 32 || stepKey === undefined || arrayTasks === undefined) return undefined;
  return { jobId, arrayTasks, stepKey };
}

function parseTasks(text: string | undefined): number[] | null | undefined {
  if (text === undefined || text === "*") return null;
  const list = text.startsWith("[") ? text.slice(1, -1).replace(/%\d+$/, "") : text;
  return parseIndexList(list, MAX_ARRAY_INDEX);
}

/** Comma or blank separated targets; the first one that is none comes back as `bad`. */
export function parseJobTargets(text: string): { readonly targets: readonly JobTarget[] } | { readonly bad: string } {
  const targets: JobTarget[] = [];
  for (const word of splitOutsideBrackets(text)) {
    const target = parseJobTarget(word);
    if (target === undefined) return { bad: word };
    targets.push(target);
  }
  return { targets };
}
