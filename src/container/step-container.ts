/**
 * The containers of one step on one node: what the step daemon does with `--container`.
 *
 *   openStepContainer ─► prepareTask ─► (daemon runs argv, waits) ─► finishTask ─► dispose
 *     oci.conf or a       spool dir,         the runtime process     kill, delete,   step spool
 *     chosen runtime,     config.json,       holds the task's stdio  task's files    directory
 *     bundle, spool dir   env file
 *
 * In the create and start flow (`flow` is "createStart") argv creates the container: run it with the task's stdio,
 * wait for its process, then call createdTask, startTask, and waitTask when no process can be waited for.
 */
import type { StepKey } from "#job/id.ts";
import type { ExitStatus } from "#job/outcome.ts";
import type { Environment } from "./environment.ts";
import type { OciConf } from "./oci-conf.ts";
import type { Argv, RuntimeCalls, RuntimeState } from "./runtime-calls.ts";
import type { BatchFiles } from "./task-config.ts";

/** One step on one node. */
export interface ContainerStep {
  /** `--container` as recorded. */
  readonly bundle: string;
  readonly jobId: number;
  readonly stepKey: StepKey;
  readonly nodeName: string;
  readonly userName: string;
  readonly userId: number;
  readonly groupId: number;
  /** For %Z. */
  readonly workDir: string;
  /** Parent of spool directories when ContainerPath is unset; exists, 0700. Each node gets a directory of its own in it. */
  readonly spoolRoot: string;
  /** The oci.conf in force (findOciConf); without one Berth chooses the runtime. */
  readonly confFile: string | null;
  /** Ours, 0700: what was found out about runtimes. */
  readonly stateDir: string;
  /** 0700: the runtime's `--root` when Berth chose the runtime. */
  readonly runtimeRoot: string;
  readonly hasPty: boolean;
  readonly batch: BatchFiles | null;
  /** Generic resources that the step has on this node, by name: `gpu` or `gpu:a100`, and which of them. */
  readonly gres?: Readonly<Record<string, readonly number[]>>;
  /** Instead of the host's. */
  readonly cdiDirs?: readonly string[];
}

export interface ContainerTask {
  readonly localId: number;
  readonly globalId: number;
  readonly args: readonly string[];
  /** Whole and final, without EnvExclude. */
  readonly env: Environment;
  /** Create and start flow, for the task on a terminal: where its master may be sent. */
  readonly consoleSocket?: string | null;
  /** So many descriptors from 3 on are for the task. */
  readonly preserveFds?: number;
}

export interface PreparedTask {
  readonly argv: Argv;
  /** What to execute as argv. */
  readonly executable: string;
  /** The runtime's own environment: nothing of the job's is in it. */
  readonly env: Readonly<Record<string, string>>;
  readonly spoolDir: string;
  /** The runtime makes the terminal and sends it to `consoleSocket`; otherwise argv itself runs on one. */
  readonly usesConsoleSocket: boolean;
}

export interface TaskProcess {
  readonly pid: number | null;
}

export interface StepContainer extends AsyncDisposable {
  /** "runc 1.1.5 (chosen by Berth: …)", or which oci.conf rules. */
  readonly description: string;
  /** The bundle's annotations, for the record; empty without a config.json. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly flow: OciConf["flow"];
  /** The bundle's variables over the job's (oci-conf §8.1). */
  environment(jobEnv: Environment): Record<string, string>;
  /** Makes the task's spool directory with config.json and environment file. @throws BerthError SPOOL */
  prepareTask(task: ContainerTask): Promise<PreparedTask>;
  /** A task that a step daemon before us prepared: `finishTask` and `killTask` know it then. */
  adoptTask(localId: number): void;
  /** Create and start flow, after the create process ended: the container's state. @throws BerthError RUNTIME_FAILED */
  createdTask(localId: number, options: TaskProcess & { readonly signal: AbortSignal }): Promise<RuntimeState>;
  /** Create and start flow: RunTimeStart. Gives what it said when it failed. */
  startTask(localId: number, options: TaskProcess & { readonly signal: AbortSignal }): Promise<StartResult>;
  /** Create and start flow: asks the runtime until the container no longer runs. */
  waitTask(localId: number, options: TaskProcess & { readonly signal: AbortSignal }): Promise<void>;
  /** The runtime's operations for a prepared task, for who wants to look at each. */
  calls(localId: number, process: TaskProcess): RuntimeCalls;
  /** RunTimeKill once. Its failure is no error: the container may have ended. */
  killTask(localId: number, process: TaskProcess): Promise<void>;
  /**
   * After the task's runtime process ended or was killed: kill and delete what is left, then remove the files. Safe twice.
   * `hasEnded`: the container's own process is known to be gone, so that nobody needs to ask.
   * @throws BerthError RUNTIME_CLEANUP when the container could not be deleted; the files are gone all the same
   */
  finishTask(localId: number, process: TaskProcess & { readonly hasEnded?: boolean }): Promise<void>;
}

export type StartResult = { readonly kind: "started" } | { readonly kind: "failed"; readonly status: ExitStatus; readonly reason: string };
