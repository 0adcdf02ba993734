/** squeue (commands.md §6). */
import type { Engine, JobTarget } from "#engine/engine.ts";
import { slurmError } from "#job/errors.ts";
import { nowMs } from "#job/id.ts";
import type { JobRecord, StepRecord } from "#job/record.ts";
import type { AnyState } from "#job/state.ts";
import { parseSqueue, type SqueueLine } from "#options/squeue.ts";
import { renderSqueue, type SqueueFormat } from "#format/squeue.ts";
import { openEngine } from "./engine.ts";
import { findUserId, ownUserId, shortHostName } from "./identity.ts";
import { informationAction } from "./information.ts";
import { ANY_JOB, isAllowed, isInStates, isOnNodes, isTargetJob, isTargetStep, LIVE_STATES } from "./job-filter.ts";
import { findCluster, printLoadError, printMachineOutput, repeat, skipsHidden, timeFormat, UNTIL_ENDED } from "./query.ts";
import { complain, printRows } from "./terminal.ts";

const CALL = "slurm_load_jobs error";

export async function squeue(argv: readonly string[]): Promise<number> {
  const line = parseSqueue(argv, process.env);
  const status = await informationAction("squeue", line.action);
  if (status !== undefined) return status;
  const query = { line, argv, userIds: findUsers(line), nodes: line.nodes?.map(ownName) ?? null };
  await using engine = await openEngine();
  try {
    const cluster = line.clusters === null ? null : await findCluster("squeue", line.clusters, engine);
    if (cluster === undefined) return 1;
    const unknown = query.nodes === null ? undefined : await findUnknownNode(query.nodes, engine);
    if (unknown !== undefined) {
      complain(`squeue: error: Invalid node name ${unknown}`);
      return 1;
    }
    return await repeat(line.iterateSeconds, () => show({ ...query, cluster }, engine));
  } catch (error) {
    return printLoadError("squeue", CALL, error);
  }
}

interface Query {
  readonly line: SqueueLine;
  readonly argv: readonly string[];
  /** Null is anybody. */
  readonly userIds: readonly number[] | null;
  readonly nodes: readonly string[] | null;
  /** With -M. */
  readonly cluster: string | null;
}

/** An unknown user is told, and is nobody: the exit status stays 0 [T squeue-02-filters]. */
function findUsers(line: SqueueLine): number[] | null {
  if (line.me) return [ownUserId()];
  return (
    line.users?.flatMap((name) => {
      const id = findUserId(name);
      if (id === undefined) complain(`squeue: error: Invalid user: ${name}`, "");
      return id ?? [];
    }) ?? null
  );
}

async function findUnknownNode(names: readonly string[], engine: Engine): Promise<string | undefined> {
  const known = new Set((await engine.nodes(UNTIL_ENDED)).map(({ name }) => name));
  return names.find((name) => !known.has(name));
}

function ownName(node: string): string {
  return node.toLowerCase() === "localhost" ? shortHostName() : node;
}

async function show(query: Query, engine: Engine): Promise<number> {
  const { line } = query;
  const isSteps = line.steps !== null;
  let jobs: readonly JobRecord[];
  let steps: readonly StepRecord[];
  try {
    [jobs, steps] = isSteps ? await loadSteps(query, engine) : [await loadJobs(query, engine), []];
  } catch (error) {
    return printLoadError("squeue", CALL, error);
  }
  if (line.machine !== null) {
    const byId = jobs.toSorted((a, b) => a.jobId - b.jobId);
    await printMachineOutput(line.machine, { command: "squeue", argv: query.argv, engine }, (json, request) =>
      isSteps ? json.stepsJson(steps, request) : json.jobsJson(byId, request),
    );
    return 0;
  }
  const { lines, errors, isFailed } = renderSqueue({
    view: isSteps ? "steps" : "jobs",
    jobs,
    steps,
    format: formatOf(line),
    sort: line.sort,
    noHeader: line.noHeader,
    expandArrays: line.array,
    arrayUnique: line.arrayUnique,
    nowMs: nowMs(),
    timeFormat: timeFormat(),
    clusterName: await clusterName(query, engine),
    bitstrLength: bitstrLength(),
    noConvert: line.noConvert,
    hasDateLine: line.long || line.verbose > 0 || line.iterateSeconds !== null,
    clusterLine: query.cluster,
  });
  complain(...errors);
  printRows(lines);
  return isFailed ? 1 : 0;
}

