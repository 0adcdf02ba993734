/** What the tasks of running steps use now, with everything below them. For sstat. */
import { measureTree } from "#platform/measure.ts";
import type { MeasuredStep } from "../engine.ts";
import type { LiveJob } from "./live-job.ts";
import { stepSpool, type Paths } from "./paths.ts";
import { nodesOfTasks, runningTasks } from "./running-tasks.ts";

/** Nothing for a job that does not run. */
export function measureSteps(paths: Paths, job: LiveJob | undefined): MeasuredStep[] {
  if (job === undefined) return [];
  return [...job.steps.keys()].map((stepKey) => {
    const spool = stepSpool(paths, job.record, stepKey);
    const nodes = nodesOfTasks(spool);
    const tasks = [...runningTasks(spool)].flatMap(([rank, { pid }]) => {
      const use = measureTree(pid);
      return use === undefined ? [] : [{ rank, node: nodes.find(({ ranks }) => ranks.includes(rank))?.name ?? "", ...use }];
    });
    return { jobId: job.id, stepKey, tasks };
  });
}
