/** From a request to a job: Slurm's checks and defaults. Requests that merely cannot run now are admitted. */
import { slurmError } from "#job/errors.ts";
import type { EpochMs, JobId } from "#job/id.ts";
import { EXIT_ZERO } from "#job/outcome.ts";
import type { ArrayInfo, JobRecord, Tres } from "#job/record.ts";
import type { JobOptions, JobRequest } from "#job/request.ts";
import { foldArraySpec, parseArraySpec } from "#options/array.ts";
import { checkFits, checkNodes, checkReservation, checkShape, findPartition } from "./admission-checks.ts";
import { askOf } from "./ask.ts";
import { batchFiles } from "./batch-files.ts";
import type { ClusterConfig } from "./config.ts";
import { sumOf, times } from "./gres-pools.ts";
import { gresText } from "./gres-wishes.ts";
import type { Ask, NodeFree } from "./placement.ts";

export interface Submitter {
  readonly uid: number;
  readonly userName: string;
  readonly gid: number;
  readonly groupName: string;
}

export interface AdmissionFacts {
  readonly config: ClusterConfig;
  readonly total: readonly NodeFree[];
  readonly submitter: Submitter;
  readonly jobId: JobId;
  readonly now: EpochMs;
  /** Of the job before it, minus one. */
  readonly priority: number;
}

/** @throws BerthError when the request can never be granted or is malformed */
export function admit(request: JobRequest, facts: AdmissionFacts): JobRecord {
  const { options } = request;
  const { config, now, submitter } = facts;
  const partition = findPartition(config, options.partition);
  checkNodes(config, options);
  checkReservation(options);
  const ask = askOf(options, partition, config);
  checkShape(config, options, partition);
  checkFits(ask, facts.total, partition);
  if (options.nice !== null && options.nice < 0 && submitter.uid !== 0) throw slurmError("INVALID_NICE");
  const array = arrayOf(request, facts);
  const timeLimit =
    options.timeLimitMinutes === "unlimited"
      ? null
      : (options.timeLimitMinutes ?? partition.defaultTimeMinutes ?? partition.maxTimeMinutes);
  const isHeld = options.hold || options.priority === 0;
  const record: JobRecord = {
    jobId: facts.jobId,
    array,
    kind: request.kind,
    name: options.name ?? "",
    userId: submitter.uid,
    userName: submitter.userName,
    groupId: submitter.gid,
    groupName: submitter.groupName,
    account: options.account,
    qos: options.qos ?? "normal",
    wckey: options.wckey,
    reservation: options.reservation,
    comment: options.comment,
    partition: partition.name,
    state: "PENDING",
    flags: [],
    reason: isHeld ? "JobHeldUser" : "None",
    stateDescription: null,
    exit: EXIT_ZERO,
    derivedExit: EXIT_ZERO,
    cancelledBy: null,
    failedNode: null,
    priority: isHeld
      ? 0
      : typeof options.priority === "number"
        ? Math.min(options.priority, facts.priority)
        : Math.max(1, facts.priority - (options.nice ?? 0)),
    nice: options.nice ?? 0,
    requeue: options.requeue ?? config.jobRequeue,
    restarts: 0,
    dependency: options.dependency,
    submittedAt: now,
    eligibleAt: options.beginAt !== null && options.beginAt > now ? options.beginAt : isHeld || options.dependency !== null ? null : now,
    startedAt: null,
    expectedStartAt: null,
    endedAt: null,
    suspendedAt: null,
    suspendedMs: 0,
    deadlineAt: options.deadlineAt,
    lastSchedEvalAt: null,
    scheduler: null,
    timeLimitMinutes: timeLimit,
    timeMinMinutes: options.timeMinMinutes,
    warnSignal: options.warnSignal,
    submitHost: request.submit.host,
    submitSid: request.submit.sid,
    submitLine: request.submit.submitLine,
    workDir: request.submit.workDir,
    command: commandOf(request),
    stdin: null,
    stdout: null,
    stderr: null,
    mailUser: options.mailUser,
    mailTypes: options.mailTypes ?? [],
    container: options.container,
    containerId: options.containerId,
    ...wishes(options, ask, config),
    nodes: [],
    batchHost: null,
    shares: [],
    allocated: null,
  };
  return { ...record, ...batchFiles(request, record) };
}

