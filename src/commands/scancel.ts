/**
 * scancel (commands.md §5). Plain ids go to the engine as they are, and one that is unknown or has ended is no error.
 * With a filter, a signal, --batch, a step, or when each job is to be asked about, the jobs are loaded first and errors count.
 */
import type { Engine, JobTarget, SignalScope } from "#engine/engine.ts";
import { BerthError, slurmError } from "#job/errors.ts";
import type { JobRecord } from "#job/record.ts";
import type { BaseState } from "#job/state.ts";
import { parseScancel, type ScancelLine } from "#options/scancel.ts";
import { openEngine } from "./engine.ts";
import { findUserId, ownUserId } from "./identity.ts";
import { informationAction } from "./information.ts";
import { isAllowed, isInStates, isOnNodes, isTargetJob, LIVE_STATES, targetOf, targetText } from "./job-filter.ts";
import { findCluster, printLoadError, UNTIL_ENDED } from "./query.ts";
import { stdinLines } from "./stdin-lines.ts";
import { complain, printError, writeAll } from "./terminal.ts";

export async function scancel(argv: readonly string[]): Promise<number> {
  const line = parseScancel(argv, process.env);
  const status = await informationAction("scancel", line.action);
  if (status !== undefined) return status;
  const userId = line.user === null ? null : findUserId(line.user);
  if (userId === undefined) {
    complain(`scancel: error: Invalid user name: ${line.user}`);
    return 1;
  }
  await using engine = await openEngine();
  if (line.clusters !== null) {
    try {
      if ((await findCluster("scancel", line.clusters, engine)) === undefined) return 1;
    } catch (error) {
      return printError("scancel", error, { exitStatus: 1 });
    }
  }
  const isNarrowed = line.signal !== null || line.batch || line.targets.some(({ stepKey }) => stepKey !== null);
  const needsRecords = line.hasFilter || line.interactive || isNarrowed;
  return needsRecords ? await cancelChosen(line, userId, engine) : await cancelNamed(line, line.targets, engine);
}

/** Errnos become exit statuses as they do in Slurm: cut to eight bits (2002 → 210, 1800 → 8). */
function exitStatusOf(error: BerthError): number {
  return error.errno > 0 ? error.errno & 255 : 1;
}

/** Each job as it was typed. Unknown ones and ended ones are silent. */
async function cancelNamed(line: ScancelLine, targets: readonly JobTarget[], engine: Engine): Promise<number> {
  let status = 0;
  for await (const [target, error] of endEach(line, targets, engine)) {
    if (error === undefined) continue;
    if (error.code !== "INVALID_JOB_ID" && error.code !== "ALREADY_DONE") {
      report(target, error);
      status = exitStatusOf(error);
    } else if (line.verbose > 0) report(target, error);
  }
  return status;
}

function report(target: JobTarget, error: BerthError): void {
  complain(
    `scancel: error: Kill job error on job ${target.stepKey === null ? "" : "step "}id ${targetText(target)}: ${error.message}`,
    ...(error.hint === undefined ? [] : [`scancel: ${error.hint}`]),
  );
}

type Ended = readonly [target: JobTarget, error: BerthError | undefined];

/** Cancels in one request, however many there are; signals one by one. The targets come back, with operating errors. */
async function* endEach(line: ScancelLine, targets: readonly JobTarget[], engine: Engine): AsyncGenerator<Ended> {
  const isCancelled = (line.signal === null || line.signal === KILL) && !line.batch;
  const together = isCancelled ? targets.filter(({ stepKey }) => line.signal === null || stepKey === null) : [];
  const outcomes = new Map<JobTarget, BerthError | null>();
  for (const [index, error] of (together.length < 2 ? [] : await engine.cancelEach(together, UNTIL_ENDED)).entries()) {
    const target = together[index];
    if (target !== undefined) outcomes.set(target, error);
  }
  for (const target of targets) {
    announce(line, target);
    const outcome = outcomes.get(target);
    yield [target, outcome === undefined ? await end(line, target, engine) : (outcome ?? undefined)];
  }
}

function announce(line: ScancelLine, target: JobTarget): void {
  const { signal: signalNumber } = line;
  const isKill = signalNumber === null || signalNumber === KILL;
  if (line.verbose > 0) {
    const what = target.stepKey === null ? "job" : "step";
    complain(
      isKill ? `scancel: Terminating ${what} ${targetText(target)}` : `scancel: Signal ${signalNumber} to ${what} ${targetText(target)}`,
    );
  }
}

/** Cancels or signals; an operating error comes back. */
async function end(line: ScancelLine, target: JobTarget, engine: Engine): Promise<BerthError | undefined> {
  const { signal: signalNumber } = line;
  const scope: SignalScope = line.batch ? "batch" : line.full ? "full" : "steps";
  try {
    if (signalNumber === null && scope !== "batch") await engine.cancel(target, UNTIL_ENDED);
    else await engine.sendSignal({ ...target, signalNumber: signalNumber ?? KILL, scope }, UNTIL_ENDED);
    return undefined;
  } catch (error) {
    if (error instanceof BerthError) return error;
    throw error;
  }
}
const KILL = 9;