function formatOf({ format, start, long }: SqueueLine): SqueueFormat {
  if (format !== null) return { kind: format.kind === "letters" ? "o" : "O", text: format.text };
  return { kind: start ? "start" : long ? "long" : "default" };
}

/** Only -O has a column for it. */
async function clusterName({ line, cluster }: Query, engine: Engine): Promise<string> {
  if (cluster !== null) return cluster;
  const isShown = line.format?.kind === "fields" && /cluster/i.test(line.format.text);
  return isShown ? (await engine.info(UNTIL_ENDED)).clusterName : "";
}

function bitstrLength(): number | null {
  const text = process.env["SLURM_BITSTR_LEN"] ?? "";
  return /^\d{1,6}$/.test(text) ? Number(text) : null;
}

/** Null is any. */
function wantedStates({ states, start }: SqueueLine): readonly AnyState[] | null {
  if (states === "all") return null;
  return states ?? (start ? ["PENDING"] : LIVE_STATES);
}

function idsOf(targets: readonly JobTarget[]): number[] {
  return [...new Set(targets.map(({ jobId }) => jobId))];
}

/** @throws BerthError INVALID_JOB_ID when one job was asked for and the controller does not know it; a list is no error */
async function loadJobs(query: Query, engine: Engine): Promise<JobRecord[]> {
  const { line, userIds } = query;
  const states = wantedStates(line);
  if (line.jobs !== null) {
    const targets = line.jobs;
    const jobIds = idsOf(targets);
    const known = await engine.jobs({ ...ANY_JOB, jobIds }, UNTIL_ENDED);
    if (known.length === 0 && jobIds.length === 1) throw slurmError("INVALID_JOB_ID");
    return known.filter((job) => targets.some((target) => isTargetJob(target, job)) && isWanted(job, states, query));
  }
  const { names, partitions } = line;
  const isNamed = partitions !== null;
  const filter = { jobIds: null, userIds, states, names, partitions, skipsHidden: !isNamed && skipsHidden(line.all) };
  const jobs = await engine.jobs(filter, UNTIL_ENDED);
  return jobs.filter((job) => isWanted(job, states, query));
}

function isWanted(job: JobRecord, states: readonly AnyState[] | null, { line, userIds, nodes }: Query): boolean {
  return (
    (states === null || isInStates(job, states)) &&
    (userIds === null || userIds.includes(job.userId)) &&
    !(line.notMe && job.userId === ownUserId()) &&
    isAllowed(job.name, line.names) &&
    isAllowed(job.partition, line.partitions) &&
    isAllowed(job.account, line.accounts) &&
    isAllowed(job.qos, line.qos) &&
    (line.reservation === null || job.reservation === line.reservation) &&
    usesLicenses(job, line.licenses) &&
    isOnNodes(job.nodes, nodes)
  );
}

function usesLicenses(job: JobRecord, wanted: readonly string[] | null): boolean {
  if (wanted === null) return true;
  return (job.licenses ?? "").split(/[,;|]/).some((entry) => wanted.includes(entry.split(/[:@]/, 1)[0] ?? ""));
}

/** The jobs come along for the ids of array tasks. */
async function loadSteps(query: Query, engine: Engine): Promise<[jobs: readonly JobRecord[], steps: readonly StepRecord[]]> {
  const { line, userIds, nodes } = query;
  const targets = [line.jobs, line.steps].filter((list) => list !== null && list.length > 0) as (readonly JobTarget[])[];
  const [jobs, steps] = await Promise.all([
    engine.jobs({ jobIds: null, userIds: null, states: LIVE_STATES, names: null, partitions: null }, UNTIL_ENDED),
    engine.steps({ jobId: null }, UNTIL_ENDED),
  ]);
  const byId = new Map<number, JobRecord>(jobs.map((job) => [job.jobId, job]));
  const isListed = line.partitions === null && targets.length === 0 && skipsHidden(line.all);
  const hidden = isListed ? (await engine.partitions(UNTIL_ENDED)).filter(({ isHidden }) => isHidden) : [];
  const isMeant = (step: StepRecord) => targets.every((list) => list.some((target) => isTargetStep(target, step, byId.get(step.jobId))));
  return [
    jobs,
    steps.filter(
      (step) =>
        isMeant(step) &&
        !hidden.some(({ name }) => name === step.partition) &&
        (userIds === null || userIds.includes(step.userId)) &&
        !(line.notMe && step.userId === ownUserId()) &&
        isAllowed(step.name, line.names) &&
        isAllowed(step.partition, line.partitions) &&
        isOnNodes(step.nodes, nodes),
    ),
  ];
}
