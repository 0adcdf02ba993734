/**
 * The life of a step in its daemon:
 *
 *   open (container) ─► ready ─► start ─► tasks run ─► last task ended ─► leftovers killed ─► result
 *                  └► launch failed ───────────────────────────────────────────────────────► result
 *
 * `terminate` may come at any point and is idempotent; a hard one overtakes a gentle one. Each thing is in the
 * journal before anybody hears of it.
 */
import { BerthError } from "#job/errors.ts";
import { nowMs } from "#job/id.ts";
import { localTime } from "#job/local-time.ts";
import { EXIT_ZERO, exitPair, worseExit, type ExitPair } from "#job/outcome.ts";
import { killAll, livingBelow, OrphanReaper } from "#platform/orphans.ts";
import { identify, isAlive, killTree, sendSignal, type ProcessIdentity } from "#platform/process-tree.ts";
import { adoptProcess, findUnwritten } from "./adopted-process.ts";
import { Journal, readJournal, type JournalEntry, type StepResult, type TaskUsage, type TerminateReason } from "./journal.ts";
import { openMpiStep } from "./mpi.ts";
import type { MpiStep } from "./mpi-step.ts";
import { PeakMemory } from "./peak-memory.ts";
import type { StepPlan } from "./plan.ts";
import { StepContainers } from "./step-containers.ts";
import { usageOfStep } from "./step-usage.ts";
import { StreamOpener } from "./stdio.ts";
import { expandForTask, placeOf } from "./task-place.ts";
import type { OutputStream, TaskHost } from "./task-host.ts";
import { Task } from "./task.ts";
import type { FromDaemon } from "./wire.ts";

export interface StepListener {
  event(event: FromDaemon): void;
  output(rank: number, stream: OutputStream, bytes: Uint8Array): Promise<void> | undefined;
}

const SIGCONT = 18;
const SIGTERM = 15;
const SIGKILL = 9;
/** How long a task's output may lag behind its end before its end is told all the same. */
const OUTPUT_LAG_MS = 50;

const never = new AbortController().signal;

export class RunningStep {
  readonly plan: StepPlan;
  readonly #spoolDir: string;
  readonly #listener: StepListener;
  readonly #journal: Journal;
  readonly #tasks: Task[] = [];
  readonly #reaper = new OrphanReaper();
  readonly #abort = new AbortController();
  readonly #killed = new AbortController();
  readonly #containers: StepContainers;
  /** By task. */
  readonly #peaks = new PeakMemory<Task>();
  #mpi: MpiStep | null = null;
  #terminated: TerminateReason | null = null;
  #killTimer: ReturnType<typeof setTimeout> | undefined;
  #isHard = false;
  #isKilling = false;
  #isStarted = false;
  #running = 0;
  /** What a daemon before us has written; empty in a first life. */
  readonly #past: readonly JournalEntry[];
  /** Processes that a daemon before us started, and that still run. */
  #adopted: readonly ProcessIdentity[] = [];

  constructor(spoolDir: string, plan: StepPlan, listener: StepListener) {
    this.#spoolDir = spoolDir;
    this.plan = plan;
    this.#listener = listener;
    this.#containers = new StepContainers(spoolDir, plan);
    this.#past = readJournal(spoolDir);
    this.#journal = new Journal(spoolDir);
    const self = identify(process.pid);
    if (self !== undefined) this.#journal.append({ kind: "daemon", process: self });
  }

  /** A daemon before us has started tasks and was killed. */
  get isTakeOver(): boolean {
    return this.#past.some((entry) => entry.kind === "launching" || entry.kind === "started" || entry.kind === "exited");
  }

