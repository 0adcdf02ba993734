/**
 * What users ask for. The options of srun, sbatch and salloc end here (options/ fills JobOptions and
 * StepOptions), and the engines start here. Everything is plain data that survives JSON; null is "not said".
 */
import type { BindRequest } from "./cpu-binding.ts";
import type { GpuBind } from "./gpu-binding.ts";
import type { EpochMs } from "./id.ts";

export type Distribution = "block" | "cyclic" | "plane" | "arbitrary";

/** Everything that srun, sbatch and salloc can say about a job (commands.md §2.1, §3.4). Sizes in MiB, limits in minutes. */
export interface JobOptions {
  readonly name: string | null;
  readonly partition: string | null;
  readonly account: string | null;
  readonly qos: string | null;
  readonly wckey: string | null;
  readonly reservation: string | null;
  readonly comment: string | null;

  readonly nodesMin: number | null;
  readonly nodesMax: number | null;
  readonly tasks: number | null;
  readonly tasksPerNode: number | null;
  readonly cpusPerTask: number | null;
  readonly minCpusPerNode: number | null;
  readonly memPerNodeMib: number | null;
  readonly memPerCpuMib: number | null;
  readonly memPerGpuMib: number | null;
  readonly tmpDiskMib: number | null;
  /** Texts as Slurm shows them: `gpu:1`, `a100:2`. */
  readonly gres: string | null;
  readonly gpus: string | null;
  readonly gpusPerNode: string | null;
  readonly gpusPerTask: string | null;
  readonly gpusPerSocket: string | null;
  readonly cpusPerGpu: number | null;
  readonly tasksPerGpu: number | null;
  /** As it was said, and read. */
  readonly gpuBind: string | null;
  readonly gpuBinding: GpuBind | null;
  readonly nodeList: readonly string[] | null;
  readonly excludeNodes: readonly string[] | null;
  readonly constraint: string | null;
  readonly licenses: string | null;
  readonly distribution: Distribution | null;
  readonly planeSize: number | null;
  readonly exclusive: boolean;
  readonly oversubscribe: boolean;
  readonly overcommit: boolean;
  readonly contiguous: boolean;
  readonly noKill: boolean;

  /** "unlimited" for 0, -1, INFINITE, UNLIMITED. */
  readonly timeLimitMinutes: number | "unlimited" | null;
  readonly timeMinMinutes: number | null;
  readonly beginAt: EpochMs | null;
  readonly deadlineAt: EpochMs | null;
  readonly dependency: string | null;
  readonly killOnInvalidDependency: boolean | null;
  readonly hold: boolean;
  /** "top" only from `--priority=TOP`. */
  readonly priority: number | "top" | null;
  readonly nice: number | null;
  readonly requeue: boolean | null;
  /** Seconds to wait for resources; null waits for ever (-I). */
  readonly immediateSeconds: number | null;
  readonly warnSignal: WarnSignal | null;
  readonly mailTypes: readonly string[] | null;
  readonly mailUser: string | null;
  readonly container: string | null;
  readonly containerId: string | null;

  /** Options accepted without effect here, by long name; for records and docs. */
  readonly unused: Readonly<Record<string, string>>;
}

/** `--signal=[R][B:]SIG[@SECONDS]` */
export interface WarnSignal {
  readonly signal: number;
  readonly seconds: number;
  readonly toBatch: boolean;
  readonly atReservation: boolean;
}

/** `--export`: "all" keeps everything and adds `set`; "list" keeps only `keep` and `set`, SLURM_* and SPANK_*. */
export type ExportRule =
  | { readonly kind: "all"; readonly set: Readonly<Record<string, string>>; readonly text: string | null }
  | { readonly kind: "list"; readonly keep: readonly string[]; readonly set: Readonly<Record<string, string>>; readonly text: string }
  | { readonly kind: "none" | "nil"; readonly text: string };

/** What only srun's steps know (commands.md §2.1, §2.5). */
export interface StepOptions {
  readonly command: readonly string[];
  /** --multi-prog: by rank; null when every task runs `command`. An empty one cannot be started. */
  readonly taskCommands: readonly (readonly string[])[] | null;
  readonly jobId: number | null;
  readonly label: boolean;
  readonly unbuffered: boolean;
  /** Raw texts of -i, -o, -e: a mode, a task number or a file pattern. */
  readonly input: string | null;
  readonly output: string | null;
  readonly error: string | null;
  readonly openMode: "append" | "truncate" | null;
  readonly pty: boolean;
  readonly chdir: string | null;
  readonly export: ExportRule;
  readonly killOnBadExit: boolean | null;
  readonly waitSeconds: number | null;
  readonly exact: boolean;
  readonly overlap: boolean;
  readonly relativeNode: number | null;
  readonly interactive: boolean;
  readonly preserveEnv: boolean;
  readonly multiProg: boolean;
  readonly mpi: string | null;
  readonly cpuBind: string | null;
  /** The same, read. */
  readonly cpuBinding: BindRequest | null;
  /** To what --hint and its kin bind where tasks are bound without being asked. */
  readonly hintedBinding: "threads" | "cores" | null;
  readonly taskProlog: string | null;
  readonly taskEpilog: string | null;
  readonly prolog: string | null;
  readonly epilog: string | null;
  readonly disableStatus: boolean;
  readonly quitOnInterrupt: boolean;
  readonly testOnly: boolean;
  readonly bcast: string | null;
  /** What is copied before the tasks start, and run instead. */
  readonly bcastCopy: Bcast | null;
}

/** A program that is copied to the nodes. */
export interface Bcast {
  readonly source: string;
  /** Absolute; one that ends in `/` is a directory, and the step gives the name. */
  readonly destination: string;
  readonly sendLibs: boolean;
  /** Directories whose libraries are not copied. */
  readonly exclude: readonly string[];
}

/** Who asks and from where. The engine fills user and group from the peer's credentials, never from the message. */
export interface SubmitContext {
  /** Where the command was given; `workDir` differs from it with --chdir. */
  readonly submitDir: string;
  readonly workDir: string;
  readonly host: string;
  /** Session id of the submitting process (AllocNode:Sid). */
  readonly sid: number;
  readonly submitLine: string;
  readonly umask: number;
  /** Soft limits of the submitter by name without RLIMIT_ (`NOFILE`), in bytes, counts or seconds; -1 is unlimited. */
  readonly rlimits: Readonly<Record<string, number>>;
  readonly environment: Readonly<Record<string, string>>;
}

/** The batch part of an sbatch job. */
export interface BatchRequest {
  readonly script: string;
  readonly args: readonly string[];
  /** Path for show commands; null for --wrap and stdin. */
  readonly scriptPath: string | null;
  /** File patterns; null means the default (slurm-%j.out, or slurm-%A_%a.out for arrays) or /dev/null. */
  readonly input: string | null;
  readonly output: string | null;
  readonly error: string | null;
  readonly openMode: "append" | "truncate" | null;
  readonly export: ExportRule;
  readonly array: string | null;
}

export interface JobRequest {
  readonly kind: "batch" | "srun" | "salloc";
  readonly options: JobOptions;
  readonly submit: SubmitContext;
  readonly batch: BatchRequest | null;
  /** Shown as Command= (srun's program, salloc's command); null for batch, which has scriptPath. */
  readonly command: string | null;
}
