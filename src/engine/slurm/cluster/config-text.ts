/**
 * slurm.conf of the private cluster. Sources: slurm.conf(5) 22.05 to 26.05; testbed.md. Everything that would need
 * root, a database or control groups is switched off.
 */
import { isBefore } from "../site-version.ts";
import type { ClusterPaths } from "./paths.ts";

export const CLUSTER_NAME = "berth-private";

export interface ClusterShape {
  readonly paths: ClusterPaths;
  readonly user: string;
  readonly host: string;
  readonly controllerPort: number;
  readonly nodePorts: readonly number[];
  readonly cpusPerNode: number;
  readonly memMibPerNode: number;
  /** Tokens are accepted too, so that a slurmrestd can be put in front. */
  readonly hasTokens: boolean;
  /** slurmdbd's; null without a database. */
  readonly databasePort: number | null;
  /** `[22, 5]` */
  readonly version: readonly [major: number, minor: number];
}

export function slurmConf(shape: ClusterShape): string {
  const { paths, user, host } = shape;
  const lines = [
    "# Made by `berth cluster up`; removed by `berth cluster down`.",
    `ClusterName=${CLUSTER_NAME}`,
    `SlurmctldHost=${host}(127.0.0.1)`,
    `SlurmctldPort=${shape.controllerPort}`,
    `SlurmUser=${user}`,
    `SlurmdUser=${user}`,
    "AuthType=auth/munge",
    `AuthInfo=socket=${paths.mungeSocket}`,
    "CredType=cred/munge",
    ...(shape.hasTokens ? ["AuthAltTypes=auth/jwt", `AuthAltParameters=jwt_key=${paths.jwtKey}`] : []),
    "ProctrackType=proctrack/linuxproc",
    "TaskPlugin=task/none",
    "SelectType=select/cons_tres",
    "SelectTypeParameters=CR_Core",
    ...(isBefore(shape.version, [23, 11]) ? ["SwitchType=switch/none"] : []),
    "MpiDefault=none",
    "JobAcctGatherType=jobacct_gather/linux",
    "JobAcctGatherFrequency=5",
    ...(shape.databasePort === null
      ? ["AccountingStorageType=accounting_storage/none", "JobCompType=jobcomp/filetxt", `JobCompLoc=${paths.state}/jobs.txt`]
      : [
          "AccountingStorageType=accounting_storage/slurmdbd",
          "AccountingStorageHost=127.0.0.1",
          `AccountingStoragePort=${shape.databasePort}`,
          `AccountingStoragePass=${paths.mungeSocket}`, // the way to munge, not a password
          "AccountingStoreFlags=job_comment",
        ]),
    `StateSaveLocation=${paths.state}`,
    `SlurmdSpoolDir=${paths.state}/%n`,
    `SlurmctldPidFile=${paths.state}/slurmctld.pid`,
    `SlurmdPidFile=${paths.state}/slurmd.%n.pid`,
    `SlurmctldLogFile=${paths.logs}/slurmctld.log`,
    `SlurmdLogFile=${paths.logs}/slurmd.%n.log`,
    "SlurmdParameters=config_overrides", // several nodes share this host's processors
    "LaunchParameters=use_interactive_step",
    "SchedulerParameters=batch_sched_delay=0,sched_min_interval=10000,sched_interval=5,bf_interval=5",
    "ReturnToService=2",
    "SlurmdTimeout=10",
    "SlurmctldTimeout=30",
    "InactiveLimit=0",
    "MinJobAge=600",
    "KillWait=5",
    "Waittime=0",
  ];
  for (const [index, port] of shape.nodePorts.entries()) {
    const size = `CPUs=${shape.cpusPerNode} RealMemory=${shape.memMibPerNode}`;
    lines.push(`NodeName=c${index + 1} NodeHostname=${host} NodeAddr=127.0.0.1 Port=${port} ${size} State=UNKNOWN`);
  }
  lines.push(`PartitionName=debug Nodes=${nodeRange(shape.nodePorts.length)} Default=YES MaxTime=INFINITE State=UP`);
  return `${lines.join("\n")}\n`;
}

/** Slurm 24.05 and later read cgroup.conf even where nothing uses control groups. */
export function cgroupConf(version: ClusterShape["version"]): string | undefined {
  return isBefore(version, [24, 5]) ? undefined : "CgroupPlugin=disabled\n";
}

function nodeRange(count: number): string {
  return count === 1 ? "c1" : `c[1-${count}]`;
}
