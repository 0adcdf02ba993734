/** Nodes, partitions and settings as the show commands want them. */
import { readFileSync } from "node:fs";
import { arch, freemem, loadavg, release, uptime, userInfo, version } from "node:os";
import { nowMs, type EpochMs } from "#job/id.ts";
import type { NodeRecord, PartitionRecord } from "#job/record.ts";
import { SLURM_VERSION } from "#job/version.ts";
import type { EngineConfig } from "../engine.ts";
import type { ClusterConfig } from "./config.ts";
import type { Controller } from "./controller.ts";
import { heldShare } from "./resources.ts";
import { allSettings } from "./settings.ts";

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "x86_64", arm64: "aarch64" };

export function nodeRecords(controller: Controller): NodeRecord[] {
  const { config } = controller;
  const jobs = [...controller.book.records(null)].filter(
    (job) => job.shares.length > 0 && (job.endedAt === null || job.flags.includes("COMPLETING")),
  );
  const bootedAt = (Date.now() - Math.round(uptime() * 1000)) as EpochMs;
  return config.nodes.map((node) => {
    const note = controller.cluster.noteOf(node.name);
    const shares = jobs.flatMap((job) => job.shares.filter((share) => share.node === node.name).map((share) => heldShare(job, share)));
    const allocatedGres: Record<string, number> = {};
    for (const share of shares)
      for (const [name, ids] of Object.entries(share.gres)) allocatedGres[name] = (allocatedGres[name] ?? 0) + ids.length;
    const gres = Object.entries(node.gres)
      .map(([name, count]) => `${name}:${count}`)
      .join(",");
    return {
      name: node.name,
      hostName: "localhost",
      address: "localhost",
      arch: ARCHITECTURES[arch()] ?? arch(),
      os: `Linux ${release()} ${version()}`,
      cpus: node.cpus,
      sockets: node.sockets,
      coresPerSocket: node.coresPerSocket,
      threadsPerCore: node.threadsPerCore,
      memMib: node.memMib,
      freeMemMib: freeMemMib(),
      load: loadavg()[0] ?? null,
      tmpDiskMib: node.tmpDiskMib,
      weight: node.weight,
      features: node.features,
      gres: gres === "" ? null : gres,
      partitions: config.partitions.filter((partition) => partition.nodes.includes(node.name)).map((partition) => partition.name),
      state: node.state,
      reason: note?.text ?? null,
      reasonUser: note?.user ?? null,
      reasonAt: note?.at ?? null,
      allocatedCpus: shares.reduce((sum, share) => sum + share.cpuIds.length, 0),
      allocatedMemMib: shares.reduce((sum, share) => sum + share.memMib, 0),
      allocatedGres,
      isCompleting: jobs.some((job) => job.flags.includes("COMPLETING") && job.nodes.includes(node.name)),
      bootedAt,
      daemonStartedAt: controller.startedAt,
      lastBusyAt: nowMs(),
      version: SLURM_VERSION,
    };
  });
}

/** What programs could still get, which is more than what is unused (proc(5), MemAvailable). */
function freeMemMib(): number {
  try {
    const kib = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1];
    if (kib !== undefined) return Math.floor(Number(kib) / 1024);
  } catch {
    // no /proc
  }
  return Math.floor(freemem() / 2 ** 20);
}

export function partitionRecords(config: ClusterConfig): PartitionRecord[] {
  return config.partitions.map((partition) => {
    const nodes = config.nodes.filter((node) => partition.nodes.includes(node.name));
    return {
      name: partition.name,
      isDefault: partition.isDefault,
      nodes: partition.nodes,
      state: partition.state,
      maxTimeMinutes: partition.maxTimeMinutes,
      defaultTimeMinutes: partition.defaultTimeMinutes,
      minNodes: partition.minNodes,
      maxNodes: partition.maxNodes,
      maxCpusPerNode: null,
      isHidden: partition.isHidden,
      isRootOnly: false,
      oversubscribe: "NO",
      priorityTier: partition.priorityTier,
      priorityJobFactor: 1,
      allowGroups: null,
      totalCpus: nodes.reduce((sum, node) => sum + node.cpus, 0),
      totalNodes: nodes.length,
      totalMemMib: nodes.reduce((sum, node) => sum + node.memMib, 0),
    };
  });
}

/** slurm.conf's names, in the order and form of `scontrol show config`. */
export function describeConfig(controller: Controller, host: string): EngineConfig {
  const { config, paths } = controller;
  const user = userInfo();
  return allSettings({
    AccountingStorageUser: user.username,
    BOOT_TIME: localTime(controller.startedAt),
    ClusterName: config.clusterName,
    FirstJobId: String(config.firstJobId),
    JobCompUser: user.username,
    JobRequeue: config.jobRequeue ? "1" : "0",
    KillWait: `${config.killWaitSeconds} sec`,
    Licenses:
      Object.entries(config.licenses)
        .map(([name, count]) => `${name}:${count}`)
        .join(",") || "(null)",
    MaxArraySize: String(config.maxArraySize),
    MaxNodeCount: String(config.nodes.length),
    MinJobAge: `${config.minJobAgeSeconds} sec`,
    MpiDefault: config.mpiDefault ?? "none",
    MULTIPLE_SLURMD: config.nodes.length > 1 ? "Yes" : "No",
    NEXT_JOB_ID: controller.store.meta("nextJobId") ?? String(config.firstJobId),
    SLURM_CONF: config.file,
    SLURM_VERSION,
    "SlurmctldHost[0]": host,
    SlurmctldLogFile: `${paths.state}/berthd.log`,
    SlurmdLogFile: `${paths.state}/berthd.log`,
    SlurmdSpoolDir: paths.spool,
    SlurmdUser: `${user.username}(${user.uid})`,
    SlurmUser: `${user.username}(${user.uid})`,
    SrunEpilog: config.srunEpilog ?? "(null)",
    SrunProlog: config.srunProlog ?? "(null)",
    StateSaveLocation: paths.state,
    TaskEpilog: config.taskEpilog ?? "(null)",
    TaskPlugin: config.bindsTasks ? "task/affinity" : "task/none",
    TaskProlog: config.taskProlog ?? "(null)",
  });
}

/** 2026-11-21T08:50:01, by this host's clock. */
function localTime(at: EpochMs): string {
  return new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
