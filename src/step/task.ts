/** One task: its environment, its streams, its process, from launch to reaped. */
import { statSync } from "node:fs";
import { constants as os } from "node:os";
import type { PreparedTask, StepContainer } from "#container/step-container.ts";
import { taskVariables } from "#job/environment.ts";
import { BerthError } from "#job/errors.ts";
import { shellCode, type ExitStatus } from "#job/outcome.ts";
import { setSoftLimits } from "#platform/system.ts";
import { spawnTask } from "#platform/spawn.ts";
import type { ProcessIdentity } from "#platform/process-tree.ts";
import { startCreated, type TaskLife } from "./created-container.ts";
import { errnoText, execFailure, findCommand } from "./command.ts";
import type { MpiTask } from "./mpi-step.ts";
import { epilogsOf, prologsOf } from "./plan.ts";
import type { TaskHost } from "./task-host.ts";
import type { TaskPlace } from "./task-place.ts";
import { TaskStdio } from "./task-stdio.ts";
import type { ScriptSurroundings } from "./task-scripts.ts";
import { bindNext } from "./binding.ts";
import { StreamError, withUmask } from "./stdio.ts";

const FALLBACK_DIR = "/tmp";
/** Slurm's exit status of a step whose streams or directory could not be had: 0:53 (lifecycle §4.6). */
const LAUNCH_SIGNAL = 53;
const KILLED_BEFORE_START: ExitStatus = { kind: "signaled", signal: os.signals.SIGTERM, coreDumped: false };

export class Task {
  readonly place: TaskPlace;
  readonly stdio: TaskStdio;
  readonly #host: TaskHost;
  #process: TaskLife | undefined;
  #isForeign = false;
  #isContainerEnded = false;
  #status: ExitStatus | undefined;
  #mpi: MpiTask | undefined;
  #adopted: TaskLife | undefined;
  /** Create and start flow: what the daemon before us wrote of the container. */
  #adoptedContainer: ProcessIdentity | null | undefined;
  #isAdoptedEnd = false;
  /** It came as far as its prolog, and was not over before we came. */
  #owesEpilog = false;
  readonly #opened = Promise.withResolvers<void>();

  constructor(host: TaskHost, place: TaskPlace) {
    this.#host = host;
    this.place = place;
    this.stdio = new TaskStdio(host, place.rank);
  }

