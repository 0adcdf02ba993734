/** One task: its environment, its streams, its process, from launch to reaped. */
import { statSync } from "node:fs";
import { constants as os } from "node:os";
import type { PreparedTask, StepContainer } from "#container/step-container.ts";
import { taskVariables, type StepFacts } from "#job/environment.ts";
import { BerthError } from "#job/errors.ts";
import type { ExitStatus } from "#job/outcome.ts";
import { setSoftLimits } from "#platform/libc.ts";
import { pumpOutput } from "#platform/pipes.ts";
import { spawnTask, type RunningProcess, type TaskStreams, type TerminalHandle } from "#platform/spawn.ts";
import { errnoText, execFailure, findCommand } from "./command.ts";
import type { StepPlan } from "./plan.ts";
import { appendLine, StreamError, withUmask, type OpenedStreams, type StreamOpener } from "./stdio.ts";

export type OutputStream = "stdout" | "stderr";

export interface TaskHost {
  readonly plan: StepPlan;
  container(node: string): StepContainer | null;
  readonly streams: StreamOpener;
  expand(pattern: string, rank: number): string;
  /** A promise means: wait, the client is slow. */
  output(rank: number, stream: OutputStream, bytes: Uint8Array): Promise<void> | undefined;
  /** The process exists: to be journalled before anything else happens. */
  started(rank: number, pid: number): void;
}

export interface TaskPlace {
  readonly rank: number;
  readonly localId: number;
  readonly node: StepFacts["nodes"][number];
}

const FALLBACK_DIR = "/tmp";
/** Slurm's exit status of a step whose streams or directory could not be had: 0:53 (lifecycle §4.6). */
const LAUNCH_SIGNAL = 53;

export class Task {
  readonly place: TaskPlace;
  readonly #host: TaskHost;
  #process: RunningProcess | undefined;
  #streams: OpenedStreams | undefined;
  #terminal: TerminalHandle | undefined;
  #pumps: Promise<void> = Promise.resolve();
  #status: ExitStatus | undefined;
  #adopted: RunningProcess | undefined;
  readonly #opened = Promise.withResolvers<void>();

  constructor(host: TaskHost, place: TaskPlace) {
    this.#host = host;
    this.place = place;
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

  get process(): RunningProcess | undefined {
    return this.#process;
  }

  /** Resolves when the last process that could write has closed the streams. */
  get drained(): Promise<void> {
    return this.#pumps;
  }

  /** Runs the task; resolves when its process is reaped. Failures to start are statuses, never errors. */
  async run(): Promise<ExitStatus> {
    this.#status = await this.#run();
    this.#opened.resolve();
    this.#streams?.stdin.writer?.close();
    return this.#status;
  }

  /** Instead of starting it, `run` follows a process that another daemon started. */
  adopt(process: RunningProcess): void {
    this.#adopted = process;
  }

  get isAdopted(): boolean {
    return this.#adopted !== undefined;
  }

  adoptEnded(status: ExitStatus): void {
    this.#adopted = { pid: this.#adopted?.pid ?? 0, exited: Promise.resolve(status), usage: () => null };
  }

  async #follow(process: RunningProcess): Promise<ExitStatus> {
    this.#process = process;
    const streams = this.#host.streams.reopen(this.place.rank, this.#host.plan, (pattern) => this.#host.expand(pattern, this.place.rank));
    this.#streams = streams;
    this.#startPumps();
    this.#opened.resolve();
    return await process.exited;
  }

  async #run(): Promise<ExitStatus> {
    if (this.#adopted !== undefined) return await this.#follow(this.#adopted);
    const { plan } = this.#host;
    const { rank } = this.place;
    const container = this.#container;
    try {
      this.#openStreams();
    } catch (error) {
      if (error instanceof StreamError) return { kind: "signaled", signal: LAUNCH_SIGNAL, coreDumped: false };
      throw error;
    }
    const cwd = this.#findWorkDir(plan.workDir);
    if (cwd === undefined) return this.#notStarted(os.errno.ENOENT, `couldn't chdir to \`${plan.workDir}': ${errnoText(os.errno.ENOENT)}`);
    const command = plan.commands[rank] ?? plan.commands[0] ?? [];
    const env = { ...plan.environment, ...taskVariables(plan.facts, { rank }) };
    const [name = ""] = command;
    let path: string | undefined;
    let argv: readonly [string, ...string[]] = [name, ...command.slice(1)];
    let taskEnv: Readonly<Record<string, string>> = env;
    if (container === null) {
      path = findCommand(name, { path: env["PATH"], cwd });
    } else {
      const prepared = await this.#prepareContainer(container, command, env);
      if ("kind" in prepared) return prepared;
      ({ argv, env: taskEnv } = prepared);
      [path] = argv;
    }
    return this.#spawn({ name, argv, path, env: taskEnv, cwd });
  }

