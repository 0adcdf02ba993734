/** Records for the tests of this room: one plain job, step, node and partition, changed by each test. */
import type { EpochMs, JobId } from "#job/id.ts";
import { EXIT_ZERO } from "#job/outcome.ts";
import type { AccountedJob, ArrayInfo, JobRecord, NodeRecord, PartitionRecord, StepRecord } from "#job/record.ts";

/** "2026-11-20T22:54:36" in the zone of the tests. */
export function at(text: string): EpochMs {
  return new Date(text).getTime() as EpochMs;
}
export const NOW = at("2026-11-20T22:54:37");

export function job(changes: Partial<JobRecord> & { readonly id?: number } = {}): JobRecord {
  const { id, ...rest } = changes;
  return {
    jobId: (id ?? 1) as JobId,
    array: null,
    kind: "batch",
    name: "wrap",
    userId: 2001,
    userName: "alice",
    groupId: 2001,
    groupName: "alice",
    account: null,
    qos: "normal",
    wckey: null,
    reservation: null,
    comment: null,
    partition: "debug",
    state: "RUNNING",
    flags: [],
    reason: "None",
    stateDescription: null,
    exit: EXIT_ZERO,
    derivedExit: EXIT_ZERO,
    cancelledBy: null,
    failedNode: null,
    priority: 4294901500,
    nice: 0,
    requeue: true,
    restarts: 0,
    dependency: null,
    submittedAt: at("2026-11-20T22:54:36"),
    eligibleAt: at("2026-11-20T22:54:36"),
    startedAt: at("2026-11-20T22:54:36"),
    expectedStartAt: null,
    endedAt: null,
    suspendedAt: null,
    suspendedMs: 0,
    deadlineAt: null,
    lastSchedEvalAt: at("2026-11-20T22:54:36"),
    scheduler: "Main",
    timeLimitMinutes: null,
    timeMinMinutes: null,
    warnSignal: null,
    submitHost: "localhost",
    submitSid: 10521,
    submitLine: "sbatch --wrap true",
    workDir: "/tmp/berth-oracle/w",
    command: null,
    stdin: "/dev/null",
    stdout: "/tmp/berth-oracle/w/slurm-1.out",
    stderr: "/tmp/berth-oracle/w/slurm-1.out",
    mailUser: null,
    mailTypes: [],
    container: null,
    containerId: null,
    requestedNodes: [],
    excludedNodes: [],
    nodesMin: 1,
    nodesMax: null,
    tasks: 1,
    cpusPerTask: 1,
    tasksPerNode: null,
    minCpusPerNode: 1,
    memPerNodeMib: null,
    memPerCpuMib: null,
    tmpDiskMib: 0,
    gresPerNode: null,
    gpus: null,
    constraint: null,
    licenses: null,
    exclusive: false,
    oversubscribe: false,
    contiguous: false,
    distribution: null,
    requested: { cpus: 1, memMib: 4000, nodes: 1, gres: {} },
    nodes: ["n1"],
    batchHost: "n1",
    shares: [],
    allocated: { cpus: 1, memMib: null, nodes: 1, gres: {} },
    ...rest,
  };
}

/** A job that waits: no nodes, no start. */
export function pending(changes: Partial<JobRecord> & { readonly id?: number } = {}): JobRecord {
  return job({
    state: "PENDING",
    startedAt: null,
    eligibleAt: null,
    nodes: [],
    batchHost: null,
    allocated: null,
    reason: "Resources",
    ...changes,
  });
}

export function array(jobId: number, changes: Partial<ArrayInfo>): ArrayInfo {
  return { jobId: jobId as JobId, taskId: null, pendingIndices: null, throttle: null, count: 4, min: 0, max: 3, step: 1, ...changes };
}

export function step(changes: Partial<StepRecord> & { readonly id?: number } = {}): StepRecord {
  const { id, ...rest } = changes;
  return {
    jobId: (id ?? 1) as JobId,
    stepKey: 0,
    name: "sh",
    userId: 2001,
    userName: "alice",
    partition: "debug",
    state: "RUNNING",
    exit: EXIT_ZERO,
    cancelledBy: null,
    startedAt: at("2026-11-20T22:54:36"),
    endedAt: null,
    suspendedMs: 0,
    timeLimitMinutes: null,
    nodes: ["n1"],
    tasksPerNode: [1],
    cpus: 1,
    tasks: 1,
    allocated: { cpus: 1, memMib: 0, nodes: 1, gres: {} },
    distribution: "cyclic",
    srunHost: "login",
    srunPid: 17144,
    container: null,
    containerId: null,
    submitLine: "srun sh",
    usage: null,
    ...rest,
  };
}

export function batchStep(changes: Partial<StepRecord> & { readonly id?: number } = {}): StepRecord {
  return step({
    stepKey: "batch",
    name: "batch",
    cpus: 0,
    allocated: null,
    distribution: null,
    srunHost: null,
    srunPid: null,
    submitLine: null,
    ...changes,
  });
}

export function accounted(record: JobRecord, steps: readonly StepRecord[]): AccountedJob {
  return { ...record, steps };
}

export function node(changes: Partial<NodeRecord> = {}): NodeRecord {
  return {
    name: "n1",
    hostName: "localhost",
    address: "localhost",
    arch: "x86_64",
    os: "Linux <kernel>",
    cpus: 2,
    sockets: 2,
    coresPerSocket: 1,
    threadsPerCore: 1,
    memMib: 4000,
    freeMemMib: 22559,
    load: 1.31,
    tmpDiskMib: 0,
    weight: 1,
    features: ["fast"],
    gres: "gpu:2",
    partitions: ["debug", "short"],
    state: "UP",
    reason: null,
    reasonUser: null,
    reasonAt: null,
    allocatedCpus: 0,
    allocatedMemMib: 0,
    allocatedGres: {},
    isCompleting: false,
    bootedAt: at("2026-11-20T21:12:06"),
    daemonStartedAt: at("2026-11-20T22:36:41"),
    lastBusyAt: at("2026-11-20T22:54:41"),
    version: "22.05.8",
    ...changes,
  };
}
export const N1 = node();
export const N2 = node({ name: "n2", features: ["slow"], gres: null, partitions: ["debug"] });

export function partition(changes: Partial<PartitionRecord> = {}): PartitionRecord {
  return {
    name: "debug",
    isDefault: true,
    nodes: ["n1", "n2"],
    state: "UP",
    maxTimeMinutes: null,
    defaultTimeMinutes: null,
    minNodes: 0,
    maxNodes: null,
    maxCpusPerNode: null,
    isHidden: false,
    isRootOnly: false,
    oversubscribe: "NO",
    priorityTier: 1,
    priorityJobFactor: 1,
    allowGroups: null,
    totalCpus: 4,
    totalNodes: 2,
    totalMemMib: 8000,
    ...changes,
  };
}
export const DEBUG = partition();
export const SHORT = partition({
  name: "short",
  isDefault: false,
  nodes: ["n1"],
  maxTimeMinutes: 10,
  defaultTimeMinutes: 5,
  totalCpus: 2,
  totalNodes: 1,
  totalMemMib: 4000,
});
