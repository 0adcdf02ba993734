/**
 * What every engine can do, in the domain's terms. Commands know only this file; `embedded/` and `slurm/`
 * implement it. Operating failures are BerthErrors with the codes of job/errors.ts.
 */
import type { BerthError } from "#job/errors.ts";
import type { EpochMs, JobId, StepKey } from "#job/id.ts";
import type { ExitPair, ExitStatus } from "#job/outcome.ts";
import type { AccountedJob, JobRecord, NodeRecord, PartitionRecord, StepRecord, StepUse } from "#job/record.ts";
import type { JobRequest, StepOptions, SubmitContext } from "#job/request.ts";
import type { AnyState } from "#job/state.ts";
import type { OwnStep, OwnStepOrder, OwnStepRequest } from "./own-step.ts";
import type { RemoteContainers } from "./remote-containers.ts";

export interface Cancellable {
  readonly signal: AbortSignal;
}

/** One job, one array task or one step, as users name it: `12`, `12_3`, `12.batch`, `12_3.0`. */
export interface JobTarget {
  readonly jobId: number;
  /** Indices of an array, when only some of its tasks are meant. */
  readonly arrayTasks: readonly number[] | null;
  readonly stepKey: StepKey | null;
}

/** Every given filter must match; null is "any". */
export interface JobFilter {
  readonly jobIds: readonly number[] | null;
  readonly userIds: readonly number[] | null;
  readonly states: readonly AnyState[] | null;
  readonly names: readonly string[] | null;
  readonly partitions: readonly string[] | null;
  /** Without those of hidden partitions. A site's Slurm does so by itself. */
  readonly skipsHidden?: boolean;
}

/** sacct's window: jobs that were in one of `states` (any, when null) at some time between the two. */
export interface AccountingFilter extends JobFilter {
  /** Runs before the last one of jobs that were requeued, too. */
  readonly earlierRuns: boolean;
  readonly from: EpochMs | null;
  readonly to: EpochMs | null;
}

/** The controller's own settings, for `scontrol show config`, in Slurm's names, in display order. */
export type EngineConfig = readonly (readonly [name: string, value: string])[];

export interface EngineInfo {
  readonly engine: "embedded" | "slurm";
  readonly clusterName: string;
  readonly host: string;
  readonly version: string;
  /** The slurm.conf-like file in force; exported as SLURM_CONF. */
  readonly configFile: string;
  readonly killWaitSeconds: number;
  readonly firstPartition: string;
}

/** What an allocation gives its owner: enough for the environment of its commands and steps (commands.md §15). */
export interface AllocationInfo {
  readonly job: JobRecord;
  readonly environment: Readonly<Record<string, string>>;
  readonly killWaitSeconds: number;
  /** SrunProlog and SrunEpilog of the cluster, where srun is ours to run them. */
  readonly stepScripts?: { readonly prolog: string | null; readonly epilog: string | null };
}

/**
 * An allocation that this process holds: when the process dies or disposes of it, the job ends. A job of kind "srun"
 * ends with its step 0, before that step's `ended` is told.
 * `ended` resolves when the job has ended for another reason (cancelled, time limit, node failure).
 */
export interface HeldAllocation extends AsyncDisposable {
  readonly jobId: JobId;
  readonly ended: Promise<JobRecord>;
  /** Ends the job with this result. Idempotent. */
  release(result: ExitPair): Promise<void>;
  /** Lets the allocation live on without its owner (salloc --no-shell). */
  detach(): Promise<void>;
}

export type AllocateEvent =
  | { readonly kind: "queued"; readonly jobId: JobId; readonly configUnavailable: boolean }
  | { readonly kind: "granted"; readonly info: AllocationInfo; readonly waited: boolean }
  /** Somebody notified the job (scontrol notify); may come at any time. */
  | { readonly kind: "message"; readonly text: string };

export interface StepRequest {
  readonly jobId: JobId;
  readonly options: StepOptions;
  /** Resource options given to srun itself, inside an allocation; for a job of its own they are the job's. */
  readonly resources: StepResources;
  readonly name: string;
  readonly submit: SubmitContext;
  readonly container: string | null;
  readonly containerId: string | null;
  readonly timeLimitMinutes: number | null;
  readonly kind: "normal" | "interactive";
  /** The step that srun itself runs in, from its environment: steps started inside steps overlap. */
  readonly insideStep: StepKey | null;
  readonly hasTerminal: { readonly rows: number; readonly columns: number } | null;
  readonly immediateSeconds: number | null;
}

