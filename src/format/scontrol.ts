/** `scontrol show` of steps, nodes, partitions and the configuration (commands.md §8.2, §8.3); jobs are in scontrol-job.ts. */
import type { EngineConfig } from "#engine/engine.ts";
import type { JobRecord, NodeRecord, PartitionRecord, StepRecord } from "#job/record.ts";
import { shownStepId } from "./array-ids.ts";
import { orNull } from "./columns.ts";
import { nodeStateFlags } from "./node-state.ts";
import { nodesText } from "./nodes-text.ts";
import type { ShowOptions } from "./scontrol-job.ts";
import { exactSize, stepTresText, tresText } from "./sizes.ts";
import { longDuration, timeFormatter } from "./times.ts";
export { renderShowJobs, type ShowOptions } from "./scontrol-job.ts";

/** Joins one record's lines as -o wants them. */
function layout(lines: readonly string[], oneLine: boolean): string[] {
  return oneLine ? [lines.join(" ")] : [...lines.map((line, i) => (i === 0 ? line : `   ${line}`)), ""];
}

/** `jobs`, when given, makes array task ids of step ids. Order as given. */
export function renderShowSteps(steps: readonly StepRecord[], options: ShowOptions, jobs: readonly JobRecord[] = []): string[] {
  const formatTime = timeFormatter(options.timeFormat, options.nowMs);
  const byId = new Map(jobs.map((job) => [job.jobId, job]));
  return steps.flatMap((step) => {
    // The script and the keeper of the cgroup own no CPUs of their own.
    const isNamed = step.stepKey === "batch" || step.stepKey === "extern";
    const distribution = step.distribution === null ? "" : ` Dist=${capitalize(step.distribution)}`;
    const lines = [
      `StepId=${shownStepId(step, byId.get(step.jobId))} UserId=${step.userId} StartTime=${formatTime(step.startedAt)}` +
        ` TimeLimit=${step.timeLimitMinutes === null ? "UNLIMITED" : longDuration(step.timeLimitMinutes * 60)}`,
      `State=${step.state} Partition=${step.partition} NodeList=${nodesText(step.nodes)}`,
      `Nodes=${step.nodes.length} CPUs=${isNamed ? 0 : step.cpus} Tasks=${step.tasks} Name=${step.name} Network=(null)`,
      `TRES=${isNamed || step.allocated === null ? "(null)" : stepTresText(step.allocated)}`,
      "ResvPorts=(null)",
      `CPUFreqReq=Default${distribution}`,
      `SrunHost:Pid=${orNull(step.srunHost)}:${step.srunPid ?? 0}`,
    ];
    if (step.container !== null || step.containerId !== null) {
      lines.push(`Container=${orNull(step.container)} ContainerID=${orNull(step.containerId)}`);
    }
    return layout(lines, options.oneLine);
  });
}

