/**
 * From a request to a job: the checks that Slurm makes at submission (lifecycle §4.1; commands.md §19), the defaults,
 * and what the scheduler has to know. Requests that merely cannot run now are admitted.
 */
import { resolve } from "node:path";
import { slurmError } from "#job/errors.ts";
import type { EpochMs, JobId } from "#job/id.ts";
import { EXIT_ZERO } from "#job/outcome.ts";
import type { ArrayInfo, JobRecord, Tres } from "#job/record.ts";
import type { JobOptions, JobRequest } from "#job/request.ts";
import { foldArraySpec, parseArraySpec } from "#options/array.ts";
import { parseGpus, parseGres } from "#options/gres.ts";
import { expandFilePattern } from "#options/file-pattern.ts";
import type { ClusterConfig, PartitionConfig } from "./config.ts";
import { sumOf, times } from "./gres-pools.ts";
import { place, type Ask, type NodeFree } from "./placement.ts";

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
  checkFits(ask, facts, partition);
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

function findPartition(config: ClusterConfig, wanted: string | null): PartitionConfig {
  const names = wanted === null ? [] : wanted.split(",");
  const found =
    names.length === 0
      ? config.partitions.find((partition) => partition.isDefault)
      : config.partitions.find((partition) => names.includes(partition.name));
  const unknown = names.find((name) => !config.partitions.some((partition) => partition.name === name));
  if (found === undefined || unknown !== undefined) {
    throw slurmError("INVALID_PARTITION", { before: [`error: invalid partition specified: ${wanted}`] });
  }
  if (found.state === "INACTIVE" || found.state === "DRAIN") throw slurmError("JOB_MISSING_REQUIRED_PARTITION");
  return found;
}

export function partitionOf(config: ClusterConfig, name: string): PartitionConfig {
  const found = config.partitions.find((partition) => partition.name === name) ?? config.partitions[0];
  if (found === undefined) throw new Error("a cluster has partitions");
  return found;
}

function checkNodes(config: ClusterConfig, options: JobOptions): void {
  const names = new Set(config.nodes.map((node) => node.name));
  for (const name of [...(options.nodeList ?? []), ...(options.excludeNodes ?? [])])
    if (!names.has(name)) throw slurmError("INVALID_NODE_NAME");
  if (options.nodeList?.some((name) => options.excludeNodes?.includes(name)) === true) throw slurmError("INVALID_NODE_NAME");
  const features = new Set(config.nodes.flatMap((node) => node.features));
  for (const group of parseConstraint(options.constraint))
    for (const feature of group) if (!features.has(feature)) throw slurmError("INVALID_FEATURE");
  const known = new Set(config.nodes.flatMap((node) => Object.keys(node.gres)).map((name) => name.split(":")[0]));
  const wishes = { ...gresPerNode(options), ...gresPerJob(options), ...gpuWish(options.gpusPerTask) };
  for (const name of Object.keys(wishes)) if (!known.has(name.split(":")[0] ?? name)) throw slurmError("INVALID_GRES");
  for (const entry of (options.licenses ?? "").split(/[,;]/).filter(Boolean)) {
    const [name = "", count = "1"] = entry.split(":");
    if (Number(count) > (config.licenses[name] ?? 0)) throw slurmError("INVALID_LICENSES");
  }
  if (options.nodesMin === 0) throw slurmError("BAD_NODE_COUNT");
}

/** `a&b`, `a|b`, `[a|b]`, `a*2` (counts are not looked at) as alternatives of what is needed together. */
function parseConstraint(text: string | null): string[][] {
  if (text === null || text === "") return [];
  return text
    .replace(/[[\]()]/g, "")
    .split("|")
    .map((all) =>
      all
        .split(/[&,]/)
        .map((feature) => feature.replace(/\*\d+$/, ""))
        .filter(Boolean),
    );
}

function inNodeOrder(names: readonly string[] | null, config: ClusterConfig): string[] {
  return names === null ? [] : config.nodes.map((node) => node.name).filter((name) => names.includes(name));
}

type GresWish = Record<string, number>;

function gpuWish(text: string | null): GresWish {
  const counts: GresWish = {};
  for (const { name, type, count } of text === null ? [] : (parseGpus(text) ?? [])) addWish(counts, name, type, count);
  return counts;
}

