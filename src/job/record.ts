/**
 * What an engine tells of its jobs, steps, nodes and partitions: everything that squeue, sinfo, sacct and scontrol
 * show, in the domain's terms. Plain data that survives JSON; null where Slurm has nothing to show. All text is
 * unformatted: widths, `(null)`, `N/A` and dates are format/'s.
 */
import type { EpochMs, JobId, StepKey } from "./id.ts";
import type { ExitPair } from "./outcome.ts";
import type { Distribution, WarnSignal } from "./request.ts";
import type { BaseState, StateFlag } from "./state.ts";

/** Trackable resources. `gres` maps `gpu` or `gpu:a100` to a count. */
export interface Tres {
  readonly cpus: number;
  /** Null when memory is not tracked for this job (no --mem). */
  readonly memMib: number | null;
  readonly nodes: number;
  readonly gres: Readonly<Record<string, number>>;
}

export interface NodeShare {
  readonly node: string;
  readonly cpuIds: readonly number[];
  readonly memMib: number;
  readonly gres: Readonly<Record<string, readonly number[]>>;
}

export interface ArrayInfo {
  readonly jobId: JobId;
  /** Null for the record that stands for the tasks that have not started. */
  readonly taskId: number | null;
  /** Indices of tasks that have not started, folded (`1,3,5-7`); null on a single task. */
  readonly pendingIndices: string | null;
  readonly throttle: number | null;
  readonly count: number;
  readonly min: number;
  readonly max: number;
  readonly step: number;
}

export interface JobRecord {
  readonly jobId: JobId;
  readonly array: ArrayInfo | null;
  readonly kind: "batch" | "srun" | "salloc";
  readonly name: string;
  readonly userId: number;
  readonly userName: string;
  readonly groupId: number;
  readonly groupName: string;
  readonly account: string | null;
  readonly qos: string | null;
  readonly wckey: string | null;
  readonly reservation: string | null;
  readonly comment: string | null;
  readonly partition: string;

  readonly state: BaseState;
  readonly flags: readonly StateFlag[];
  /** A code of lifecycle §3.1, §11. */
  readonly reason: string;
  /** Free text that replaces the reason (`launch failed requeued held`). */
  readonly stateDescription: string | null;
  readonly exit: ExitPair;
  readonly derivedExit: ExitPair;
  /** Uid of who cancelled it. */
  readonly cancelledBy: number | null;
  readonly failedNode: string | null;

  readonly priority: number;
  readonly nice: number;
  readonly requeue: boolean;
  readonly restarts: number;
  /** Unfulfilled dependencies in squeue's words, `afterok:8(unfulfilled)`; null when there are none. */
  readonly dependency: string | null;
  readonly submittedAt: EpochMs;
  readonly eligibleAt: EpochMs | null;
  readonly startedAt: EpochMs | null;
  /** Expected start of a pending job, when the scheduler has one. */
  readonly expectedStartAt: EpochMs | null;
  readonly endedAt: EpochMs | null;
  readonly suspendedAt: EpochMs | null;
  /** Time spent suspended so far, not counting a suspension that lasts. */
  readonly suspendedMs: number;
  readonly deadlineAt: EpochMs | null;
  readonly lastSchedEvalAt: EpochMs | null;
  readonly scheduler: "Main" | "Backfill" | "Submit" | null;
  /** Null is UNLIMITED. */
  readonly timeLimitMinutes: number | null;
  readonly timeMinMinutes: number | null;
  readonly warnSignal: WarnSignal | null;

  readonly submitHost: string;
  readonly submitSid: number;
  readonly submitLine: string;
  readonly workDir: string;
  /** Script path with arguments, or program; null for --wrap and scripts on stdin. */
  readonly command: string | null;
  readonly stdin: string | null;
  readonly stdout: string | null;
  readonly stderr: string | null;
  readonly mailUser: string | null;
  readonly mailTypes: readonly string[];
  readonly container: string | null;
  readonly containerId: string | null;

  readonly requestedNodes: readonly string[];
  readonly excludedNodes: readonly string[];
  readonly nodesMin: number;
  readonly nodesMax: number | null;
  readonly tasks: number;
  readonly cpusPerTask: number;
  readonly tasksPerNode: number | null;
  readonly minCpusPerNode: number;
  readonly memPerNodeMib: number | null;
  readonly memPerCpuMib: number | null;
  readonly tmpDiskMib: number;
  readonly gresPerNode: string | null;
  readonly gpus: string | null;
  readonly constraint: string | null;
  readonly licenses: string | null;
  readonly exclusive: boolean;
  readonly oversubscribe: boolean;
  readonly contiguous: boolean;
  readonly distribution: Distribution | null;
  readonly requested: Tres;

  /** In node order; empty while pending. */
  readonly nodes: readonly string[];
  readonly batchHost: string | null;
  readonly shares: readonly NodeShare[];
  readonly allocated: Tres | null;
}