function capitalize(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

export function renderShowNodes(nodes: readonly NodeRecord[], options: ShowOptions): string[] {
  const formatTime = timeFormatter(options.timeFormat, options.nowMs);
  const time = (at: number | null, missing: string) => (at === null ? missing : formatTime(at));
  return nodes.flatMap((node) => {
    const features = node.features.length === 0 ? "(null)" : node.features.join(",");
    const lines = [
      `NodeName=${node.name} Arch=${node.arch} CoresPerSocket=${node.coresPerSocket} `,
      `CPUAlloc=${node.allocatedCpus} CPUEfctv=${node.cpus} CPUTot=${node.cpus} CPULoad=${node.load === null ? "N/A" : node.load.toFixed(2)}`,
      `AvailableFeatures=${features}`,
      `ActiveFeatures=${features}`,
      `Gres=${orNull(node.gres)}`,
      `NodeAddr=${node.address} NodeHostName=${node.hostName} Version=${node.version}`,
      `OS=${node.os}`,
      `RealMemory=${node.memMib} AllocMem=${node.allocatedMemMib} FreeMem=${node.freeMemMib ?? "N/A"} Sockets=${node.sockets} Boards=1`,
      `State=${nodeStateFlags(node).join("+")} ThreadsPerCore=${node.threadsPerCore} TmpDisk=${node.tmpDiskMib} Weight=${node.weight} Owner=N/A MCS_label=N/A`,
      `Partitions=${node.partitions.join(",")} `,
      `BootTime=${time(node.bootedAt, "None")} SlurmdStartTime=${time(node.daemonStartedAt, "None")}`,
      `LastBusyTime=${time(node.lastBusyAt, "Unknown")}`,
      `CfgTRES=${nodeTres(node)}`,
      `AllocTRES=${allocatedTres(node)}`,
      "CapWatts=n/a",
      "CurrentWatts=0 AveWatts=0",
      "ExtSensorsJoules=n/s ExtSensorsWatts=0 ExtSensorsTemp=n/s",
    ];
    if (node.reason !== null) lines.push(`Reason=${node.reason} [${node.reasonUser ?? "Unknown"}@${time(node.reasonAt, "Unknown")}]`);
    return layout(lines, options.oneLine);
  });
}

export function nodeTres(node: NodeRecord): string {
  return `cpu=${node.cpus},mem=${exactSize(node.memMib, "M")},billing=${node.cpus}`;
}

/** What jobs hold of a node; empty when they hold nothing. */
export function allocatedTres(node: NodeRecord): string {
  const parts: string[] = [];
  if (node.allocatedCpus > 0) parts.push(`cpu=${node.allocatedCpus}`);
  if (node.allocatedMemMib > 0) parts.push(`mem=${exactSize(node.allocatedMemMib, "M")}`);
  for (const [name, count] of Object.entries(node.allocatedGres)) if (count > 0) parts.push(`gres/${name}=${count}`);
  return parts.join(",");
}

export function renderShowPartitions(partitions: readonly PartitionRecord[], options: Pick<ShowOptions, "oneLine">): string[] {
  const limit = (minutes: number | null, missing: string) => (minutes === null ? missing : longDuration(minutes * 60));
  return partitions.flatMap((partition) =>
    layout(
      [
        `PartitionName=${partition.name}`,
        `AllowGroups=${partition.allowGroups === null ? "ALL" : partition.allowGroups.join(",")} AllowAccounts=ALL AllowQos=ALL`,
        `AllocNodes=ALL Default=${yes(partition.isDefault)} QoS=N/A`,
        `DefaultTime=${limit(partition.defaultTimeMinutes, "NONE")} DisableRootJobs=NO ExclusiveUser=NO GraceTime=0 Hidden=${yes(partition.isHidden)}`,
        `MaxNodes=${partition.maxNodes ?? "UNLIMITED"} MaxTime=${limit(partition.maxTimeMinutes, "UNLIMITED")} MinNodes=${partition.minNodes} LLN=NO` +
          ` MaxCPUsPerNode=${partition.maxCpusPerNode ?? "UNLIMITED"}`,
        `Nodes=${nodesText(partition.nodes) || "(null)"}`,
        `PriorityJobFactor=${partition.priorityJobFactor} PriorityTier=${partition.priorityTier} RootOnly=${yes(partition.isRootOnly)} ReqResv=NO OverSubscribe=${partition.oversubscribe}`,
        "OverTimeLimit=NONE PreemptMode=OFF",
        `State=${partition.state} TotalCPUs=${partition.totalCpus} TotalNodes=${partition.totalNodes} SelectTypeParameters=NONE`,
        "JobDefaults=(null)",
        "DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED",
        `TRES=${partitionTres(partition)}`,
      ],
      options.oneLine,
    ),
  );
}

export function partitionTres(partition: PartitionRecord): string {
  return tresText({ cpus: partition.totalCpus, memMib: partition.totalMemMib, nodes: partition.totalNodes, gres: {} });
}

function yes(value: boolean): string {
  return value ? "YES" : "NO";
}

/** `show config`; `ping` is the host's last line, `Slurmctld(primary) at HOST is UP`. */
export function renderShowConfig(
  config: EngineConfig,
  options: { readonly nowMs: number; readonly timeFormat: string | null; readonly host: string; readonly isUp: boolean },
): string[] {
  const line = ([name, value]: EngineConfig[number]) => `${name.padEnd(23)} = ${value}`;
  const ofMpi = config.filter(([name]) => name.startsWith("PMIx"));
  return [
    `Configuration data as of ${timeFormatter(options.timeFormat, options.nowMs)(options.nowMs)}`,
    ...config.filter((setting) => !ofMpi.includes(setting)).map(line),
    "",
    ...(ofMpi.length === 0 ? [] : ["MPI Plugins Configuration:", ...ofMpi.map(line), ""]),
    renderPing(options.host, options.isUp),
  ];
}

export function renderPing(host: string, isUp: boolean): string {
  return `Slurmctld(primary) at ${host} is ${isUp ? "UP" : "DOWN"}`;
}