export interface MeasuredStep extends StepUse {
  readonly jobId: number;
  readonly stepKey: StepKey;
}

export interface PlacedTasks {
  readonly node: string;
  readonly ranks: readonly number[];
}

export interface StepHooks {
  /** Why it has to wait. */
  readonly onWaiting: (text: string) => void;
  /** The step exists, its tasks do not yet, and wait for this. When it fails, the step is ended, and its error is runStep's. */
  readonly beforeStart?: (step: StepRecord) => Promise<void>;
}

export interface StepResources {
  readonly nodesMin: number | null;
  readonly nodesMax: number | null;
  readonly tasks: number | null;
  readonly tasksPerNode: number | null;
  readonly cpusPerTask: number | null;
  readonly memPerNodeMib: number | null;
  readonly memPerCpuMib: number | null;
  readonly nodeList: readonly string[] | null;
  readonly excludeNodes: readonly string[] | null;
  readonly gres: string | null;
  readonly gpus: string | null;
  readonly gpusPerNode: string | null;
  readonly gpusPerTask: string | null;
  readonly tasksPerGpu: number | null;
  readonly gpuBinding: import("#job/gpu-binding.ts").GpuBind | null;
  readonly distribution: import("#job/request.ts").Distribution | null;
  readonly planeSize: number | null;
  readonly overcommit: boolean;
}

export type StepEvent =
  | { readonly kind: "created"; readonly step: StepRecord; readonly waited: boolean }
  | { readonly kind: "launchFailed"; readonly node: string; readonly message: string; readonly errno: number; readonly hint: string | null }
  | { readonly kind: "started"; readonly task: number; readonly node: string }
  | { readonly kind: "output"; readonly task: number; readonly stream: "stdout" | "stderr"; readonly bytes: Uint8Array }
  | { readonly kind: "exited"; readonly task: number; readonly node: string; readonly status: ExitStatus }
  /** The engine ends the step (cancel, time limit, node failure): tasks are being killed. */
  | { readonly kind: "aborting"; readonly reason: AbortReason }
  | { readonly kind: "message"; readonly text: string }
  | { readonly kind: "ended"; readonly exit: ExitPair }
  /** The step's daemon is gone and nobody took over. */
  | { readonly kind: "lost" };

export type AbortReason = "cancelled" | "timeLimit" | "nodeFailure" | "badExit" | "jobEnded" | "clientLost" | "requeued";

/** A running step with its streams. Iterating yields its events in order; the last one is `ended` or `lost`. */
export interface StepChannel extends AsyncIterable<StepEvent>, AsyncDisposable {
  /** Standard input for one task, or for all of them; false when the buffer is full (wait for `drained`). */
  writeInput(bytes: Uint8Array, task: number | null): boolean;
  drained(): Promise<void>;
  /** The input of this task has ended; without one, of all. */
  closeInput(task?: number | null): void;
  sendSignal(signal: number): void;
  /** Gentle: TERM, and KILL after KillWait. Hard: KILL. */
  terminate(options: { readonly hard: boolean }): void;
  resize(size: { readonly rows: number; readonly columns: number }): void;
}

/** A process of a running step; both task ids are null for one that a task has started. */
export interface StepProcess {
  readonly jobId: JobId;
  readonly stepKey: StepKey;
  readonly node: string;
  readonly pid: number;
  readonly localId: number | null;
  readonly globalId: number | null;
}

export type SignalScope = "steps" | "batch" | "full";