function addWish(counts: GresWish, name: string, type: string | null, count: number): void {
  const key = type === null ? name : `${name}:${type}`;
  counts[key] = Math.max(counts[key] ?? 0, count);
}

function gresPerNode(options: Pick<JobOptions, "gres" | "gpusPerNode" | "gpusPerSocket">): GresWish {
  const counts: GresWish = {};
  for (const { name, type, count } of parseGres(options.gres ?? "none") ?? []) addWish(counts, name, type, count);
  for (const text of [options.gpusPerNode, options.gpusPerSocket])
    for (const [name, count] of Object.entries(gpuWish(text))) counts[name] = Math.max(counts[name] ?? 0, count);
  return counts;
}

/** --gpus, and what --ntasks-per-gpu comes to. */
function gresPerJob(options: Pick<JobOptions, "gpus" | "tasksPerGpu" | "tasks">): GresWish {
  const { gpus, tasksPerGpu, tasks } = options;
  if (gpus === null && tasksPerGpu !== null) return { gpu: Math.max(1, Math.ceil((tasks ?? 1) / tasksPerGpu)) };
  return gpuWish(gpus);
}

/** Of any type. */
function gpusIn(wish: GresWish): number {
  return Object.entries(wish).reduce((sum, [name, count]) => (name.split(":")[0] === "gpu" ? sum + count : sum), 0);
}

function gresText(options: JobOptions): string | null {
  const counts = Object.entries(gresPerNode({ ...options, gpusPerSocket: null }));
  return counts.length === 0 ? null : counts.map(([name, count]) => `${name}:${count}`).join(",");
}

export function askOf(options: JobOptions, partition: PartitionConfig, config: ClusterConfig): Ask {
  const hosts = options.distribution === "arbitrary" ? options.nodeList?.slice(0, options.tasks ?? options.nodeList.length) : undefined;
  const named = new Set(hosts ?? options.nodeList);
  const nodesMin = hosts === undefined ? Math.max(options.nodesMin ?? 1, named.size, nodesBeyond(options, partition, config)) : named.size;
  const tasks = options.tasks ?? (options.tasksPerNode === null ? nodesMin : nodesMin * options.tasksPerNode);
  const gres = {
    gresPerNode: gresPerNode(options),
    gresPerTask: gpuWish(options.gpusPerTask),
    // With a number for each task the number for the job follows from it.
    gresPerJob: options.gpusPerTask === null ? gresPerJob(options) : {},
  };
  const gpus = Math.max(gpusIn(gres.gresPerNode) * nodesMin, gpusIn(gres.gresPerTask) * tasks, gpusIn(gres.gresPerJob));
  return {
    nodesMin,
    nodesMax: hosts !== undefined ? named.size : (options.nodesMax ?? (options.nodesMin === null ? null : nodesMin)),
    tasks: Math.max(tasks, 1),
    cpusPerTask: Math.max(options.cpusPerTask ?? Math.ceil(((options.cpusPerGpu ?? 0) * gpus) / Math.max(tasks, 1)), 1),
    tasksPerNode: options.tasksPerNode,
    minCpusPerNode: options.minCpusPerNode ?? 1,
    memPerNodeMib:
      options.memPerNodeMib ?? (options.memPerGpuMib === null || gpus === 0 ? null : options.memPerGpuMib * Math.ceil(gpus / nodesMin)),
    memPerCpuMib: options.memPerCpuMib,
    ...gres,
    exclusive: options.exclusive,
    overcommit: options.overcommit,
    tasksByNode: hosts === undefined ? null : countEach(hosts),
    requiredNodes: [...named],
    excludedNodes: options.excludeNodes ?? [],
    features: parseConstraint(options.constraint),
    partitionNodes: partition.nodes,
  };
}

function countEach(hosts: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const host of hosts) counts[host] = (counts[host] ?? 0) + 1;
  return counts;
}

/** Tasks that would need more nodes than the partition has make the job wait for them, when it did not count nodes itself; else 1. */
function nodesBeyond(options: JobOptions, partition: PartitionConfig, config: ClusterConfig): number {
  if (options.nodesMin !== null || options.tasks === null || options.overcommit) return 1;
  const cpus = config.nodes.filter(({ name }) => partition.nodes.includes(name)).map((node) => node.cpus);
  const perNode = Math.min(Math.floor(Math.max(0, ...cpus) / Math.max(options.cpusPerTask ?? 1, 1)), options.tasksPerNode ?? Infinity);
  const needed = perNode < 1 ? 1 : Math.ceil(options.tasks / perNode);
  return needed > partition.nodes.length ? needed : 1;
}

