/** sacct (commands.md §9). */
import type { Engine } from "#engine/engine.ts";
import { nowMs, type EpochMs } from "#job/id.ts";
import type { AccountedJob } from "#job/record.ts";
import type { AnyState } from "#job/state.ts";
import { isTerminal } from "#job/state.ts";
import { BerthError } from "#job/errors.ts";
import { parseSacct, type SacctLine } from "#options/sacct.ts";
import type { AccountingFlag, Range, SacctFilters } from "#options/sacct-filters.ts";
import { BRIEF_SACCT_FORMAT, LONG_SACCT_FORMAT, renderSacct, sacctHelpFormat } from "#format/sacct.ts";
import { seconds, timeFormatter } from "#format/times.ts";
import { openEngine } from "./engine.ts";
import { findUserId, ownUserId } from "./identity.ts";
import { informationAction } from "./information.ts";
import { isAllowed, isOnNodes, isTargetJob, pendingTasks } from "./job-filter.ts";
import { findCluster, printMachineOutput, timeFormat, UNTIL_ENDED } from "./query.ts";
import { complain, printError, printLines, printRows } from "./terminal.ts";

export async function sacct(argv: readonly string[]): Promise<number> {
  const now = nowMs();
  const line = parseSacct(argv, process.env, { now });
  const status = await informationAction("sacct", line.action);
  if (status !== undefined) return status;
  if (line.helpFormat) {
    printLines(sacctHelpFormat());
    return 0;
  }
  if (line.from > line.to) {
    const text = timeFormatter(timeFormat(), now);
    complain(`sacct: error: Start time (${text(line.from)}) requested is after end time (${text(line.to)}).`);
    return 1;
  }
  const userIds = findUsers(line);
  if (typeof userIds === "string") {
    complain(`Invalid user id: ${userIds}`);
    return 1;
  }
  await using engine = await openEngine();
  try {
    const cluster = line.clusters === null ? null : await findCluster("sacct", line.clusters, engine);
    if (cluster === undefined) return 1;
    if (line.batchScript || line.envVars) return await printScripts(line, userIds, engine);
    return await print({ line, argv, userIds, now }, engine);
  } catch (error) {
    if (!(error instanceof BerthError) || error.code !== "CONTROLLER_DOWN") return printError("sacct", error, { exitStatus: 1 });
    // The line on which tools fall back to scontrol, and then why.
    complain(
      "Slurm accounting storage is disabled",
      `sacct: ${error.message}`,
      ...(error.hint === undefined ? [] : [`sacct: ${error.hint}`]),
    );
    return 1;
  }
}

interface Query {
  readonly line: SacctLine;
  readonly argv: readonly string[];
  readonly userIds: readonly number[] | null;
  readonly now: EpochMs;
}

/** Null is anybody: root, -a and -j see all users' jobs, others their own. An unknown name comes back as it is. */
function findUsers(line: SacctLine): number[] | null | string {
  if (line.allUsers) return null;
  if (line.users === null) {
    const own = ownUserId();
    return own === 0 || line.jobs !== null ? null : [own];
  }
  const ids: number[] = [];
  for (const name of line.users) {
    const id = findUserId(name);
    if (id === undefined) return name;
    ids.push(id);
  }
  return ids;
}

async function print(query: Query, engine: Engine): Promise<number> {
  const { line, argv, now } = query;
  const [jobs, { clusterName }] = await Promise.all([load(query, engine), engine.info(UNTIL_ENDED)]);
  if (line.machine !== null) {
    await printMachineOutput(line.machine, { command: "sacct", argv, engine }, (json, request) => json.accountingJson(jobs, request));
    return 0;
  }
  printRows(
    renderSacct({
      jobs,
      format: formatOf(line),
      allocationsOnly: line.allocations,
      stepsOnly: new Set(jobs.filter((job) => isStepsOnly(job, line)).map((job) => job.jobId)),
      nowMs: now,
      timeFormat: timeFormat(),
      clusterName,
      sizes: { unit: line.units, noConvert: line.noConvert },
      noHeader: line.noHeader,
      parsable: line.parsable === null ? "none" : line.parsable === "closing" ? "ended" : "separated",
      delimiter: line.delimiter ?? "|",
    }),
  );
  return 0;
}

/** Null is the default list. */
function formatOf({ format, brief, long }: SacctLine): string | null {
  const parts = [format, brief ? BRIEF_SACCT_FORMAT : null, long ? LONG_SACCT_FORMAT : null].filter((part) => part !== null);
  return parts.length === 0 ? null : parts.join(",");
}

async function load({ line, userIds }: Query, engine: Engine): Promise<AccountedJob[]> {
  const { names, partitions } = line;
  const { from, to } = windowOf(line);
  const jobIds = line.jobs?.map(({ jobId }) => jobId) ?? null;
  // States are those of the window, which only the times tell: a job that has ended was running once.
  const found = await engine.accounting(
    { jobIds, userIds, states: null, names, partitions, from, to, earlierRuns: line.duplicates },
    UNTIL_ENDED,
  );
  const wanted = found.filter((job) => isWanted(job, line)).flatMap((job) => (line.array ? eachTask(job) : [job]));
  return wanted.map((job) => {
    const chosen = withSteps(job, line);
    return line.truncate ? truncate(chosen, line) : chosen;
  });
}

