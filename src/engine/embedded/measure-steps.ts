/** What running steps use now, for sstat. */
import type { LiveJob } from "./live-job.ts";
import { stepSpool, type Paths } from "./paths.ts";
import { measureTree } from "#platform/measure.ts";
import { isAlive, type ProcessIdentity } from "#platform/process-tree.ts";
import { readJournal } from "#step/journal.ts";
import { readPlan, type StepPlan } from "#step/plan.ts";
import type { MeasuredStep } from "../engine.ts";

/** The processes that the journals of a job's steps name, and everything below them. */
export function measureSteps(job: LiveJob, paths: Paths): MeasuredStep[] {
  return [...job.steps.keys()].map((stepKey) => {
    const spool = stepSpool(paths, job.record, stepKey);
    const started = new Map<number, ProcessIdentity>();
    for (const entry of readJournal(spool)) {
      if ((entry.kind === "started" || entry.kind === "created") && entry.process !== null) started.set(entry.task, entry.process);
      else if (entry.kind === "exited") started.delete(entry.task);
    }
    const { nodes } = planOf(spool)?.facts ?? { nodes: [] };
    const tasks = [...started].flatMap(([rank, process]) => {
      const use = isAlive(process) ? measureTree(process.pid) : undefined;
      return use === undefined ? [] : [{ rank, node: nodes.find(({ ranks }) => ranks.includes(rank))?.name ?? "", ...use }];
    });
    return { jobId: job.id, stepKey, tasks };
  });
}

/** Undefined when the step has just ended. */
function planOf(spoolDir: string): StepPlan | undefined {
  try {
    return readPlan(spoolDir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
