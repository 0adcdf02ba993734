/**
 * The runtime's operations for the tasks of one step on one node: as oci.conf has them, or of the runtime that was chosen, and what
 * has to be done with them before a container's life and after it.
 */
import { lstatSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { stepNumber } from "#job/id.ts";
import { shellCode } from "#job/outcome.ts";
import type { Bundle } from "./bundle.ts";
import { runtimeEnvironment } from "./environment.ts";
import type { OciConf, Operation } from "./oci-conf.ts";
import { execSimple, expandPattern, NO_TASK, usesField, type PatternValues } from "./pattern.ts";
import { cleanupError, RuntimeCalls, type Argv, type Operations } from "./runtime-calls.ts";
import { chosenOperations, containerId, safeName, stateDirOf, withConsoleSocket, withPreservedFds, type ChosenRuntime } from "./runtime.ts";
import { spoolPath } from "./spool.ts";
import type { ContainerStep, TaskProcess } from "./step-container.ts";

/** What a task's operations are about. */
export interface OperatedTask {
  readonly localId: number;
  readonly spoolDir: string;
  /** For %@; quoted. */
  readonly command: string;
  readonly preserveFds: number;
}

export class StepOperations {
  /** The runtime's own environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** The step's. */
  readonly spoolDir: string;
  readonly #step: ContainerStep;
  readonly #conf: OciConf | undefined;
  readonly #bundle: Bundle | undefined;
  readonly #runtime: ChosenRuntime | undefined;
  readonly #spoolParent: string;

  constructor(
    step: ContainerStep,
    opened: { readonly conf: OciConf | undefined; readonly bundle: Bundle | undefined; readonly runtime: ChosenRuntime | undefined },
  ) {
    this.#step = step;
    this.#conf = opened.conf;
    this.#bundle = opened.bundle;
    this.#runtime = opened.runtime;
    this.environment = runtimeEnvironment(process.env, step.nodeName, opened.conf?.runTimeEnvExclude);
    this.#spoolParent = opened.conf?.containerPath ?? `${step.spoolRoot}/${safeName(step.nodeName)}`.replaceAll("%", "%%");
    this.spoolDir = spoolPath(this.#spoolParent, step.stepKey, "step", this.#values({ spoolDir: step.spoolRoot }));
  }

  taskSpoolDir(localId: number): string {
    const values = this.#values({ spoolDir: this.#step.spoolRoot, taskId: String(localId) });
    return spoolPath(this.#spoolParent, this.#step.stepKey, "task", values);
  }

  /** Where the step's spool directory is to be inside its containers. */
  expandMountPoint(mountSpoolDir: NonNullable<OciConf["mountSpoolDir"]>): string {
    return expandPattern(mountSpoolDir, this.#values({ taskId: "0" }));
  }

  get rootfs(): string {
    return this.#bundle?.rootfs ?? this.#step.bundle;
  }

  get runtimeKind(): "crun" | "other" {
    if (this.#runtime !== undefined) return this.#runtime.name === "crun" ? "crun" : "other";
    const command = this.#conf?.operations.run ?? this.#conf?.operations.create;
    const [first] = command ?? [];
    return typeof first === "string" && /(?:^|[\s/])crun\s/.test(first) ? "crun" : "other";
  }

  /** How the task's container is made on a terminal of its own; undefined where its create has no place for that. */
  createOnSocket(task: OperatedTask, consoleSocket: string): Argv | undefined {
    const text = withConsoleSocket(this.#command("create", task, { pid: null }) ?? "", consoleSocket);
    return text === undefined ? undefined : ["/bin/sh", "-c", execSimple(text)];
  }

  of(task: OperatedTask, { pid }: TaskProcess): Operations {
    if (this.#runtime !== undefined) {
      return chosenOperations(this.#runtime, {
        root: this.#step.runtimeRoot,
        bundle: task.spoolDir,
        id: this.#containerId(task),
        preserveFds: task.preserveFds,
      });
    }
    const command = (operation: Operation): Argv | undefined => {
      const text = this.#command(operation, task, { pid });
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
  #command(operation: Operation, task: OperatedTask, { pid }: TaskProcess): string | undefined {
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
          taskId: String(task.localId),
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
      rootfs: this.rootfs,
      spoolDir: this.spoolDir,
      stepId: String(stepNumber(step.stepKey)),
      userName: step.userName,
      userId: String(step.userId),
      ...known,
    };
  }

  calls(task: OperatedTask, process: TaskProcess): RuntimeCalls {
    return new RuntimeCalls(this.of(task, process), this.environment);
  }

  #containerId({ localId }: OperatedTask): string {
    const { nodeName, userName, jobId, stepKey, runtimeRoot } = this.#step;
    return containerId({ nodeName, userName, jobId, stepId: stepNumber(stepKey), localId, runtimeRoot });
  }

  /** A record of the same id is from a life of this step that crashed: job, step, node and task are unique. */
  async deleteStale(task: OperatedTask): Promise<void> {
    if (this.#runtime !== undefined) await this.#deleteChosen(task);
  }

  /** Kill, unless the process that it names can be another's. */
  async kill(task: OperatedTask, { pid }: TaskProcess): Promise<void> {
    if (this.#needsPid("kill") && !isOurChild(pid)) return;
    await this.calls(task, { pid }).kill(NEVER);
  }

  /** Kill and delete what is left of the task's container. @throws BerthError RUNTIME_CLEANUP */
  async finish(task: OperatedTask, { pid, hasEnded }: TaskProcess & { readonly hasEnded: boolean }): Promise<void> {
    if (this.#runtime !== undefined) await this.#deleteChosen(task);
    else if (this.#bundle === undefined) await this.#stopUnknown(task, { pid });
    else if (!this.#hasNoRecord(task, { pid })) await this.calls(task, { pid }).stop(NEVER, { hasEnded });
  }

  /**
   * A runtime that ended by itself removed its record, so that no process needs to be asked. A delete that is killed is repeated. Of a container
   * whose making was killed there may be half a record, which no runtime takes for one.
   */
  async #deleteChosen(task: OperatedTask): Promise<void> {
    const record = join(this.#step.runtimeRoot, this.#containerId(task));
    for (let attempt = 1; exists(record); attempt++) {
      const result = await this.calls(task, { pid: null }).delete(NEVER);
      if (result === undefined || shellCode(result.status) === 0) rmSync(record, { recursive: true, force: true });
      else if ((result.status.kind !== "signaled" || attempt === DELETE_ATTEMPTS) && exists(record)) throw cleanupError(result);
    }
  }

  #hasNoRecord(task: OperatedTask, process: TaskProcess): boolean {
    const query = this.#command("query", task, process);
    const record = query === undefined ? undefined : stateDirOf(query);
    return record !== undefined && !exists(record);
  }

  /** IgnoreFileConfigJson has no state to ask for: kill once, delete once, and never a pid that can be another's. */
  async #stopUnknown(task: OperatedTask, { pid }: TaskProcess): Promise<void> {
    const calls = this.calls(task, { pid });
    const isAlive = isOurChild(pid);
    if (isAlive || !this.#needsPid("kill")) await calls.kill(NEVER);
    if (isAlive || !this.#needsPid("delete")) await calls.delete(NEVER);
  }

  #needsPid(operation: Operation): boolean {
    const pattern = this.#conf?.operations[operation];
    return pattern !== undefined && usesField(pattern, "pid");
  }
}

/** The guide's own `kill -s SIGTERM PID` is bash's: POSIX and dash(1) want the name without SIG. */
function portableKill(command: string): string {
  return command.replace(/^(\s*kill -s )SIG([A-Z0-9]+ [0-9]+\s*)$/, "$1$2");
}

const DELETE_ATTEMPTS = 5;

/** Clean-up is bounded by time, and is not called off. */
const NEVER = new AbortController().signal;

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