  get #container(): StepContainer | null {
    return this.#host.container(this.place.node.name);
  }

  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  /** Resolves when input can be written: the process runs, or never will. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  get status(): ExitStatus | undefined {
    return this.#status;
  }

  get process(): TaskLife | undefined {
    return this.#process;
  }

  /** It is a container that signals to our processes do not reach. */
  get isForeign(): boolean {
    return this.#isForeign;
  }

  /** Create and start flow: the container's first process is known to be gone. */
  get isContainerEnded(): boolean {
    return this.#isContainerEnded;
  }

  /** Runs the task; resolves when its process is reaped. Failures to start are statuses, never errors. */
  async run(): Promise<ExitStatus> {
    this.#status = await this.#run();
    this.#opened.resolve();
    this.stdio.closeInput();
    if (this.#owesEpilog) await this.#runEpilogs();
    return this.#status;
  }

  /** Instead of starting it, `run` follows a process that another daemon started. */
  adopt(process: TaskLife): void {
    this.#adopted = process;
  }

  adoptContainer(process: ProcessIdentity | null): void {
    this.#adoptedContainer = process;
  }

  get isAdopted(): boolean {
    return this.#adopted !== undefined;
  }

  adoptEnded(status: ExitStatus): void {
    this.#adopted = { pid: null, exited: Promise.resolve(status), usage: () => null };
    this.#isAdoptedEnd = true;
  }

  async #follow(process: TaskLife): Promise<ExitStatus> {
    this.#process = process;
    this.stdio.reopen();
    this.#opened.resolve();
    this.#owesEpilog = !this.#isAdoptedEnd;
    const container = this.#container;
    if (container?.flow !== "createStart" || this.#isAdoptedEnd) return await process.exited;
    if (this.#adoptedContainer !== undefined) return await this.#startCreated(container);
    return await this.#afterCreate(container, process);
  }

  /** Create and start flow: `creator` is the create command. What it says is on the task's stderr already. */
  async #afterCreate(container: StepContainer, creator: TaskLife): Promise<ExitStatus> {
    const status = await creator.exited;
    if (status.kind !== "unknown" && shellCode(status) !== 0) {
      this.stdio.closeConsole();
      return status;
    }
    this.stdio.receiveTerminal();
    return await this.#startCreated(container);
  }

  async #startCreated(container: StepContainer): Promise<ExitStatus> {
    const { killed, spoolDir } = this.#host;
    const { localId, rank } = this.place;
    try {
      const started = await startCreated(
        {
          container,
          localId,
          spoolDir,
          signal: killed,
          expectOrphan: (identity) => this.#host.expectOrphan(identity),
          created: (process) => this.#host.created(rank, process),
        },
        this.#adoptedContainer,
      );
      if ("reason" in started) {
        this.say(`slurmstepd: error: ${started.reason}`);
        return started;
      }
      this.#process = started;
      this.#isForeign = started.isForeign;
      return this.#endOf(started, await started.exited);
    } catch (error) {
      if (killed.aborted) return { kind: "signaled", signal: os.signals.SIGKILL, coreDumped: false };
      if (!(error instanceof BerthError)) throw error;
      this.say(`slurmstepd: error: ${error.message}${error.hint === undefined ? "" : `; ${error.hint}`}`);
      return { kind: "exited", code: 1 };
    }
  }

  /** As Slurm, a container that has ended without telling how counts as done (oci-conf §11.2); its user is told. */
  #endOf({ isForeign }: { readonly isForeign: boolean }, status: ExitStatus): ExitStatus {
    if (this.#host.killed.aborted && status.kind === "unknown") return { kind: "signaled", signal: os.signals.SIGKILL, coreDumped: false };
    this.#isContainerEnded = true;
    if (status.kind !== "unknown" || !isForeign) return status;
    this.say("slurmstepd: error: the container's exit status is not known: its process is not ours to wait for; RunTimeRun would tell it");
    return { kind: "exited", code: 0 };
  }

  async #run(): Promise<ExitStatus> {
    if (this.#adopted !== undefined) return await this.#follow(this.#adopted);
    const { plan } = this.#host;
    const { rank } = this.place;
    const container = this.#container;
    try {
      this.stdio.open();
    } catch (error) {
      if (error instanceof StreamError) return { kind: "signaled", signal: LAUNCH_SIGNAL, coreDumped: false };
      throw error;
    }
    const cwd = this.#findWorkDir(plan.workDir);
    if (cwd === undefined) return this.#notStarted(os.errno.ENOENT, `couldn't chdir to \`${plan.workDir}': ${errnoText(os.errno.ENOENT)}`);
    const command = plan.commands[rank] ?? plan.commands[0] ?? [];
    if (command.length === 0) return this.#notStarted(os.errno.ENOENT, "No executable program specified for this task");
    this.#mpi = await this.#host.mpi?.openTask(rank);
    const ready = await this.#runPrologs(cwd);
    if ("failed" in ready) return ready.failed;
    const { env } = ready;
    const [name = ""] = command;
    let path: string | undefined;
    let argv: readonly [string, ...string[]] = [name, ...command.slice(1)];
    let taskEnv: Readonly<Record<string, string>> = env;
    if (container === null) {
      path = findCommand(name, { path: env["PATH"], cwd });
    } else {
      const prepared = await this.#prepareContainer(container, command, env);
      if ("kind" in prepared) return prepared;
      ({ argv, env: taskEnv, executable: path } = prepared);
      if (prepared.usesConsoleSocket) this.stdio.openForCreate();
      else this.stdio.closeConsole();
    }
    return this.#spawn({ name, argv, path, env: taskEnv, cwd });
  }

  async #runPrologs(cwd: string): Promise<{ readonly env: Readonly<Record<string, string>> } | { readonly failed: ExitStatus }> {
    let env: Readonly<Record<string, string>> = { ...this.#host.plan.environment, ...this.#ownVariables() };
    this.#owesEpilog = true;
    for (const script of prologsOf(this.#host.plan)) {
      const { runTaskProlog } = await import("./task-scripts.ts");
      const ready = await runTaskProlog(script, this.#scriptSurroundings(cwd, env));
      if ("failed" in ready) return { failed: this.#endBeforeStart(ready.failed) };
      ({ env } = ready);
      // Who was told to end while the prolog ran is not started any more.
      if (this.#host.ending.aborted) return { failed: this.#endBeforeStart(KILLED_BEFORE_START) };
    }
    return { env };
  }

  async #runEpilogs(): Promise<void> {
    const { plan } = this.#host;
    const cwd = this.#findWorkDir(plan.workDir, { quietly: true }) ?? FALLBACK_DIR;
    const pid = this.#process?.pid;
    const env = { ...plan.environment, ...this.#ownVariables(), ...(pid == null ? {} : { SLURM_TASK_PID: String(pid) }) };
    for (const script of epilogsOf(plan)) {
      const { runTaskEpilog } = await import("./task-scripts.ts");
      await runTaskEpilog(script, this.#scriptSurroundings(cwd, env));
    }
  }

  #scriptSurroundings(cwd: string, env: Readonly<Record<string, string>>): ScriptSurroundings {
    return {
      spoolDir: this.#host.spoolDir,
      rank: this.place.rank,
      cwd,
      env,
      started: (pid) => this.#host.scriptStarted(pid),
      emit: (stream, bytes) => this.stdio.emit(stream, bytes),
      say: (line) => this.say(line),
    };
  }

  #endBeforeStart(status: ExitStatus): ExitStatus {
    this.stdio.closeTaskEnds();
    this.stdio.startPumps();
    return status;
  }

  async #prepareContainer(
    container: StepContainer,
    args: readonly string[],
    env: Readonly<Record<string, string>>,
  ): Promise<PreparedTask | ExitStatus> {
    const { localId, rank } = this.place;
    // The image's own variables win over the job's, and Slurm's win over both (spec: oci-conf §8.1).
    const merged = { ...container.environment(env), ...this.#ownVariables() };
    const consoleSocket = this.stdio.hasTerminal && container.flow === "createStart" ? this.stdio.openConsole() : null;
    try {
      return await container.prepareTask({
        localId,
        globalId: rank,
        args,
        env: merged,
        consoleSocket,
        preserveFds: this.#mpi?.fd == null ? 0 : 1,
      });
    } catch (error) {
      this.stdio.closeConsole();
      if (!(error instanceof BerthError)) throw error;
      return this.#notStarted(1, error.hint === undefined ? error.message : `${error.message}; ${error.hint}`);
    }
  }

  /** Slurm's variables for this task alone, and those of its MPI. */
  #ownVariables(): Record<string, string> {
    return { ...taskVariables(this.#host.plan.facts, { rank: this.place.rank }), ...this.#mpi?.environment };
  }

  async #spawn(command: {
    readonly name: string;
    readonly argv: readonly [string, ...string[]];
    readonly path: string | undefined;
    readonly env: Readonly<Record<string, string>>;
    readonly cwd: string;
  }): Promise<ExitStatus> {
    const { name, path, cwd, argv, env } = command;
    if (path === undefined) return this.#execFailed(name, undefined, cwd, undefined);
    const before = setSoftLimits(this.#host.plan.rlimits);
    const binding = bindNext(this.place);
    let process: ReturnType<typeof spawnTask>;
    this.#host.launching(this.place.rank);
    try {
      process = withUmask(this.#host.plan.facts.umask, () =>
        spawnTask({ argv, path, env, cwd, streams: this.stdio.forTask(), extraFd: this.#mpi?.fd ?? null }),
      );
    } catch (error) {
      return this.#execFailed(name, path, cwd, error);
    } finally {
      setSoftLimits(before);
      binding?.restore();
      this.stdio.closeTaskEnds();
      this.#mpi?.spawned();
    }
    this.#process = process;
    if (process.terminal !== null) this.stdio.useTerminal(process.terminal);
    this.#host.started(this.place.rank, process.pid);
    if (binding?.report !== undefined) this.say(binding.report(process.pid));
    this.stdio.startPumps();
    this.#opened.resolve();
    const container = this.#container;
    return container?.flow === "createStart" ? await this.#afterCreate(container, process) : await process.exited;
  }

  #execFailed(name: string, path: string | undefined, cwd: string, error: unknown): ExitStatus {
    const failure = execFailure(name, { path, cwd, error });
    return this.#notStarted(failure.errno, failure.message);
  }

  #notStarted(errno: number, message: string): ExitStatus {
    this.#endBeforeStart({ kind: "notStarted", errno, message });
    this.say(`slurmstepd: error: ${message}`);
    return { kind: "notStarted", errno, message };
  }

  /** The directory to start in: a missing one is replaced by /tmp, except in a container step, where it is fatal (oci-conf §4.3). */
  #findWorkDir(wanted: string, options: { readonly quietly: boolean } = { quietly: false }): string | undefined {
    try {
      if (statSync(wanted).isDirectory()) return wanted;
    } catch {
      // told below
    }
    if (this.#container !== null) return undefined;
    if (!options.quietly)
      this.say(`slurmstepd: error: couldn't chdir to \`${wanted}': ${errnoText(os.errno.ENOENT)}: going to /tmp instead`);
    return FALLBACK_DIR;
  }

  /** A message of the step daemon's own on the task's standard error. */
  say(line: string): void {
    this.stdio.say(line);
  }

  /** For a step that never ran: opens the streams only to tell why. */
  sayWithoutRunning(lines: readonly string[]): void {
    try {
      this.stdio.open();
    } catch (error) {
      if (error instanceof StreamError) return;
      throw error;
    }
    this.stdio.closeTaskEnds();
    for (const line of lines) this.say(line);
  }
}