export interface Engine extends AsyncDisposable {
  readonly name: "embedded" | "slurm";
  /** Only where jobs run on other hosts; `openOwnStep` is refused there. */
  readonly remote?: RemoteContainers;
  info(options: Cancellable): Promise<EngineInfo>;
  /** Durable when it resolves: a submitted job survives any crash. */
  submit(request: JobRequest, options: Cancellable): Promise<{ readonly jobId: JobId }>;
  /** Waits until the job is granted; `onEvent` sees it queue. Aborting withdraws the request. */
  allocate(request: JobRequest, options: Cancellable & { readonly onEvent: (event: AllocateEvent) => void }): Promise<HeldAllocation>;
  /** The environment and record of a live allocation, to add steps to it. */
  findAllocation(jobId: number, options: Cancellable): Promise<AllocationInfo>;
  /** Waits for room in the allocation. Tasks start once it resolves. */
  runStep(request: StepRequest, options: Cancellable & StepHooks): Promise<StepChannel>;
  /** Looks on at a running step, and may give it input. Leaving does not end it. */
  attachStep(target: { readonly jobId: number; readonly stepKey: StepKey }, options: Cancellable): Promise<StepChannel>;
  /** What the steps of these jobs use now. */
  measureSteps(jobIds: readonly number[], options: Cancellable): Promise<readonly MeasuredStep[]>;
  /** Where the tasks of a running step are. */
  stepLayout(target: { readonly jobId: number; readonly stepKey: StepKey }, options: Cancellable): Promise<readonly PlacedTasks[]>;
  /** Adds a step to a running job that the caller runs itself. `onOrder` may be called from then on, until it has ended. */
  openOwnStep(request: OwnStepRequest, options: Cancellable & { readonly onOrder: (order: OwnStepOrder) => void }): Promise<OwnStep>;
  /** When and where the job would start. */
  tryJob(
    request: JobRequest,
    options: Cancellable,
  ): Promise<{
    readonly jobId: JobId;
    readonly startAt: EpochMs;
    readonly cpus: number;
    readonly nodes: readonly string[];
    readonly partition: string;
  }>;

  cancel(target: JobTarget, options: Cancellable): Promise<void>;
  /** Cancels many. What could not be done comes back at the target's place, null stands for success. */
  cancelEach(targets: readonly JobTarget[], options: Cancellable): Promise<readonly (BerthError | null)[]>;
  sendSignal(target: JobTarget & { readonly signalNumber: number; readonly scope: SignalScope }, options: Cancellable): Promise<void>;
  hold(target: JobTarget, options: Cancellable): Promise<void>;
  release(target: JobTarget, options: Cancellable): Promise<void>;
  /** A line of text to srun or salloc, or to where messages about a batch job's script go. */
  notify(target: JobTarget & { readonly text: string }, options: Cancellable): Promise<void>;
  requeue(target: JobTarget & { readonly hold: boolean }, options: Cancellable): Promise<void>;
  suspend(target: JobTarget, options: Cancellable): Promise<void>;
  resume(target: JobTarget, options: Cancellable): Promise<void>;
  /** `changes` in scontrol's own key names, already canonical (`TimeLimit`), values as typed. */
  update(target: JobTarget & { readonly changes: Readonly<Record<string, string>> }, options: Cancellable): Promise<void>;

  /** `State=`, `Reason=` of nodes, and what may be changed of a partition, in scontrol's names. */
  updateNodes(names: readonly string[], changes: Readonly<Record<string, string>>, options: Cancellable): Promise<void>;
  updatePartition(name: string, changes: Readonly<Record<string, string>>, options: Cancellable): Promise<void>;

  /** Jobs the controller remembers: live ones, and ended ones for MinJobAge. */
  jobs(filter: JobFilter, options: Cancellable): Promise<readonly JobRecord[]>;
  /** Live steps. */
  steps(filter: { readonly jobId: number | null }, options: Cancellable): Promise<readonly StepRecord[]>;
  /** Of live steps; tasks before what they have started. */
  processes(filter: { readonly jobId: number | null }, options: Cancellable): Promise<readonly StepProcess[]>;
  nodes(options: Cancellable): Promise<readonly NodeRecord[]>;
  partitions(options: Cancellable): Promise<readonly PartitionRecord[]>;
  config(options: Cancellable): Promise<EngineConfig>;
  accounting(filter: AccountingFilter, options: Cancellable): Promise<readonly AccountedJob[]>;
  /** The script of a batch job, as submitted. */
  batchScript(jobId: number, options: Cancellable): Promise<string>;
  /** Resolves with the record when the job has ended; at once when it has already. */
  waitForEnd(jobId: number, options: Cancellable): Promise<readonly JobRecord[]>;
}
