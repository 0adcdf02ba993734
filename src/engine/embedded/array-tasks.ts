/** Tasks of job arrays: one record stands for all that wait, and a task becomes a job of its own when it starts or is named (lifecycle §6). */
import type { JobRecord } from "#job/record.ts";
import { foldArraySpec } from "#options/array.ts";
import { batchFiles } from "./batch-files.ts";
import type { JobBook } from "./job-book.ts";
import { LiveJob } from "./live-job.ts";

/** The next task of an array as a job of its own; the last one keeps the array's id. Any other job is itself. */
export function splitArray(book: JobBook, job: LiveJob): LiveJob {
  const { pendingTasks, record } = job;
  if (pendingTasks === null || record.array === null) return job;
  const [taskId = 0] = pendingTasks;
  const task = splitTask(book, job, taskId);
  const [last] = job.pendingTasks ?? [];
  if (task !== job && last !== undefined && job.pendingTasks?.length === 1) becomeTask(book, job, last);
  return task;
}

/** This task as a job of its own: `master` itself when no other waits. Saved together, or not at all. */
export function splitTask(book: JobBook, master: LiveJob, taskId: number): LiveJob {
  const { array } = master.record;
  if (array === null || master.pendingTasks === null) throw new Error(`job ${master.id} has no tasks to split`);
  const rest = master.pendingTasks.filter((index) => index !== taskId).sort((a, b) => a - b);
  if (rest.length === 0) {
    becomeTask(book, master, taskId);
    return master;
  }
  const request = book.request(master);
  return book.store.transaction(() => {
    const record: JobRecord = {
      ...master.record,
      jobId: book.store.nextJobId(book.config.firstJobId),
      array: { ...array, taskId, pendingIndices: null },
    };
    const task = new LiveJob(
      { ...record, ...batchFiles(request, record) },
      { ask: master.ask, killOnInvalidDependency: master.killOnInvalidDependency, dependency: master.dependency, pendingTasks: null },
    );
    book.add(task);
    book.queue.add(task);
    book.store.saveJob(task.record);
    master.pendingTasks = rest;
    book.save(master, { ...master.record, array: { ...array, pendingIndices: foldArraySpec({ indices: rest, throttle: null }, 0) } });
    return task;
  });
}

/** The last one that waits is no longer a set of tasks, and has files of its own. */
function becomeTask(book: JobBook, master: LiveJob, taskId: number): void {
  const { array } = master.record;
  if (array === null) return;
  master.pendingTasks = null;
  const record: JobRecord = { ...master.record, array: { ...array, taskId, pendingIndices: null } };
  book.save(master, { ...record, ...batchFiles(book.request(master), record) });
}