  /** Prepares the containers, if there are any. A result: the launch failed. */
  async open(): Promise<StepResult | undefined> {
    const { plan } = this;
    if (plan.refusal != null) return this.#conclude({ code: plan.refusal.errno & 255, signal: 0 }, plan.refusal);
    try {
      this.#mpi = await openMpiStep(plan.facts, {
        command: plan.commands[0] ?? [],
        isContainer: plan.container !== null,
        spoolDir: this.#spoolDir,
        onAbort: () => this.terminate("cancelled", true),
      });
      // A take-over is not called off: what the daemon before us has left has to be cleaned up.
      await this.#containers.open({ signal: this.isTakeOver ? never : this.#abort.signal });
      return undefined;
    } catch (error) {
      if (!this.isTakeOver && this.#abort.signal.aborted) return undefined; // `start` sees that the step was ended
      if (!(error instanceof BerthError)) throw error;
      if (!this.isTakeOver) return this.#launchFailed(error);
      // Its bundle has gone, say: nothing more can be made of it than an end.
      this.#sayInBatchOutput(error);
      await this.#openToFinish();
      this.terminate("nodeFailure", true);
      return undefined;
    }
  }

  async #openToFinish(): Promise<void> {
    try {
      await this.#containers.openToFinish();
    } catch (error) {
      if (!(error instanceof BerthError)) throw error; // not even a runtime: its processes are killed all the same
    }
  }

  #launchFailed(error: BerthError): StepResult {
    const errno = error.code === "BUNDLE_MISSING" ? 2 : 1;
    this.#sayInBatchOutput(error);
    return this.#conclude({ code: errno, signal: 0 }, { message: error.message, errno, hint: error.hint ?? null });
  }

  /** A batch job has nobody to tell but its output file. */
  #sayInBatchOutput(error: BerthError): void {
    if (!this.plan.isBatch) return;
    const task = new Task({ ...this.#host(), container: () => null, plan: { ...this.plan, commands: [] } }, placeOf(this.plan, 0));
    task.sayWithoutRunning([
      `slurmstepd: error: ${error.message}`,
      ...(error.hint === undefined ? [] : [`slurmstepd: error: ${error.hint}`]),
    ]);
  }

  /** Runs every task to its end. `onStarted`: all of them have their streams. */
  async start(onStarted: () => void): Promise<StepResult> {
    if (this.#terminated !== null && !this.isTakeOver) return this.#conclude({ code: 0, signal: SIGTERM }, null);
    this.#isStarted = true;
    const host = this.#host();
    for (let rank = 0; rank < this.plan.facts.tasks; rank++) this.#tasks.push(new Task(host, placeOf(this.plan, rank)));
    this.#takeOver();
    this.#running = this.#tasks.length;
    this.#peaks.watch(() =>
      this.#tasks.flatMap((task) => (task.status === undefined && task.pid !== null ? [[task, task.pid] as const] : [])),
    );
    const ends = this.#tasks.map((task) => this.#follow(task));
    await Promise.all(this.#tasks.map((task) => task.opened));
    onStarted();
    await Promise.all(ends);
    clearTimeout(this.#killTimer);
    this.#peaks.stop();
    let exit: ExitPair = EXIT_ZERO;
    for (const task of this.#tasks) if (task.status !== undefined) exit = worseExit(exit, exitPair(task.status));
    return this.#conclude(exit, null);
  }

  /** Tasks of the daemon before us go on where they are; the ones it had not started yet start now. */
  #takeOver(): void {
    const adopted: ProcessIdentity[] = [];
    for (const entry of this.#past) if (entry.kind === "script" && isAlive(entry.process)) killTree(entry.process.pid);
    for (const entry of this.#past) {
      if (entry.kind === "started") {
        this.#tasks[entry.task]?.adopt(adoptProcess(entry.process, this.#spoolDir));
        const { node, localId } = placeOf(this.plan, entry.task);
        this.#containers.of(node.name)?.adoptTask(localId);
        if (isAlive(entry.process)) adopted.push(entry.process);
      } else if (entry.kind === "created") {
        this.#tasks[entry.task]?.adoptContainer(entry.process);
        if (entry.process !== null && isAlive(entry.process)) adopted.push(entry.process);
      } else if (entry.kind === "exited") this.#tasks[entry.task]?.adoptEnded(entry.status);
      else if (entry.kind === "terminating") this.#terminated = entry.reason;
    }
    for (const task of this.#tasks) {
      const wasLaunched = this.#past.some((entry) => entry.kind === "launching" && entry.task === task.place.rank);
      if (task.isAdopted || !wasLaunched) continue;
      // Also when its process has ended: there may be a record of its container.
      this.#containers.of(task.place.node.name)?.adoptTask(task.place.localId);
      const process = findUnwritten(task.place, this.#spoolDir);
      if (process === undefined) continue;
      this.#journal.append({ kind: "started", task: task.place.rank, process });
      task.adopt(adoptProcess(process, this.#spoolDir));
      adopted.push(process);
    }
    this.#adopted = adopted;
    if (this.#terminated === null) return;
    for (const task of this.#tasks) if (!task.isAdopted) task.adoptEnded({ kind: "signaled", signal: SIGTERM, coreDumped: false });
    this.#stopTasks(); // the daemon before us may have died before it could, or we were told early
  }

  /** Where the tasks are, for an srun that attaches again. */
  *replay(): Generator<FromDaemon> {
    for (const { place, status, process } of this.#tasks) {
      if (process !== undefined) yield { event: "started", task: place.rank, node: place.node.name };
      if (status !== undefined) yield { event: "exited", task: place.rank, node: place.node.name, status };
    }
  }

  #host(): TaskHost {
    return {
      plan: this.plan,
      container: (node) => this.#containers.of(node) ?? null,
      mpi: this.#mpi,
      streams: new StreamOpener({ spoolDir: this.#spoolDir, workDir: this.plan.workDir, umask: this.plan.facts.umask }),
      expand: (pattern, rank) => expandForTask(this.plan, pattern, rank),
      output: (rank, stream, bytes) => this.#listener.output(rank, stream, bytes),
      launching: (rank) => this.#journal.append({ kind: "launching", task: rank }),
      started: (rank, pid) => {
        this.#journal.append({ kind: "started", task: rank, process: identify(pid) ?? { pid, startTicks: 0 } });
        this.#listener.event({ event: "started", task: rank, node: placeOf(this.plan, rank).node.name });
      },
      scriptStarted: (pid) => this.#journal.append({ kind: "script", process: identify(pid) ?? { pid, startTicks: 0 } }),
      created: (rank, process) => this.#journal.append({ kind: "created", task: rank, process }),
      expectOrphan: (identity) => this.#reaper.expect(identity),
      spoolDir: this.#spoolDir,
      killed: this.#killed.signal,
      ending: this.#abort.signal,
    };
  }

  async #follow(task: Task): Promise<void> {
    const { rank } = task.place;
    const status = await task.run();
    await this.#mpi?.taskEnded?.(rank);
    await this.#finishContainer(task);
    this.#running--;
    if (this.#running === 0) {
      // The step is over: what its tasks left behind goes too, and with it the last writers of its streams.
      await killAll(this.#reaper, this.#adopted);
      await task.stdio.drained;
    } else {
      await Promise.race([task.stdio.drained, Bun.sleep(OUTPUT_LAG_MS)]);
    }
    this.#journal.append({ kind: "exited", task: rank, status, usage: this.#usageOf(task) });
    this.#listener.event({ event: "exited", task: rank, node: task.place.node.name, status });
  }

  /** What is left of the task's container goes; when that fails its user hears of it. */
  async #finishContainer(task: Task): Promise<void> {
    try {
      await this.#containers.of(task.place.node.name)?.finishTask(task.place.localId, { pid: task.pid, hasEnded: task.isContainerEnded });
    } catch (error) {
      if (!(error instanceof BerthError)) throw error;
      task.say(`slurmstepd: error: ${error.message}`);
    }
  }

  #conclude(exit: ExitPair, launchFailure: StepResult["launchFailure"]): StepResult {
    const result: StepResult = {
      exit,
      launchFailure,
      usage: usageOfStep(this.#tasks.map((task) => ({ place: task.place, usage: this.#usageOf(task), sampled: this.#peaks.useOf(task) }))),
      endedAt: nowMs(),
      terminated: this.#terminated,
      outOfMemory: false,
      annotations: this.#containers.annotations,
    };
    this.#journal.append({ kind: "ended", result });
    return result;
  }

  #usageOf(task: Task): TaskUsage | null {
    const usage = task.process?.usage() ?? null;
    return usage === null ? null : { ...usage, maxRssKib: usage.maxRssKib ?? this.#peaks.of(task) };
  }

  /** Removes what the step's containers left in the spool; after `start` or a failed `open`. */
  async cleanUp(): Promise<void> {
    await this.#containers.cleanUp();
    await this.#mpi?.[Symbol.asyncDispose]();
    this.#mpi = null;
  }

  async writeInput(rank: number, bytes: Uint8Array): Promise<void> {
    await Promise.all(this.#tasks.filter((task) => rank < 0 || task.place.rank === rank).map((task) => task.stdio.writeInput(bytes)));
  }

  /** Of one task; null: of all. */
  async endInput(rank: number | null): Promise<void> {
    await Promise.all(this.#tasks.filter((task) => rank === null || task.place.rank === rank).map((task) => task.stdio.endInput()));
  }

  resize(size: { readonly rows: number; readonly columns: number }): void {
    this.#tasks[0]?.stdio.resize(size);
  }

  /** `batch`: the script's shell alone; `full` and `steps`: every process (commands.md §5.1). */
  signal(signal: number, scope: "batch" | "full" | "steps"): void {
    if (scope === "batch") {
      for (const { process, status } of this.#tasks) if (process?.pid != null && status === undefined) sendSignal(process.pid, signal);
      return;
    }
    for (const pid of livingBelow(this.#adopted)) sendSignal(pid, signal);
  }

  say(line: string): void {
    this.#tasks[0]?.say(line);
  }

  /** Gentle: CONT and TERM now, KILL after KillWait (lifecycle §5.2). Hard: KILL now. */
  terminate(reason: TerminateReason, hard: boolean): void {
    if (this.#terminated === null) {
      this.#terminated = reason;
      this.#journal.append({ kind: "terminating", reason });
      this.#listener.event({ event: "aborting", reason });
      const notice = cancelNotice(this.plan, reason);
      if (notice !== undefined) this.say(notice);
    }
    this.#abort.abort();
    this.#isHard ||= hard;
    if (this.#isStarted) this.#stopTasks();
  }

  #stopTasks(): void {
    if (this.#isHard) {
      void this.#kill();
      return;
    }
    this.signal(SIGCONT, "full");
    this.signal(SIGTERM, "full");
    for (const task of this.#tasks)
      if (task.isForeign) void this.#containers.of(task.place.node.name)?.killTask(task.place.localId, { pid: task.pid });
    this.#killTimer ??= setTimeout(() => void this.#kill(), this.plan.killWaitSeconds * 1000);
  }

  async #kill(): Promise<void> {
    if (this.#isKilling) return;
    this.#isKilling = true;
    for (const { place, pid } of this.#tasks) await this.#containers.of(place.node.name)?.killTask(place.localId, { pid });
    this.signal(SIGKILL, "full");
    await killAll(this.#reaper, this.#adopted);
    this.#killed.abort();
  }

  close(): void {
    this.#journal[Symbol.dispose]();
    this.#reaper[Symbol.dispose]();
  }
}

/** What the user reads where the step's messages go; nothing when the step ends by itself, or nobody is there to read. */
function cancelNotice({ facts, isBatch }: StepPlan, reason: TerminateReason): string | undefined {
  if (reason === "clientLost" || reason === "jobEnded") return undefined;
  const what = isBatch ? `JOB ${facts.jobId}` : `STEP ${facts.jobId}.${facts.stepKey}`;
  const time = localTime(new Date());
  const why =
    reason === "timeLimit" ? " DUE TO TIME LIMIT" : reason === "nodeFailure" ? " DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS" : "";
  return `slurmstepd: error: *** ${what} ON ${facts.nodes[0]?.name ?? ""} CANCELLED AT ${time}${why} ***`;
}
