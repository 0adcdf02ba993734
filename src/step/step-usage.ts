/** What a step has used: sums of its tasks, and which task had the most memory. Pure. */
import type { StepResult, TaskUsage } from "./journal.ts";
import type { TaskPlace } from "./task-place.ts";

interface UsageOfTask {
  readonly place: TaskPlace;
  /** Null for one that never ran, or whose end nobody saw. */
  readonly usage: TaskUsage | null;
}

export function usageOfStep(tasks: readonly UsageOfTask[]): StepResult["usage"] {
  let userCpuMs = 0;
  let systemCpuMs = 0;
  let largest: { readonly maxRssKib: number; readonly place: TaskPlace } | undefined;
  for (const { place, usage } of tasks) {
    if (usage === null) continue;
    userCpuMs += usage.userCpuMs;
    systemCpuMs += usage.systemCpuMs;
    const { maxRssKib } = usage;
    if (maxRssKib !== null && maxRssKib > (largest?.maxRssKib ?? -1)) largest = { maxRssKib, place };
  }
  return {
    userCpuMs,
    systemCpuMs,
    maxRssKib: largest?.maxRssKib ?? null,
    maxRssTask: largest?.place.rank ?? null,
    maxRssNode: largest?.place.node.name ?? null,
  };
}
