/** Which processes live steps consist of, out of their plans and journals, and what these processes have started (/proc). */
import type { JobId, StepKey } from "#job/id.ts";
import { descendants, isAlive, type ProcessIdentity } from "#platform/process-tree.ts";
import { readJournal } from "#step/journal.ts";
import { readPlan, type StepPlan } from "#step/plan.ts";
import type { StepProcess } from "../engine.ts";
import type { LiveJob } from "./live-job.ts";
import { stepSpool, type Paths } from "./paths.ts";

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
  const plan = tasks.size === 0 ? undefined : findPlan(spool);
  if (plan === undefined) return [];
  const own: StepProcess[] = [];
  const others: StepProcess[] = [];
  for (const { name: node, ranks } of plan.facts.nodes) {
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

/** By rank. */
function runningTasks(spool: string): Map<number, ProcessIdentity> {
  const tasks = new Map<number, ProcessIdentity>();
  for (const entry of readJournal(spool)) {
    if (entry.kind === "started") tasks.set(entry.task, entry.process);
    else if (entry.kind === "created" && entry.process !== null) tasks.set(entry.task, entry.process);
    else if (entry.kind === "exited") tasks.delete(entry.task);
  }
  for (const [task, process] of tasks) if (!isAlive(process)) tasks.delete(task);
  return tasks;
}

/** Undefined when the step has ended meanwhile and its spool is gone. */
function findPlan(spool: string): StepPlan | undefined {
  try {
    return readPlan(spool);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
