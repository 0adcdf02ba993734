/** What a step has used: sums of its tasks, and which task had the most. Pure. */
import type { GreatestUse } from "#job/record.ts";
import type { SampledUse } from "./peak-memory.ts";
import type { StepResult, TaskUsage } from "./journal.ts";
import type { TaskPlace } from "./task-place.ts";

interface UsageOfTask {
  readonly place: TaskPlace;
  /** Null for one that never ran, or whose end nobody saw. */
  readonly usage: TaskUsage | null;
  /** Null for one that nobody looked at. */
  readonly sampled?: SampledUse | null;
}

export function usageOfStep(tasks: readonly UsageOfTask[]): StepResult["usage"] {
  let userCpuMs = 0;
  let systemCpuMs = 0;
  const resident: number[] = [];
  let largest: { readonly maxRssKib: number; readonly place: TaskPlace } | undefined;
  for (const { place, usage } of tasks) {
    if (usage === null) continue;
    userCpuMs += usage.userCpuMs;
    systemCpuMs += usage.systemCpuMs;
    const { maxRssKib } = usage;
    if (maxRssKib !== null) resident.push(maxRssKib);
    if (maxRssKib !== null && maxRssKib > (largest?.maxRssKib ?? -1)) largest = { maxRssKib, place };
  }
  return {
    userCpuMs,
    systemCpuMs,
    maxRssKib: largest?.maxRssKib ?? null,
    maxRssTask: largest?.place.rank ?? null,
    maxRssNode: largest?.place.node.name ?? null,
    aveRssKib: resident.length === 0 ? null : averageOf(resident),
    vmSize: greatest(tasks, ({ vmKib }) => vmKib),
    pages: greatest(tasks, ({ majorFaults }) => majorFaults),
  };
}

function greatest(tasks: readonly UsageOfTask[], pick: (use: SampledUse) => number): GreatestUse | null {
  const found = tasks.flatMap(({ place, sampled }) => (sampled == null ? [] : [{ place, value: pick(sampled) }]));
  const [first] = found;
  if (first === undefined) return null;
  const { place, value } = found.reduce((best, other) => (other.value > best.value ? other : best), first);
  return { max: value, task: place.rank, node: place.node.name, average: averageOf(found.map((one) => one.value)) };
}

function averageOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
