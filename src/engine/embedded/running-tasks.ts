/** Which tasks of a live step run, out of its journal and its plan. The spool may go meanwhile: then there are none. */
import { isAlive, type ProcessIdentity } from "#platform/process-tree.ts";
import { readJournal } from "#step/journal.ts";
import { readPlan, type StepPlan } from "#step/plan.ts";

/** The first process of each task that runs, by rank. */
export function runningTasks(spool: string): ReadonlyMap<number, ProcessIdentity> {
  const tasks = new Map<number, ProcessIdentity>();
  for (const entry of readJournal(spool)) {
    if (entry.kind === "started") tasks.set(entry.task, entry.process);
    else if (entry.kind === "created" && entry.process !== null) tasks.set(entry.task, entry.process);
    else if (entry.kind === "exited") tasks.delete(entry.task);
  }
  for (const [task, process] of tasks) if (!isAlive(process)) tasks.delete(task);
  return tasks;
}

/** Its nodes with the ranks on each; none when the step has ended meanwhile. */
export function nodesOfTasks(spool: string): StepPlan["facts"]["nodes"] {
  try {
    return readPlan(spool).facts.nodes;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
