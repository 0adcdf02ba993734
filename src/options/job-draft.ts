/** What srun, sbatch and salloc have read so far; setters fill it, `finishJob` closes it. */
import type { ExportRule, JobOptions } from "#job/request.ts";
import { EXPORT_ALL } from "./export-rule.ts";

export type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** What is to be done instead of, or as, the command's work. */
export type Action = "run" | "help" | "usage" | "version" | "gresHelp" | "mpiList";

export interface CommonDraft {
  readonly job: Mutable<JobOptions> & { unused: Record<string, string> };
  action: Action;
  verbose: number;
  quiet: boolean;
  clusters: string | null;
  /** Absolute. */
  chdir: string | null;
  testOnly: boolean;
  uid: string | null;
  gid: string | null;
  /** "" when --get-user-env came without value. */
  getUserEnv: string | null;
}

/** srun's and sbatch's files and environment. */
export interface StreamDraft extends CommonDraft {
  input: string | null;
  output: string | null;
  error: string | null;
  openMode: "append" | "truncate" | null;
  export: ExportRule;
}

export function emptyCommon(): CommonDraft {
  return {
    job: emptyJob(),
    action: "run",
    verbose: 0,
    quiet: false,
    clusters: null,
    chdir: null,
    testOnly: false,
    uid: null,
    gid: null,
    getUserEnv: null,
  };
}

export function emptyStreams(): Pick<StreamDraft, "input" | "output" | "error" | "openMode" | "export"> {
  return { input: null, output: null, error: null, openMode: null, export: EXPORT_ALL };
}

function emptyJob(): CommonDraft["job"] {
  return {
    name: null,
    partition: null,
    account: null,
    qos: null,
    wckey: null,
    reservation: null,
    comment: null,
    nodesMin: null,
    nodesMax: null,
    tasks: null,
    tasksPerNode: null,
    cpusPerTask: null,
    minCpusPerNode: null,
    memPerNodeMib: null,
    memPerCpuMib: null,
    memPerGpuMib: null,
    tmpDiskMib: null,
    gres: null,
    gpus: null,
    gpusPerNode: null,
    gpusPerTask: null,
    gpusPerSocket: null,
    cpusPerGpu: null,
    tasksPerGpu: null,
    gpuBind: null,
    gpuBinding: null,
    nodeList: null,
    excludeNodes: null,
    constraint: null,
    licenses: null,
    distribution: null,
    planeSize: null,
    exclusive: false,
    oversubscribe: false,
    overcommit: false,
    contiguous: false,
    noKill: false,
    timeLimitMinutes: null,
    timeMinMinutes: null,
    beginAt: null,
    deadlineAt: null,
    dependency: null,
    killOnInvalidDependency: null,
    hold: false,
    priority: null,
    nice: null,
    requeue: null,
    immediateSeconds: null,
    warnSignal: null,
    mailTypes: null,
    mailUser: null,
    container: null,
    containerId: null,
    unused: {},
  };
}
