/** A step's containers, once oci.conf, bundle and runtime are known (step-container.ts): files for each task, and what its container needs. */
import { accessSync, constants, readFileSync, rmSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { readAnnotations, type Bundle } from "./bundle.ts";
import { excludeVariables, mergeEnvironment, printEnvFile, type Environment } from "./environment.ts";
import { readMountTable } from "./mount-flags.ts";
import type { OciConf } from "./oci-conf.ts";
import { quoteCommand } from "./pattern.ts";
import { resolveCommand } from "./rootfs.ts";
import type { Ids } from "./rootless.ts";
import { explain, type Argv, type RuntimeCalls, type RuntimeState } from "./runtime-calls.ts";
import { runtimeCopyOf } from "./runtime-copy.ts";
import type { ChosenRuntime } from "./runtime.ts";
import { makeSpoolDir, removeDir, removeFile, writeSpoolFile, type Owner } from "./spool.ts";
import type { ContainerStep, ContainerTask, PreparedTask, StartResult, StepContainer, TaskProcess } from "./step-container.ts";
import { deviceEnvironment, type StepDevices } from "./step-devices.ts";
import { StepOperations, type OperatedTask } from "./step-operations.ts";
import { subordinateIdsFor } from "./subordinate-ids.ts";
import { StepConfig } from "./task-config.ts";

interface TaskRecord extends OperatedTask {
  readonly files: string[];
  isFinished: boolean;
}

export class OpenedStep implements StepContainer {
  readonly description: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly flow: OciConf["flow"];
  readonly #step: ContainerStep;
  readonly #conf: OciConf | undefined;
  readonly #bundle: Bundle | undefined;
  readonly #operations: StepOperations;
  readonly #owner: Owner;
  readonly #cdi: StepDevices | null;
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
    this.#operations = new StepOperations(step, opened);
    this.flow = opened.conf?.flow ?? "run";
    this.annotations = opened.bundle === undefined ? {} : readAnnotations(opened.bundle);
    this.description = opened.runtime?.description ?? `commands of ${opened.conf?.file ?? "oci.conf"}`;
    this.#owner = { uid: step.userId, gid: step.groupId };
    makeSpoolDir(this.#operations.spoolDir, this.#owner);
  }

  environment(jobEnv: Environment): Record<string, string> {
    return mergeEnvironment(jobEnv, this.#bundle?.env ?? []);
  }

  async prepareTask(task: ContainerTask): Promise<PreparedTask> {
    const { localId } = task;
    const spoolDir = this.#operations.taskSpoolDir(localId);
    const env = excludeVariables(this.#cdi === null ? task.env : deviceEnvironment(task.env, this.#cdi), this.#conf?.envExclude);
    makeSpoolDir(spoolDir, this.#owner);
    const files: string[] = [];
    const write = (name: string, text: string) => {
      const path = join(spoolDir, name);
      writeSpoolFile(path, text, this.#owner, { isOwnPlace: this.#conf?.containerPath === undefined });
      files.push(path);
    };
    const command = this.#bundle === undefined ? quoteCommand(this.#resolve(this.#operations.rootfs, task.args, env)) : "";
    const record: TaskRecord = { localId, spoolDir, command, files, preserveFds: task.preserveFds ?? 0, isFinished: false };
    this.#tasks.set(localId, record);
    const { consoleSocket } = task;
    const onSocket = consoleSocket == null || this.flow === "run" ? undefined : this.#operations.createOnSocket(record, consoleSocket);
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
    await this.#operations.deleteStale(record);
    const operations = this.#operations.of(record, { pid: null });
    const argv = onSocket ?? (this.flow === "run" ? operations.run : operations.create);
    return {
      argv: argv as Argv,
      executable: this.#executable(argv as Argv, record),
      env: this.#operations.environment,
      spoolDir,
      usesConsoleSocket: onSocket !== undefined,
    };
  }

  /** A copy of the runtime's by a link of its name, which becomes the process's name (proc(5), comm). */
  #executable([program]: Argv, { files, spoolDir }: TaskRecord): string {
    const copy = this.#conf === undefined ? runtimeCopyOf(program) : undefined;
    if (copy === undefined) return program;
    const link = join(spoolDir, basename(program));
    removeFile(link); // of a daemon before us
    symlinkSync(copy, link);
    files.push(link);
    return link;
  }

  adoptTask(localId: number): void {
    const spoolDir = this.#operations.taskSpoolDir(localId);
    this.#tasks.set(localId, {
      localId,
      spoolDir,
      command: "",
      preserveFds: 0,
      isFinished: false,
      files: ["config.json", "environment", "crun", "runc"].map((name) => join(spoolDir, name)),
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
    if (task === undefined || task.isFinished) return;
    await this.#operations.kill(task, { pid });
  }

  async finishTask(localId: number, { pid, hasEnded = false }: TaskProcess & { readonly hasEnded?: boolean }): Promise<void> {
    const task = this.#tasks.get(localId);
    if (task === undefined || task.isFinished) return;
    task.isFinished = true;
    try {
      await this.#operations.finish(task, { pid, hasEnded });
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
      rmSync(join(this.#operations.spoolDir, "layers"), { recursive: true, force: true });
      removeDir(this.#operations.spoolDir);
    }
    if (failures.length > 0) throw failures.length === 1 ? failures[0] : new AggregateError(failures, "containers were left behind");
  }

  #printConfig(
    bundle: Bundle,
    task: { readonly args: readonly string[]; readonly env: Environment; readonly hasTerminal: boolean },
  ): string {
    refuseUnreadable(bundle);
    // Made with the first task: the batch step's files exist by then.
    this.#config ??= new StepConfig(bundle, {
      batch: this.#step.batch,
      disableHooks: this.#conf?.disableHooks ?? [],
      spoolMount: this.#spoolMount(),
      rootless: rootlessIds(bundle.rootfs, this.#step.userName),
      runtime: this.#operations.runtimeKind,
      cdi: this.#cdi?.edits ?? null,
      layersDir: join(this.#operations.spoolDir, "layers"),
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
    const source = this.#operations.spoolDir;
    return { source, destination: mountSpoolDir === undefined ? source : this.#operations.expandMountPoint(mountSpoolDir) };
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

  calls(localId: number, process: TaskProcess): RuntimeCalls {
    return this.#operations.calls(this.#tasks.get(localId) as TaskRecord, process);
  }
}

/** The runtime's own words tell neither which directory nor whose: "fork/exec /proc/self/exe: permission denied". */
function refuseUnreadable({ path, rootfs }: Bundle): void {
  try {
    accessSync(rootfs, constants.X_OK);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EACCES") return; // for the runtime to say
    throw new BerthError("BUNDLE_MISSING", `Cannot open bundle ${JSON.stringify(path)}: Permission denied: ${rootfs}`, {
      hint: "make the bundle readable for the job's user",
      cause,
    });
  }
}

function rootlessIds(rootfs: string, userName: string): Ids | null {
  const uid = process.geteuid?.() ?? 0;
  return uid === 0 ? null : { uid, gid: process.getegid?.() ?? 0, subordinate: subordinateIdsFor(rootfs, { name: userName, uid }) };
}

function removeAll(files: readonly string[], dir: string): void {
  for (const file of files) removeFile(file);
  removeDir(dir);
}