type Wishes = Pick<
  JobRecord,
  | "requestedNodes"
  | "excludedNodes"
  | "nodesMin"
  | "nodesMax"
  | "tasks"
  | "cpusPerTask"
  | "tasksPerNode"
  | "minCpusPerNode"
  | "memPerNodeMib"
  | "memPerCpuMib"
  | "tmpDiskMib"
  | "gresPerNode"
  | "gpus"
  | "constraint"
  | "licenses"
  | "exclusive"
  | "oversubscribe"
  | "contiguous"
  | "distribution"
  | "requested"
>;

/** What a job wants to get, as the show commands have it. */
function wishes(options: JobOptions, ask: Ask, config: ClusterConfig): Wishes {
  return {
    requestedNodes: inNodeOrder(options.nodeList, config),
    excludedNodes: inNodeOrder(options.excludeNodes, config),
    nodesMin: ask.nodesMin,
    nodesMax: ask.nodesMax,
    tasks: ask.tasks,
    cpusPerTask: ask.cpusPerTask,
    tasksPerNode: options.tasksPerNode,
    minCpusPerNode: Math.max(1, options.minCpusPerNode ?? options.cpusPerTask ?? 1),
    memPerNodeMib: ask.memPerNodeMib,
    memPerCpuMib: options.memPerCpuMib,
    tmpDiskMib: options.tmpDiskMib ?? 0,
    gresPerNode: gresText(options),
    gpus: options.gpus,
    constraint: options.constraint,
    licenses: options.licenses,
    exclusive: options.exclusive,
    oversubscribe: options.oversubscribe,
    contiguous: options.contiguous,
    distribution: options.distribution,
    requested: requestedTres(ask),
  };
}

/**
 * The same job with other options (scontrol update). What is unknown is refused; what does not fit waits.
 * @throws BerthError
 */
export function readmit(job: JobRecord, request: JobRequest, config: ClusterConfig): { readonly record: JobRecord; readonly ask: Ask } {
  const { options } = request;
  const partition = findPartition(config, options.partition ?? job.partition);
  checkNodes(config, options);
  checkReservation(options);
  const ask = askOf(options, partition, config);
  const record = {
    ...job,
    ...wishes(options, ask, config),
    partition: partition.name,
    account: options.account,
    qos: options.qos ?? "normal",
    wckey: options.wckey,
    reservation: options.reservation,
    deadlineAt: options.deadlineAt,
    timeMinMinutes: options.timeMinMinutes,
    mailTypes: options.mailTypes ?? [],
    workDir: request.submit.workDir,
  };
  return { record: { ...record, ...batchFiles(request, record) }, ask };
}

function inNodeOrder(names: readonly string[] | null, config: ClusterConfig): string[] {
  return names === null ? [] : config.nodes.map((node) => node.name).filter((name) => names.includes(name));
}

function requestedTres(ask: Ask): Tres {
  const cpus = Math.max(ask.tasks, ask.nodesMin) * ask.cpusPerTask;
  const memMib = ask.memPerNodeMib !== null ? ask.memPerNodeMib * ask.nodesMin : ask.memPerCpuMib !== null ? ask.memPerCpuMib * cpus : null;
  return { cpus, memMib, nodes: ask.nodesMin, gres: sumOf(ask.gresPerNode, times(ask.gresPerTask ?? {}, ask.tasks), ask.gresPerJob ?? {}) };
}

function arrayOf(request: JobRequest, facts: AdmissionFacts): ArrayInfo | null {
  const text = request.batch?.array ?? null;
  if (text === null) return null;
  const { indices, throttle } = parseArraySpec(text, facts.config.maxArraySize);
  const [min = 0, second = min + 1] = indices;
  const max = indices.at(-1) ?? min;
  const step = indices.every((index, i) => index === min + i * (second - min)) && indices.length > 1 ? second - min : 1;
  return {
    jobId: facts.jobId,
    taskId: null,
    throttle,
    min,
    max,
    step,
    pendingIndices: foldArraySpec({ indices, throttle: null }, 0),
    count: indices.length,
  };
}

function commandOf(request: JobRequest): string | null {
  if (request.batch === null) return request.command;
  const { scriptPath, args } = request.batch;
  return scriptPath === null ? null : [scriptPath, ...args].join(" ");
}