/** The live jobs that every filter allows, pending ones first, so that no room made by one starts the next. */
async function cancelChosen(line: ScancelLine, userId: number | null, engine: Engine): Promise<number> {
  const jobIds = line.targets.length === 0 ? null : [...new Set(line.targets.map(({ jobId }) => jobId))];
  let known: readonly JobRecord[];
  try {
    known = await engine.jobs(
      { jobIds, userIds: null, states: jobIds === null ? LIVE_STATES : null, names: null, partitions: null },
      UNTIL_ENDED,
    );
  } catch (error) {
    return printLoadError("scancel", "slurm_load_jobs error", error);
  }
  let status = 0;
  for (const target of line.targets) {
    if (known.some((job) => isTargetJob(target, job) && isInStates(job, CANCELLABLE))) continue;
    if (!line.quiet) report(target, slurmError("INVALID_JOB_ID"));
    status = 1;
  }
  const chosen = known.filter((job) => isChosen(job, line, userId));
  const pendingFirst = [...chosen.filter(isPending), ...chosen.filter((job) => !isPending(job))];
  const answers = stdinLines();
  const take = async (targets: readonly JobTarget[]) => {
    for await (const [target, error] of endEach(line, targets, engine)) {
      if (error === undefined) continue;
      const isOver = error.code === "ALREADY_DONE" || error.code === "INVALID_JOB_ID"; // it ended meanwhile
      const isTold = target.stepKey !== null && line.signal === null; // a signal to a step that is gone is no error
      if (!isOver || line.verbose > 0 || isTold) report(target, error);
      if (!isOver || isTold) status = exitStatusOf(error);
    }
  };
  const named = targetsOf(pendingFirst, line, known);
  if (!line.interactive) await take(Array.from(named, ({ target }) => target));
  else for (const { target, job } of named) if (await confirm(target, job, answers)) await take([target]);
  return status;
}

const CANCELLABLE: readonly BaseState[] = ["PENDING", "RUNNING", "SUSPENDED"];

function isPending(job: JobRecord): boolean {
  return job.state === "PENDING";
}

function isChosen(job: JobRecord, line: ScancelLine, userId: number | null): boolean {
  return (
    isInStates(job, line.states ?? CANCELLABLE) &&
    (line.targets.length === 0 || line.targets.some((target) => isTargetJob(target, job))) &&
    (userId === null || job.userId === userId) &&
    (!line.me || job.userId === ownUserId()) &&
    (line.name === null || job.name === line.name) &&
    (line.partition === null || job.partition === line.partition) &&
    isAllowed(job.account, line.account === null ? null : [line.account]) &&
    isAllowed(job.qos, line.qos === null ? null : [line.qos]) &&
    (line.reservation === null || job.reservation === line.reservation) &&
    isAllowed(job.wckey, line.wckey === null ? null : [line.wckey]) &&
    isOnNodes(job.nodes, line.nodes)
  );
}

interface Chosen {
  readonly target: JobTarget;
  readonly job: JobRecord;
}

/** What to end of the chosen jobs: the steps that were named, the tasks that were named, or all. */
function* targetsOf(jobs: readonly JobRecord[], line: ScancelLine, known: readonly JobRecord[]): Generator<Chosen> {
  const whole = new Set<number>();
  for (const job of jobs) {
    const named = line.targets.filter((target) => isTargetJob(target, job));
    const steps = named.filter(({ stepKey }) => stepKey !== null);
    if (steps.length > 0 && steps.length === named.length) {
      for (const { stepKey } of steps) yield { target: { ...targetOf(job), stepKey }, job };
      continue;
    }
    const arrayId = job.array?.jobId;
    if (arrayId === undefined || line.interactive) {
      yield { target: narrow(targetOf(job), named), job };
      continue;
    }
    if (whole.has(arrayId)) continue;
    // An array of which everything goes is ended as one: naming its tasks would make jobs of those that wait.
    const isWhole =
      known.every((other) => other.array?.jobId !== arrayId || jobs.includes(other) || !isInStates(other, CANCELLABLE)) &&
      (named.length === 0 || named.some(({ arrayTasks }) => arrayTasks === null));
    if (isWhole) whole.add(arrayId);
    yield { target: isWhole ? { jobId: arrayId, arrayTasks: null, stepKey: null } : narrow(targetOf(job), named), job };
  }
}

/** Of a waiting array only the tasks that were named. */
function narrow(target: JobTarget, named: readonly JobTarget[]): JobTarget {
  if (target.arrayTasks === null || named.length === 0 || named.some(({ arrayTasks }) => arrayTasks === null)) return target;
  return { ...target, arrayTasks: target.arrayTasks.filter((task) => named.some(({ arrayTasks }) => arrayTasks?.includes(task) === true)) };
}

/** Asks until the answer begins with y or n; the end of the input is a no. */
async function confirm(target: JobTarget, job: JobRecord, answers: AsyncGenerator<string, undefined>): Promise<boolean> {
  for (;;) {
    writeAll(
      1,
      `Cancel ${target.stepKey === null ? "job" : "step"}_id=${targetText(target)} name=${job.name} partition=${job.partition} [y/n]? `,
    );
    const { value } = await answers.next();
    if (value === undefined) return false;
    const [letter] = value.trim().toLowerCase();
    if (letter === "y" || letter === "n") return letter === "y";
  }
}
