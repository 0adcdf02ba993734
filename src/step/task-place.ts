/** Where a task of a step is, and what depends on that. Pure. */
import type { StepFacts } from "#job/environment.ts";
import { expandFilePattern } from "#options/file-pattern.ts";
import type { StepPlan } from "./plan.ts";

export interface TaskPlace {
  readonly rank: number;
  readonly localId: number;
  readonly node: StepFacts["nodes"][number];
}

export function placeOf(plan: StepPlan, rank: number): TaskPlace {
  const node = plan.facts.nodes.find(({ ranks }) => ranks.includes(rank));
  if (node === undefined) throw new Error(`task ${rank} is on no node`);
  return { rank, node, localId: node.ranks.indexOf(rank) };
}

/** The file that a pattern of the step's streams names for this task. */
export function expandForTask(plan: StepPlan, pattern: string, rank: number): string {
  const { node } = placeOf(plan, rank);
  const job = {
    jobId: plan.facts.jobId,
    arrayJobId: plan.arrayTaskId === null ? null : plan.arrayJobId,
    arrayTask: plan.arrayTaskId,
    userName: plan.user.name,
    jobName: plan.jobName,
    nodeName: node.name,
  };
  if (plan.isBatch) return expandFilePattern(pattern, { kind: "batch", ...job });
  return expandFilePattern(pattern, {
    kind: "task",
    ...job,
    stepKey: plan.facts.stepKey,
    nodeIndex: plan.facts.nodes.indexOf(node),
    task: rank,
  });
}