/** There are no reservations here, so none can be asked for. */
function checkReservation({ reservation }: JobOptions): void {
  if (reservation !== null && reservation !== "") throw slurmError("INVALID_RESERVATION");
}

/** Sockets, cores, threads and temporary disk that no node of the partition has. What nodes do not say of their disk is not compared. */
function checkShape(config: ClusterConfig, options: JobOptions, partition: PartitionConfig): void {
  const { unused, tmpDiskMib } = options;
  const [sockets, cores, threads] = (unused["extra-node-info"] ?? "").split(":");
  const most = (...texts: readonly (string | undefined)[]) => Math.max(0, ...texts.map((text) => Number(text ?? 0) || 0));
  const wanted = {
    sockets: most(sockets, unused["sockets-per-node"]),
    cores: most(cores, unused["cores-per-socket"]),
    threads: most(threads, unused["threads-per-core"]),
  };
  const nodes = config.nodes.filter(({ name }) => partition.nodes.includes(name));
  const has = (node: ClusterConfig["nodes"][number]) =>
    node.sockets >= wanted.sockets && node.coresPerSocket >= wanted.cores && node.threadsPerCore >= wanted.threads;
  if (!nodes.some(has)) {
    const before = ["error: Socket, core and/or thread specification can not be satisfied"];
    throw slurmError("NODE_CONFIG_UNAVAILABLE", { before });
  }
  if (nodes.some((node) => node.tmpDiskMib > 0) && nodes.every((node) => node.tmpDiskMib < (tmpDiskMib ?? 0)))
    throw slurmError("NODE_CONFIG_UNAVAILABLE", { before: ["error: Temporary disk specification can not be satisfied"] });
}

/** More nodes than the partition has waits (PartitionConfig); what no node can give is refused. */
function checkFits(ask: Ask, facts: AdmissionFacts, partition: PartitionConfig): void {
  if (wantsTooManyNodes(ask, partition)) return;
  const nodes = facts.total.filter((node) => partition.nodes.includes(node.name));
  const mem = ask.memPerNodeMib ?? 0;
  const memPerCpu = (ask.memPerCpuMib ?? 0) * ask.cpusPerTask;
  if (nodes.every((node) => node.totalMemMib < Math.max(mem, memPerCpu))) {
    throw slurmError("NODE_CONFIG_UNAVAILABLE", { before: ["error: Memory specification can not be satisfied"] });
  }
  const cpus = Math.max(ask.minCpusPerNode, ask.cpusPerTask * (ask.overcommit ? 1 : (ask.tasksPerNode ?? 1)));
  if (nodes.every((node) => node.totalCpus < cpus)) {
    throw slurmError("NODE_CONFIG_UNAVAILABLE", { before: ["error: CPU count per node can not be satisfied"] });
  }
  if (place(ask, nodes) === undefined) throw slurmError("NODE_CONFIG_UNAVAILABLE");
}

/** The reason PartitionConfig, and srun's "Requested partition configuration not available now". */
export function wantsTooManyNodes(ask: Ask, partition: PartitionConfig): boolean {
  return ask.nodesMin > Math.min(partition.nodes.length, partition.maxNodes ?? Infinity);
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

/** Paths of a batch job's files as the show commands print them. */
export function batchFiles(request: JobRequest, job: JobRecord): Pick<JobRecord, "stdin" | "stdout" | "stderr"> {
  if (request.batch === null) return { stdin: null, stdout: null, stderr: null };
  const expand = (pattern: string) =>
    resolve(
      job.workDir,
      expandFilePattern(pattern, {
        kind: "batch",
        jobId: job.jobId,
        arrayJobId: job.array?.jobId ?? null,
        arrayTask: job.array?.taskId ?? null,
        userName: job.userName,
        jobName: job.name,
        nodeName: job.batchHost ?? "%N",
      }),
    );
  const output = request.batch.output ?? defaultOutput(job);
  return {
    stdin: expand(request.batch.input ?? "/dev/null"),
    stdout: expand(output),
    stderr: expand(request.batch.error ?? output),
  };
}

export function defaultOutput(job: JobRecord): string {
  return job.array === null ? "slurm-%j.out" : "slurm-%A_%a.out";
}
