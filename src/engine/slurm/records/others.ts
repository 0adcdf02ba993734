/** Steps, nodes and partitions as `scontrol -o show` prints them. Pure. */
import { parseStepKey, type JobId } from "#job/id.ts";
import type { NodeRecord, PartitionRecord, StepRecord } from "#job/record.ts";
import { STATES, type BaseState } from "#job/state.ts";
import { expandHostlist } from "#options/hostlist.ts";
import { countOrNull, mebibytesOf, minutesOf, numberOf, parseFields, textOf, timeOf, tresOf } from "./fields.ts";

export function parseStep(line: string): StepRecord | undefined {
  const match = /^StepId=(\d+)\.(\w+) /.exec(line);
  const stepKey = parseStepKey(match?.[2] ?? "");
  if (match === null || stepKey === undefined) return undefined;
  const fields = parseFields(line);
  const nodes = expandHostlist(textOf(fields.get("NodeList")) ?? "");
  const tasks = numberOf(fields.get("Tasks"), 1);
  const state = fields.get("State") ?? "RUNNING";
  const [srunHost, srunPid] = (fields.get("SrunHost:Pid") ?? "").split(":");
  return {
    jobId: Number(match[1]) as JobId,
    stepKey,
    name: fields.get("Name") ?? "",
    userId: numberOf(fields.get("UserId")),
    userName: "",
    partition: fields.get("Partition") ?? "",
    state: Object.hasOwn(STATES, state) ? (state as BaseState) : "RUNNING",
    exit: { code: 0, signal: 0 },
    cancelledBy: null,
    startedAt: timeOf(fields.get("StartTime")) ?? (0 as never),
    endedAt: null,
    suspendedMs: 0,
    timeLimitMinutes: minutesOf(fields.get("TimeLimit")),
    nodes,
    tasksPerNode: spread(tasks, nodes.length),
    cpus: numberOf(fields.get("CPUs")),
    tasks,
    allocated: tresOf(fields.get("TRES")),
    distribution: null,
    srunHost: textOf(srunHost),
    srunPid: countOrNull(srunPid),
    container: textOf(fields.get("Container")),
    containerId: textOf(fields.get("ContainerID")),
    submitLine: textOf(fields.get("SubmitLine")),
    usage: null,
  };
}

/** Slurm does not say how many tasks are where: as even as can be. */
function spread(tasks: number, nodes: number): number[] {
  return Array.from({ length: nodes }, (_, index) => Math.floor(tasks / nodes) + (index < tasks % nodes ? 1 : 0));
}

export function parseNode(line: string): NodeRecord | undefined {
  const fields = parseFields(line);
  const name = fields.get("NodeName");
  if (name === undefined) return undefined;
  const states = (fields.get("State") ?? "").replace(/[*~#!%$@^-]+$/, "").split("+");
  const allocated = tresOf(fields.get("AllocTRES"));
  return {
    name,
    hostName: fields.get("NodeHostName") ?? name,
    address: fields.get("NodeAddr") ?? name,
    arch: fields.get("Arch") ?? "",
    os: fields.get("OS") ?? "",
    cpus: numberOf(fields.get("CPUTot")),
    sockets: numberOf(fields.get("Sockets"), 1),
    coresPerSocket: numberOf(fields.get("CoresPerSocket"), 1),
    threadsPerCore: numberOf(fields.get("ThreadsPerCore"), 1),
    memMib: numberOf(fields.get("RealMemory")),
    freeMemMib: countOrNull(fields.get("FreeMem")),
    load: countOrNull(fields.get("CPULoad")),
    tmpDiskMib: numberOf(fields.get("TmpDisk")),
    weight: numberOf(fields.get("Weight"), 1),
    features: (textOf(fields.get("AvailableFeatures")) ?? "").split(",").filter(Boolean),
    gres: textOf(fields.get("Gres")),
    partitions: (textOf(fields.get("Partitions")) ?? "").split(",").filter(Boolean),
    state: states.some((state) => state === "DRAIN" || state === "DRAINED" || state === "DRAINING")
      ? "DRAIN"
      : states.some((state) => state === "DOWN" || state === "FAIL" || state === "UNKNOWN" || state === "NOT_RESPONDING")
        ? "DOWN"
        : "UP",
    reason: textOf(fields.get("Reason")?.replace(/ \[.*\]$/, "")),
    reasonUser: null,
    reasonAt: null,
    allocatedCpus: numberOf(fields.get("CPUAlloc")),
    allocatedMemMib: numberOf(fields.get("AllocMem")),
    allocatedGres: allocated.gres,
    isCompleting: states.includes("COMPLETING"),
    bootedAt: timeOf(fields.get("BootTime")),
    daemonStartedAt: timeOf(fields.get("SlurmdStartTime")),
    lastBusyAt: timeOf(fields.get("LastBusyTime")),
    version: fields.get("Version") ?? "",
  };
}

export function parsePartition(line: string): PartitionRecord | undefined {
  const fields = parseFields(line);
  const name = fields.get("PartitionName");
  if (name === undefined) return undefined;
  const state = fields.get("State");
  const groups = textOf(fields.get("AllowGroups"));
  return {
    name,
    isDefault: fields.get("Default") === "YES",
    nodes: expandHostlist(textOf(fields.get("Nodes")) ?? ""),
    state: state === "DOWN" || state === "DRAIN" || state === "INACTIVE" ? state : "UP",
    maxTimeMinutes: minutesOf(fields.get("MaxTime")),
    defaultTimeMinutes: minutesOf(fields.get("DefaultTime")),
    minNodes: numberOf(fields.get("MinNodes")),
    maxNodes: countOrNull(fields.get("MaxNodes")),
    maxCpusPerNode: countOrNull(fields.get("MaxCPUsPerNode")),
    isHidden: fields.get("Hidden") === "YES",
    isRootOnly: fields.get("RootOnly") === "YES",
    oversubscribe: fields.get("OverSubscribe") ?? "NO",
    priorityTier: numberOf(fields.get("PriorityTier"), 1),
    priorityJobFactor: numberOf(fields.get("PriorityJobFactor"), 1),
    allowGroups: groups === null || groups === "ALL" ? null : groups.split(","),
    totalCpus: numberOf(fields.get("TotalCPUs")),
    totalNodes: numberOf(fields.get("TotalNodes")),
    totalMemMib: mebibytesOf(/(?:^|,)mem=([^,]+)/.exec(fields.get("TRES") ?? "")?.[1]) ?? 0,
  };
}