  async #prepareContainer(container: StepContainer, args: readonly string[], env: Readonly<Record<string, string>>):
    Promise<PreparedTask | ExitStatus> {
    const { localId, rank } = this.place;
    // The image's own variables win over the job's, and Slurm's win over both (spec: oci-conf §8.1).
    const merged = { ...container.environment(env), ...taskVariables(this.#host.plan.facts, { rank }) };
    try {
      return await container.prepareTask({ localId, globalId: rank, args, env: merged });
    } catch (error) {
      if (!(error instanceof BerthError)) throw error;
      return this.#notStarted(1, error.hint === undefined ? error.message : `${error.message}; ${error.hint}`);
    }
  }

  async #spawn(command: { readonly name: string; readonly argv: readonly [string, ...string[]]; readonly path: string | undefined;
    readonly env: Readonly<Record<string, string>>; readonly cwd: string }): Promise<ExitStatus> {
    const { name, path, cwd, argv, env } = command;
    if (path === undefined) return this.#execFailed(name, undefined, cwd, undefined);
    const before = setSoftLimits(this.#host.plan.rlimits);
    let process: ReturnType<typeof spawnTask>;
    try {
      process = withUmask(this.#host.plan.facts.umask, () => spawnTask({ argv, path, env, cwd, streams: this.#taskStreams() }));
    } catch (error) {
      return this.#execFailed(name, path, cwd, error);
    } finally {
      setSoftLimits(before);
      this.#streams?.closeTaskEnds();
    }
    this.#process = process;
    if (process.terminal !== null) this.#terminal = process.terminal;
    this.#host.started(this.place.rank, process.pid);
    this.#startPumps();
    this.#opened.resolve();
    return process.exited;
  }

  #execFailed(name: string, path: string | undefined, cwd: string, error: unknown): ExitStatus {
    const failure = execFailure(name, { path, cwd, error });
    return this.#notStarted(failure.errno, failure.message);
  }

  #notStarted(errno: number, message: string): ExitStatus {
    this.#streams?.closeTaskEnds();
    this.#startPumps();
    this.say(`slurmstepd: error: ${message}`);
    return { kind: "notStarted", errno, message };
  }

  get #hasTerminal(): boolean {
    return this.#host.plan.terminal !== null && this.place.rank === 0;
  }

  #openStreams(): void {
    if (this.#hasTerminal) return;
    const { plan, streams } = this.#host;
    this.#streams = streams.open(this.place.rank, plan, (pattern) => this.#host.expand(pattern, this.place.rank));
  }

  #taskStreams(): TaskStreams {
    const { terminal } = this.#host.plan;
    if (this.#hasTerminal && terminal !== null) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#pumps = promise;
      return {
        kind: "terminal", ...terminal, onClose: resolve,
        // The terminal's data belongs to Bun only for the call.
        onOutput: (bytes) => { void this.#host.output(this.place.rank, "stdout", bytes.slice()); },
      };
    }
    const opened = this.#streams;
    if (opened === undefined) throw new Error("streams are not open");
    return { kind: "files", stdin: opened.stdin.taskFd, stdout: opened.stdout.taskFd, stderr: opened.stderr.taskFd };
  }

  #startPumps(): void {
    if (this.#hasTerminal || this.#streams === undefined) return;
    const pump = (fd: number | null, stream: OutputStream) =>
      fd === null ? Promise.resolve() : pumpOutput(fd, (bytes) => this.#host.output(this.place.rank, stream, bytes));
    this.#pumps = Promise.all([pump(this.#streams.stdout.ourFd, "stdout"), pump(this.#streams.stderr.ourFd, "stderr")]).then(() => undefined);
  }

  /** The directory to start in: a missing one is replaced by /tmp, except in a container step, where it is fatal (oci-conf §4.3). */
  #findWorkDir(wanted: string): string | undefined {
    try {
      if (statSync(wanted).isDirectory()) return wanted;
    } catch {
      // told below
    }
    if (this.#container !== null) return undefined;
    this.say(`slurmstepd: error: couldn't chdir to \`${wanted}': ${errnoText(os.errno.ENOENT)}: going to /tmp instead`);
    return FALLBACK_DIR;
  }

  /** A message of the step daemon's own on the task's standard error. */
  say(line: string): void {
    const file = this.#streams?.stderr.file;
    if (file != null) appendLine(file, line);
    else if (this.#streams?.stderr.taskFd !== "null") void this.#host.output(this.place.rank, "stderr", Buffer.from(`${line}\n`));
  }

  /** For a step that never ran: opens the streams only to tell why. */
  sayWithoutRunning(lines: readonly string[]): void {
    try {
      this.#openStreams();
    } catch (error) {
      if (error instanceof StreamError) return;
      throw error;
    }
    this.#streams?.closeTaskEnds();
    for (const line of lines) this.say(line);
  }

  /** Resolves when the bytes are on their way to the task. */
  async writeInput(bytes: Uint8Array): Promise<void> {
    if (this.#terminal !== undefined) this.#terminal.write(bytes);
    else await this.#streams?.stdin.writer?.write(bytes);
  }

  async endInput(): Promise<void> {
    await this.#streams?.stdin.writer?.end();
  }

  resize(size: { readonly rows: number; readonly columns: number }): void {
    this.#terminal?.resize(size.columns, size.rows);
  }

  closeTerminal(): void {
    this.#terminal?.close();
  }
}
