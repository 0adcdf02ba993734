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
import { lstatSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { stepNumber, type StepKey } from "#job/id.ts";
import { shellCode, type ExitStatus } from "#job/outcome.ts";
import { readAnnotations, readBundle, type Bundle } from "./bundle.ts";
import { cdiDirs, CdiRegistry, joinEdits, type ContainerEdits } from "./cdi.ts";
import { excludeVariables, mergeEnvironment, printEnvFile, runtimeEnvironment, type Environment } from "./environment.ts";
import { readMountTable } from "./mount-flags.ts";
import { findOciConf, readOciConf, type OciConf, type Operation } from "./oci-conf.ts";
import { execSimple, expandPattern, NO_TASK, quoteCommand, usesField, type PatternValues } from "./pattern.ts";
import { resolveCommand } from "./rootfs.ts";
import { chooseRuntime } from "./runtime-choice.ts";
import { cleanupError, explain, RuntimeCalls, type Argv, type Operations, type RuntimeState } from "./runtime-calls.ts";
import { chosenOperations, containerId, safeName, stateDirOf, withConsoleSocket, withPreservedFds, type ChosenRuntime } from "./runtime.ts";
import { makeSpoolDir, removeDir, removeFile, spoolPath, writeSpoolFile, type Owner } from "./spool.ts";
import type { Ids } from "./rootless.ts";
import { subordinateIdsFor } from "./subordinate-ids.ts";
import { StepConfig, type BatchFiles } from "./task-config.ts";

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
  /** Where oci.conf may be. */
  readonly configDir: string | null;
  /** An oci.conf by name, instead of looking for one. */
  readonly confFile?: string | null;
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

/**
 * Reads oci.conf and bundle, or finds a runtime that works here, and makes the step's spool directory.
 * @throws BerthError BUNDLE_MISSING, BUNDLE_CONFIG, OCI_CONF_*, RUNTIME_MISSING, RUNTIME_REFUSED, SPOOL
 */
export async function openStepContainer(step: ContainerStep, { signal }: { readonly signal: AbortSignal }): Promise<StepContainer> {
  const confFile = step.confFile ?? (step.configDir === null ? undefined : findOciConf([step.configDir]));
  const conf = confFile === undefined ? undefined : await readOciConf(confFile);
  // An empty name is a bundle too, and one that does not exist.
  const bundle = conf?.ignoreFileConfigJson === true ? undefined : readBundle(step.bundle === "" ? "" : resolve(step.workDir, step.bundle));
  const runtime = conf === undefined ? await chooseRuntime(step.stateDir, { signal }) : undefined;
  signal.throwIfAborted();
  return new OpenedStep(step, { conf, bundle, runtime, cdi: bundle === undefined ? null : findDevices(step) });
}

interface StepDevices {
  readonly edits: ContainerEdits;
  readonly hasGpus: boolean;
}

/** Null when the step has no devices, or nobody says what they need. @throws BerthError CDI_SPEC, CDI_DEVICE */
function findDevices({ gres = {}, cdiDirs: dirs = cdiDirs() }: ContainerStep): StepDevices | null {
  const wanted = Object.entries(gres).filter(([, ids]) => ids.length > 0);
  if (wanted.length === 0) return null;
  const registry = new CdiRegistry(dirs);
  const found = wanted.flatMap(([name, ids]) => {
    const edits = registry.editsFor(name, ids);
    return edits === undefined ? [] : [{ edits, hasGpus: /^gpu(:|$)/.test(name) }];
  });
  return found.length === 0 ? null : { edits: joinEdits(found.map(({ edits }) => edits)), hasGpus: found.some(({ hasGpus }) => hasGpus) };
}

interface TaskRecord {
  readonly spoolDir: string;
  readonly command: string;
  readonly files: readonly string[];
  readonly preserveFds: number;
  isFinished: boolean;
}

class OpenedStep implements StepContainer {
  readonly description: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly flow: OciConf["flow"];
  readonly #step: ContainerStep;
  readonly #conf: OciConf | undefined;
  readonly #bundle: Bundle | undefined;
  readonly #runtime: ChosenRuntime | undefined;
  readonly #owner: Owner;
  readonly #spoolParent: string;
  readonly #spoolDir: string;
  readonly #cdi: StepDevices | null;
  readonly #runtimeEnv: Record<string, string>;
  readonly #tasks = new Map<number, TaskRecord>();
  #config: StepConfig | undefined;

  constructor(
    step: ContainerStep,
    opened: {
      readonly conf: OciConf | undefined;
      readonly bundle: Bundle | undefined;
      readonly runtime: ChosenRuntime | undefined;
      readonly cdi: StepDevices | null;
    },
  ) {
    this.#cdi = opened.cdi;
    this.#step = step;
    this.#conf = opened.conf;
    this.#bundle = opened.bundle;
    this.#runtime = opened.runtime;
    this.flow = opened.conf?.flow ?? "run";
    this.annotations = opened.bundle === undefined ? {} : readAnnotations(opened.bundle);
    this.description = opened.runtime?.description ?? `commands of ${opened.conf?.file ?? "oci.conf"}`;
    this.#owner = { uid: step.userId, gid: step.groupId };
    this.#runtimeEnv = runtimeEnvironment(process.env, step.nodeName, opened.conf?.runTimeEnvExclude);
    this.#spoolParent = opened.conf?.containerPath ?? `${step.spoolRoot}/${safeName(step.nodeName)}`.replaceAll("%", "%%");
    this.#spoolDir = spoolPath(this.#spoolParent, step.stepKey, "step", this.#values({ spoolDir: step.spoolRoot }));
    makeSpoolDir(this.#spoolDir, this.#owner);
  }

  environment(jobEnv: Environment): Record<string, string> {
    return mergeEnvironment(jobEnv, this.#bundle?.env ?? []);
  }

  async prepareTask(task: ContainerTask): Promise<PreparedTask> {
    const { localId } = task;
    const spoolDir = spoolPath(
      this.#spoolParent,
      this.#step.stepKey,
      "task",
      this.#values({ spoolDir: this.#step.spoolRoot, taskId: String(localId) }),
    );
    const env = excludeVariables(this.#cdi === null ? task.env : deviceEnvironment(task.env, this.#cdi), this.#conf?.envExclude);
    makeSpoolDir(spoolDir, this.#owner);
    const files: string[] = [];
    const write = (name: string, text: string) => {
      const path = join(spoolDir, name);
      writeSpoolFile(path, text, this.#owner, { isOwnPlace: this.#conf?.containerPath === undefined });
      files.push(path);
    };
    const command = this.#bundle === undefined ? quoteCommand(this.#resolve(this.#rootfs, task.args, env)) : "";
    this.#tasks.set(localId, { spoolDir, command, files, preserveFds: task.preserveFds ?? 0, isFinished: false });
    const onSocket = this.#createOnSocket(task);
    const hasTerminal = this.#step.hasPty && task.globalId === 0 && (this.flow === "run" || onSocket !== undefined);
    try {
      if (this.#bundle !== undefined) write("config.json", this.#printConfig(this.#bundle, { args: task.args, env, hasTerminal }));
      const kind = this.#conf?.createEnvFile ?? "disabled";
      if (kind !== "disabled") write("environment", printEnvFile(env, kind));
    } catch (error) {
      this.#tasks.delete(localId);
      removeAll(files, spoolDir);
      throw error;
    }
    await this.#deleteStale(localId);
    const operations = this.#operations(localId, { pid: null });
    const argv = onSocket ?? (this.flow === "run" ? operations.run : operations.create);
    return { argv: argv as Argv, env: this.#runtimeEnv, spoolDir, usesConsoleSocket: onSocket !== undefined };
  }

  #createOnSocket({ localId, consoleSocket }: ContainerTask): Argv | undefined {
    if (consoleSocket == null || this.flow === "run") return undefined;
    const text = withConsoleSocket(this.#command("create", localId, { pid: null }) ?? "", consoleSocket);
    return text === undefined ? undefined : ["/bin/sh", "-c", execSimple(text)];
  }

  adoptTask(localId: number): void {
    const spoolDir = spoolPath(
      this.#spoolParent,
      this.#step.stepKey,
      "task",
      this.#values({ spoolDir: this.#step.spoolRoot, taskId: String(localId) }),
    );
    this.#tasks.set(localId, {
      spoolDir,
      command: "",
      preserveFds: 0,
      isFinished: false,
      files: [join(spoolDir, "config.json"), join(spoolDir, "environment")],
    });
  }

  async createdTask(localId: number, { pid, signal }: TaskProcess & { readonly signal: AbortSignal }): Promise<RuntimeState> {
    return await this.calls(localId, { pid }).waitCreated(signal);
  }

  async startTask(localId: number, { pid, signal }: TaskProcess & { readonly signal: AbortSignal }): Promise<StartResult> {
    const result = await this.calls(localId, { pid }).start(signal);
    return shellCode(result.status) === 0 ? { kind: "started" } : { kind: "failed", status: result.status, reason: explain(result) };
  }

  async waitTask(localId: number, { pid, signal }: TaskProcess & { readonly signal: AbortSignal }): Promise<void> {
    await this.calls(localId, { pid }).waitStopped(signal);
  }

  async killTask(localId: number, { pid }: TaskProcess): Promise<void> {
    const task = this.#tasks.get(localId);
    if (task === undefined || task.isFinished || (this.#needsPid("kill") && !isOurChild(pid))) return;
    await this.calls(localId, { pid }).kill(NEVER);
  }

  async finishTask(localId: number, { pid, hasEnded = false }: TaskProcess & { readonly hasEnded?: boolean }): Promise<void> {
    const task = this.#tasks.get(localId);
    if (task === undefined || task.isFinished) return;
    task.isFinished = true;
    try {
      if (this.#bundle === undefined) await this.#stopUnknown(localId, { pid });
      else if (this.#runtime !== undefined) await this.#deleteChosen(localId);
      else if (!this.#hasNoRecord(localId, { pid })) await this.calls(localId, { pid }).stop(NEVER, { hasEnded });
    } finally {
      if (this.#conf?.disableCleanup !== true) removeAll(task.files, task.spoolDir);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = [];
    for (const localId of this.#tasks.keys()) {
      try {
        await this.finishTask(localId, { pid: null });
      } catch (error) {
        failures.push(error);
      }
    }
    if (this.#conf?.disableCleanup !== true) {
      rmSync(join(this.#spoolDir, "layers"), { recursive: true, force: true });
      removeDir(this.#spoolDir);
    }
    if (failures.length > 0) throw failures.length === 1 ? failures[0] : new AggregateError(failures, "containers were left behind");
  }

  #printConfig(
    bundle: Bundle,
    task: { readonly args: readonly string[]; readonly env: Environment; readonly hasTerminal: boolean },
  ): string {
    // Made with the first task: the batch step's files exist by then.
    this.#config ??= new StepConfig(bundle, {
      batch: this.#step.batch,
      disableHooks: this.#conf?.disableHooks ?? [],
      spoolMount: this.#spoolMount(),
      rootless: rootlessIds(bundle.rootfs, this.#step.userName),
      runtime: this.#runtimeKind,
      cdi: this.#cdi?.edits ?? null,
      layersDir: join(this.#spoolDir, "layers"),
    });
    const config = this.#config;
    const args =
      config.scriptInside === null
        ? this.#resolve(bundle.rootfs, task.args, task.env, (path) => config.isHidden(path))
        : [...this.#scriptInterpreter(), config.scriptInside, ...task.args.slice(1)];
    return config.print({ args, env: task.env, hasTerminal: task.hasTerminal });
  }

  /**
   * A script on a file system that is mounted noexec cannot be executed, inside no more than outside: then its
   * interpreter gets it, as the kernel would give it (execve(2), "Interpreter scripts").
   */
  #scriptInterpreter(): readonly string[] {
    const script = this.#step.batch?.scriptPath;
    if (script === undefined || !readMountTable().flagsOf(script).includes("noexec")) return [];
    const [, interpreter, argument = ""] = /^#![ \t]*([^ \t\n]+)[ \t]*([^\n]*)/.exec(readFileSync(script, "latin1").slice(0, 256)) ?? [];
    const option = Buffer.from(argument.trimEnd(), "latin1").toString();
    return interpreter === undefined ? [] : [Buffer.from(interpreter, "latin1").toString(), ...(option === "" ? [] : [option])];
  }

  /** Without an oci.conf nobody inside knows the spool directory, so the image need not have a place for it. */
  #spoolMount(): { readonly source: string; readonly destination: string } | null {
    if (this.#conf === undefined) return null;
    const { mountSpoolDir } = this.#conf;
    const values = this.#values({ taskId: "0" });
    return { source: this.#spoolDir, destination: mountSpoolDir === undefined ? this.#spoolDir : expandPattern(mountSpoolDir, values) };
  }

  #resolve(
    rootfs: string,
    args: readonly string[],
    env: Environment,
    isHidden: (inside: string) => boolean = () => false,
  ): readonly string[] {
    const [name, ...rest] = args;
    return name === undefined ? args : [resolveCommand(rootfs, name, env, isHidden), ...rest];
  }

  get #runtimeKind(): "crun" | "other" {
    if (this.#runtime !== undefined) return this.#runtime.name === "crun" ? "crun" : "other";
    const command = this.#conf?.operations.run ?? this.#conf?.operations.create;
    const [first] = command ?? [];
    return typeof first === "string" && /(?:^|[\s/])crun\s/.test(first) ? "crun" : "other";
  }

  get #rootfs(): string {
    return this.#bundle?.rootfs ?? this.#step.bundle;
  }

  #operations(localId: number, { pid }: TaskProcess): Operations {
    const task = this.#tasks.get(localId) as TaskRecord;
    if (this.#runtime !== undefined) {
      return chosenOperations(this.#runtime, {
        root: this.#step.runtimeRoot,
        bundle: task.spoolDir,
        id: this.#containerId(localId),
        preserveFds: task.preserveFds,
      });
    }
    const command = (operation: Operation): Argv | undefined => {
      const text = this.#command(operation, localId, { pid });
      return text === undefined ? undefined : ["/bin/sh", "-c", execSimple(portableKill(text))];
    };
    return {
      create: command("create"),
      start: command("start"),
      run: command("run"),
      query: command("query"),
      kill: command("kill"),
      delete: command("delete"),
    };
  }

  /** The text of one of oci.conf's operations for this task. */
  #command(operation: Operation, localId: number, { pid }: TaskProcess): string | undefined {
    const task = this.#tasks.get(localId) as TaskRecord;
    const pattern = this.#conf?.operations[operation];
    if (pattern === undefined) return undefined;
    return withPreservedFds(
      expandPattern(
        pattern,
        this.#values({
          bundle: this.#bundle === undefined ? this.#step.bundle : task.spoolDir,
          command: task.command,
          envFile: join(task.spoolDir, "environment"),
          pid: String(pid ?? NO_TASK.pid),
          taskId: String(localId),
          workDir: this.#step.workDir,
        }),
      ),
      task.preserveFds,
    );
  }

  #values(known: Partial<PatternValues>): PatternValues {
    const step = this.#step;
    return {
      ...NO_TASK,
      bundle: step.bundle,
      jobId: String(step.jobId),
      nodeName: step.nodeName,
      rootfs: this.#rootfs,
      spoolDir: this.#spoolDir,
      stepId: String(stepNumber(step.stepKey)),
      userName: step.userName,
      userId: String(step.userId),
      ...known,
    };
  }

  calls(localId: number, process: TaskProcess): RuntimeCalls {
    return new RuntimeCalls(this.#operations(localId, process), this.#runtimeEnv);
  }

  #containerId(localId: number): string {
    const { nodeName, userName, jobId, stepKey } = this.#step;
    return containerId({ nodeName, userName, jobId, stepId: stepNumber(stepKey), localId });
  }

  /** A record of the same id is from a life of this step that crashed: job, step, node and task are unique. */
  async #deleteStale(localId: number): Promise<void> {
    if (this.#runtime !== undefined && exists(join(this.#step.runtimeRoot, this.#containerId(localId))))
      await this.calls(localId, { pid: null }).delete(NEVER);
  }

  /** A runtime that ended by itself removed its record, so that no process needs to be asked. */
  async #deleteChosen(localId: number): Promise<void> {
    const record = join(this.#step.runtimeRoot, this.#containerId(localId));
    if (!exists(record)) return;
    const result = await this.calls(localId, { pid: null }).delete(NEVER);
    if (result !== undefined && shellCode(result.status) !== 0 && exists(record)) throw cleanupError(result);
  }

  #hasNoRecord(localId: number, process: TaskProcess): boolean {
    const query = this.#command("query", localId, process);
    const record = query === undefined ? undefined : stateDirOf(query);
    return record !== undefined && !exists(record);
  }

  /** IgnoreFileConfigJson has no state to ask for: kill once, delete once, and never a pid that can be another's. */
  async #stopUnknown(localId: number, { pid }: TaskProcess): Promise<void> {
    const calls = this.calls(localId, { pid });
    const isAlive = isOurChild(pid);
    if (isAlive || !this.#needsPid("kill")) await calls.kill(NEVER);
    if (isAlive || !this.#needsPid("delete")) await calls.delete(NEVER);
  }

  #needsPid(operation: Operation): boolean {
    const pattern = this.#conf?.operations[operation];
    return pattern !== undefined && usesField(pattern, "pid");
  }
}

/**
 * CDI's variables win over the image's, as they replace them (NVIDIA_VISIBLE_DEVICES=void keeps NVIDIA's runtime from adding
 * devices again). The container has only its own GPUs, and CUDA and ROCm count what they see: from 0.
 */
function deviceEnvironment(env: Environment, { edits, hasGpus }: StepDevices): Record<string, string> {
  const result = mergeEnvironment(env, edits.env);
  for (const name of hasGpus ? ["CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"] : []) {
    const list = result[name];
    if (list !== undefined && /^[0-9]+(,[0-9]+)*$/.test(list))
      result[name] = list
        .split(",")
        .map((_id, index) => index)
        .join(",");
  }
  return result;
}

/** The guide's own `kill -s SIGTERM PID` is bash's: POSIX and dash(1) want the name without SIG. */
function portableKill(command: string): string {
  return command.replace(/^(\s*kill -s )SIG([A-Z0-9]+ [0-9]+\s*)$/, "$1$2");
}

/** Clean-up is bounded by time, and is not called off. */
const NEVER = new AbortController().signal;

function rootlessIds(rootfs: string, userName: string): Ids | null {
  const uid = process.geteuid?.() ?? 0;
  return uid === 0 ? null : { uid, gid: process.getegid?.() ?? 0, subordinate: subordinateIdsFor(rootfs, { name: userName, uid }) };
}

/** A living child of this very process: then the number cannot belong to anybody else. */
function isOurChild(pid: number | null): boolean {
  if (pid === null) return false;
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return false;
  } // gone
  const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return state !== "Z" && Number(parent) === process.pid;
}

/** True also when it cannot be seen: then the runtime is asked. */
function exists(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return true;
  }
}

function removeAll(files: readonly string[], dir: string): void {
  for (const file of files) removeFile(file);
  removeDir(dir);
}
