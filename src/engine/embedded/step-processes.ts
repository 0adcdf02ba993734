/** Which processes live steps consist of: their tasks, and what these have started (/proc). For scontrol listpids. */
import type { JobId, StepKey } from "#job/id.ts";
import { descendants } from "#platform/process-tree.ts";
import type { StepProcess } from "../engine.ts";
import type { LiveJob } from "./live-job.ts";
import { stepSpool, type Paths } from "./paths.ts";
import { nodesOfTasks, runningTasks } from "./running-tasks.ts";

export function stepProcesses(paths: Paths, jobs: Iterable<LiveJob>, jobId: number | null): StepProcess[] {
  const found: StepProcess[] = [];
  for (const job of jobs) {
    if (jobId !== null && job.id !== jobId && job.record.array?.jobId !== jobId) continue;
    for (const stepKey of [...job.steps.keys()].sort(numbersFirst))
      found.push(...processesOf(job.id, stepKey, stepSpool(paths, job.record, stepKey)));
  }
  return found;
}

function numbersFirst(a: StepKey, b: StepKey): number {
  return Number(typeof a !== "number") - Number(typeof b !== "number") || Number(a) - Number(b) || 0;
}

function processesOf(jobId: JobId, stepKey: StepKey, spool: string): StepProcess[] {
  const tasks = runningTasks(spool);
  if (tasks.size === 0) return [];
  const own: StepProcess[] = [];
  const others: StepProcess[] = [];
  for (const { name: node, ranks } of nodesOfTasks(spool)) {
    for (const [localId, globalId] of ranks.entries()) {
      const process = tasks.get(globalId);
      if (process === undefined) continue;
      own.push({ jobId, stepKey, node, pid: process.pid, localId, globalId });
      for (const { pid, isZombie } of descendants(process.pid))
        if (!isZombie) others.push({ jobId, stepKey, node, pid, localId: null, globalId: null });
    }
  }
  return [...own, ...others];
}