/** Slurm counts in seconds: what happened in the first and the last one belongs to the window (`-E now` too). */
function windowOf({ from, to }: SacctLine): { readonly from: EpochMs; readonly to: EpochMs } {
  return { from: (seconds(from) * 1000) as EpochMs, to: (seconds(to) * 1000 + 999) as EpochMs };
}

function isWanted(job: AccountedJob, line: SacctLine): boolean {
  return (
    (line.jobs === null || line.jobs.some((target) => isTargetJob(target, job))) &&
    (line.states === null || line.states.some((state) => wasInState(job, state, line))) &&
    isAllowed(job.account, line.accounts) &&
    isAllowed(job.qos, line.qos) &&
    isAllowed(job.wckey, line.wckeys) &&
    (line.groups === null || line.groups.includes(job.groupName) || line.groups.includes(String(job.groupId))) &&
    isOnNodes(job.nodes, line.nodes) &&
    isOfSize(job, line.filters)
  );
}

function isOfSize(job: AccountedJob, { ncpus, nnodes, timeLimit, constraints, flags, reasons }: SacctFilters): boolean {
  const { cpus, nodes } = job.allocated ?? job.requested;
  const isIn = (value: number, range: Range | null) => range === null || (value >= range.min && value <= range.max);
  const features = (job.constraint ?? "").split(/[&|,[\]()*]+/);
  return (
    isIn(cpus, ncpus) &&
    isIn(nodes, nnodes) &&
    isIn(job.timeLimitMinutes ?? Infinity, timeLimit) &&
    (constraints === null || constraints.every((wanted) => features.includes(wanted))) &&
    (flags === null || flags.some((flag) => flagsOf(job).includes(flag))) &&
    isAllowed(job.reason, reasons)
  );
}

function flagsOf(job: AccountedJob): AccountingFlag[] {
  if (job.startedAt === null) return ["StartReceived"];
  return [`Sched${job.scheduler ?? "Main"}`, "StartReceived"];
}

/** An array's record for the tasks that wait, as one for each. */
function eachTask(job: AccountedJob): AccountedJob[] {
  const tasks = pendingTasks(job);
  if (tasks === undefined || job.array === null) return [job];
  const { array } = job;
  return tasks.map((taskId) => ({ ...job, array: { ...array, taskId, pendingIndices: null } }));
}

function wasInState(job: AccountedJob, state: AnyState, line: SacctLine): boolean {
  const { from, to } = windowOf(line);
  const overlaps = (start: number, end: number) => start <= to && end >= from;
  if (state === "PENDING") return overlaps(job.eligibleAt ?? job.submittedAt, job.startedAt ?? job.endedAt ?? Infinity);
  if (state === "RUNNING") return job.startedAt !== null && overlaps(job.startedAt, job.endedAt ?? Infinity);
  if (job.earlierRun !== undefined) return state === job.earlierRun;
  if (state !== job.state) return job.flags.some((flag) => flag === state);
  return !isTerminal(state) || (job.endedAt !== null && overlaps(job.endedAt, job.endedAt));
}

/** Keeps the steps that `-j 12.0` names; a job that was named itself keeps all of them. */
function withSteps(job: AccountedJob, line: SacctLine): AccountedJob {
  if (!isStepsOnly(job, line)) return job;
  const keys = line.jobs?.filter((target) => isTargetJob(target, job)).map(({ stepKey }) => stepKey);
  return { ...job, steps: job.steps.filter((step) => keys?.includes(step.stepKey)) };
}

function isStepsOnly(job: AccountedJob, { jobs }: SacctLine): boolean {
  return jobs?.every((target) => target.stepKey !== null || !isTargetJob(target, job)) === true;
}

/** `-T`: nothing starts before the window or ends behind it. */
function truncate(job: AccountedJob, { from, to }: SacctLine): AccountedJob {
  const clip = <R extends { readonly startedAt: EpochMs | null; readonly endedAt: EpochMs | null }>(record: R): R => ({
    ...record,
    startedAt: record.startedAt === null ? null : (Math.max(record.startedAt, from) as EpochMs),
    endedAt: record.endedAt === null ? null : (Math.min(record.endedAt, to) as EpochMs),
  });
  return { ...clip(job), steps: job.steps.map(clip) };
}

const RULE = "-".repeat(80);

/** `-B`, `--env-vars`. Environments are not kept. */
async function printScripts(line: SacctLine, userIds: readonly number[] | null, engine: Engine): Promise<number> {
  const jobs = await load({ line, argv: [], userIds, now: nowMs() }, engine);
  for (const job of jobs) {
    const script = line.batchScript && job.kind === "batch" ? (await engine.batchScript(job.jobId, UNTIL_ENDED)).trimEnd() : "NONE";
    const title = line.batchScript ? `Batch Script for ${job.jobId}` : `Environment used for ${job.jobId} (must be batch to display)`;
    printLines([title, RULE, script]);
  }
  return 0;
}