/** What a process and everything below it use now. */
export interface ProcessUse {
  readonly pids: readonly number[];
  readonly rssKib: number;
  readonly vmKib: number;
  /** Of them and of their children that ended. */
  readonly cpuMs: number;
  readonly majorFaults: number;
  /** Through read(2) and write(2) and their kin, files or not: what Slurm calls disk. */
  readonly readBytes: number;
  readonly writtenBytes: number;
}

/** What one task of a running step uses now. */
export interface TaskUse extends ProcessUse {
  readonly rank: number;
  readonly node: string;
}

export interface StepUse {
  readonly tasks: readonly TaskUse[];
}

/** Figures of a step, over all its tasks; null where nobody measured. */
export interface StepUsage {
  readonly userCpuMs: number;
  readonly systemCpuMs: number;
  readonly maxRssKib: number | null;
  readonly maxRssTask: number | null;
  readonly maxRssNode: string | null;
  /** Of all tasks whose figure is known; records of earlier versions have none of these. */
  readonly aveRssKib?: number | null;
  /** Of the tasks that lived long enough to be looked at. */
  readonly vmSize?: GreatestUse | null;
  readonly pages?: GreatestUse | null;
}

/** One quantity of a step's tasks: the most that one of them had, whose it was, and the average. */
export interface GreatestUse {
  readonly max: number;
  readonly task: number;
  readonly node: string;
  readonly average: number;
}

export interface StepRecord {
  readonly jobId: JobId;
  readonly stepKey: StepKey;
  readonly name: string;
  readonly userId: number;
  readonly userName: string;
  readonly partition: string;
  readonly state: BaseState;
  readonly exit: ExitPair;
  readonly cancelledBy: number | null;
  readonly startedAt: EpochMs;
  readonly endedAt: EpochMs | null;
  readonly suspendedMs: number;
  readonly timeLimitMinutes: number | null;
  readonly nodes: readonly string[];
  /** Tasks on each of `nodes`. */
  readonly tasksPerNode: readonly number[];
  readonly cpus: number;
  readonly tasks: number;
  readonly allocated: Tres | null;
  readonly distribution: Distribution | null;
  /** Null for batch steps. */
  readonly srunHost: string | null;
  readonly srunPid: number | null;
  readonly container: string | null;
  readonly containerId: string | null;
  readonly submitLine: string | null;
  readonly usage: StepUsage | null;
  /** Of the bundle, once the step has ended; absent when there are none. */
  readonly annotations?: Readonly<Record<string, string>>;
}

/** An accounting row: the job with all its steps, ended ones included. */
export interface AccountedJob extends JobRecord {
  readonly steps: readonly StepRecord[];
  /** Of a run that was followed by another one: what accounting calls its end. */
  readonly earlierRun?: "REQUEUED" | "NODE_FAIL";
}

export interface NodeRecord {
  readonly name: string;
  readonly hostName: string;
  readonly address: string;
  readonly arch: string;
  readonly os: string;
  readonly cpus: number;
  readonly sockets: number;
  readonly coresPerSocket: number;
  readonly threadsPerCore: number;
  readonly memMib: number;
  readonly freeMemMib: number | null;
  readonly load: number | null;
  readonly tmpDiskMib: number;
  readonly weight: number;
  readonly features: readonly string[];
  /** `gpu:2`; null when there is none. */
  readonly gres: string | null;
  readonly partitions: readonly string[];
  /** Base state before allocation is looked at; `drain` keeps new jobs away. */
  readonly state: "UP" | "DOWN" | "DRAIN";
  readonly reason: string | null;
  readonly reasonUser: string | null;
  readonly reasonAt: EpochMs | null;
  readonly allocatedCpus: number;
  readonly allocatedMemMib: number;
  readonly allocatedGres: Readonly<Record<string, number>>;
  readonly isCompleting: boolean;
  readonly bootedAt: EpochMs | null;
  readonly daemonStartedAt: EpochMs | null;
  readonly lastBusyAt: EpochMs | null;
  readonly version: string;
}

export interface PartitionRecord {
  readonly name: string;
  readonly isDefault: boolean;
  readonly nodes: readonly string[];
  readonly state: "UP" | "DOWN" | "DRAIN" | "INACTIVE";
  /** Null is UNLIMITED / none. */
  readonly maxTimeMinutes: number | null;
  readonly defaultTimeMinutes: number | null;
  readonly minNodes: number;
  readonly maxNodes: number | null;
  readonly maxCpusPerNode: number | null;
  readonly isHidden: boolean;
  readonly isRootOnly: boolean;
  readonly oversubscribe: string;
  readonly priorityTier: number;
  readonly priorityJobFactor: number;
  readonly allowGroups: readonly string[] | null;
  readonly totalCpus: number;
  readonly totalNodes: number;
  readonly totalMemMib: number;
}
