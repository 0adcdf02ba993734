/**
 * One step in the foreground: its streams, its terminal, signals to srun, and what srun says meanwhile
 * (commands.md §2.2, §2.7, §2.9). Used by srun, and by salloc for its interactive step.
 */
import type { StepChannel, StepEvent } from "#engine/engine.ts";
import type { ExitPair } from "#job/outcome.ts";
import type { StepRecord } from "#job/record.ts";
import type { StepOptions } from "#job/request.ts";
import { foldRanks } from "#options/ranks.ts";
import { SessionStreams } from "./session-streams.ts";
import { InputForwarder } from "./step-input.ts";
import { TaskExits } from "./task-exits.ts";
import { StepOutput } from "./step-output.ts";
import { complain } from "./terminal.ts";

export interface SessionOptions {
  readonly step: StepOptions;
  readonly cwd: string;
  readonly jobName: string;
  readonly killWaitSeconds: number;
  readonly isQuiet: boolean;
  readonly hasTerminal: boolean;
  /** Called when the last output has come, before anything is said about how it ended. */
  readonly restoreTerminal: (() => void) | undefined;
}

export interface SessionResult {
  readonly exitCode: number;
  readonly worst: ExitPair;
  /** False when the step's daemon was lost before it could say how the step ended. */
  readonly hasEnded: boolean;
}

/** A second Ctrl-C within this time ends the step. */
const INTERRUPT_MS = 1000;

export async function runSession(channel: StepChannel, options: SessionOptions): Promise<SessionResult> {
  return await new StepSession(channel, options).run();
}

class StepSession {
  readonly #channel: StepChannel;
  readonly #options: SessionOptions;
  readonly #exits = new TaskExits();
  readonly #running = new Map<number, boolean>();
  #step: StepRecord | undefined;
  #output: StepOutput | undefined;
  #input: InputForwarder | undefined;
  #lastInterrupt = -Infinity;
  #isAborting = false;
  #isGivenUp = false;
  #waitTimer: ReturnType<typeof setTimeout> | undefined;
  #launchExit: number | undefined;
  #hasEnded = false;

  constructor(channel: StepChannel, options: SessionOptions) {
    this.#channel = channel;
    this.#options = options;
  }

  get #stepId(): string {
    return this.#step === undefined ? "" : `${this.#step.jobId}.${this.#step.stepKey}`;
  }

  async run(): Promise<SessionResult> {
    const unhook = this.#hookSignals();
    try {
      for await (const event of this.#channel) this.#take(event);
    } finally {
      unhook();
      clearTimeout(this.#waitTimer);
      this.#input?.stop();
      this.#options.restoreTerminal?.();
      this.#exits.flush();
      this.#exits[Symbol.dispose]();
      this.#output?.[Symbol.dispose]();
    }
    if (this.#exits.wasKilled && !this.#isAborting) this.#info(`srun: Force Terminated StepId=${this.#stepId}`);
    const hasEnded = this.#hasEnded;
    if (this.#launchExit !== undefined) return { exitCode: this.#launchExit, worst: { code: this.#launchExit, signal: 0 }, hasEnded };
    return { exitCode: this.#exits.exitCode, worst: this.#exits.worst, hasEnded };
  }

  #info(line: string): void {
    if (!this.#options.isQuiet) complain(line);
  }

  #take(event: StepEvent): void {
    switch (event.kind) {
      case "created":
        this.#created(event.step, event.waited);
        break;
      case "started":
        this.#running.set(event.task, true);
        break;
      case "output":
        this.#output?.write(event.task, event.stream, event.bytes);
        break;
      case "exited":
        this.#exited(event);
        break;
      case "launchFailed":
        this.#launchFailed(event);
        break;
      case "aborting":
        this.#aborting(event.reason);
        break;
      case "message":
        complain(`srun: ${event.text}`);
        break;
      case "lost":
        complain(`srun: error: Lost the step daemon of StepId=${this.#stepId}: it was killed`);
        this.#launchExit = 1;
        break;
      case "ended":
        this.#hasEnded = true;
        break;
    }
  }

  #created(step: StepRecord, waited: boolean): void {
    this.#step = step;
    if (waited) this.#info(`srun: Step created for job ${step.jobId}`);
    const { step: options, cwd, jobName, hasTerminal } = this.#options;
    const streams = new SessionStreams(step, { options, cwd, jobName });
    this.#output = new StepOutput({
      ...streams.outputs(),
      isLabelled: options.label,
      isUnbuffered: options.unbuffered || hasTerminal,
      tasks: step.tasks,
    });
    this.#input = InputForwarder.start(this.#channel, streams.input());
  }

  #exited(event: Extract<StepEvent, { kind: "exited" }>): void {
    if (this.#running.get(event.task) === false) return; // told again after a take-over
    this.#running.set(event.task, false);
    this.#output?.flush(event.task);
    if (event.task === 0) this.#options.restoreTerminal?.();
    const isFirst = this.#exits.count === 0;
    this.#exits.add(event.node, event.task, event.status);
    const { killOnBadExit, waitSeconds } = this.#options.step;
    const isOver = this.#exits.count === (this.#step?.tasks ?? 1);
    if (isOver || this.#isAborting) return;
    if (killOnBadExit === true && this.#exits.exitCode !== 0 && !this.#isGivenUp) {
      this.#isGivenUp = true;
      this.#exits.flush();
      this.#info(`srun: launch/slurm: _step_signal: Terminating StepId=${this.#stepId}`);
      this.#channel.terminate({ hard: false });
    } else if (isFirst && waitSeconds !== null && waitSeconds > 0) {
      this.#waitTimer = setTimeout(() => this.#waitedEnough(waitSeconds), waitSeconds * 1000);
    }
  }

  #waitedEnough(seconds: number): void {
    complain(`srun: First task exited ${seconds}s ago`);
    this.#reportTasks();
    this.#info(`srun: launch/slurm: _step_signal: Terminating StepId=${this.#stepId}`);
    this.#channel.terminate({ hard: true });
  }

  #launchFailed(event: Extract<StepEvent, { kind: "launchFailed" }>): void {
    const isRefused = event.errno > 255; // a number of Slurm's own, with its own words
    const words = isRefused ? event.message : event.errno === 2 ? "No such file or directory" : "Unspecified error";
    complain(
      `srun: error: Task launch for StepId=${this.#stepId} failed on node ${event.node}: ${event.message}`,
      ...(event.hint === null ? [] : [`srun: ${event.hint}`]),
      `srun: error: Application launch failed: ${words}`,
      "srun: Job step aborted",
    );
    // 22.05's number for a missing bundle, and its number for everything else (commands.md §14.3).
    this.#launchExit = isRefused ? event.errno & 255 : event.errno === 2 ? 130 : 255;
  }

  #aborting(reason: string): void {
    if (reason === "badExit" || this.#isAborting) return;
    this.#isAborting = true;
    this.#info(`srun: Job step aborted: Waiting up to ${this.#options.killWaitSeconds + 2} seconds for job step to finish.`);
  }

  // --- Signals to srun ------------------------------------------------------------------------------------------

  #hookSignals(): () => void {
    const hooks: Partial<Record<NodeJS.Signals, () => void>> = {
      SIGINT: () => this.#interrupt(),
      SIGTERM: () => this.#giveUp(),
      SIGHUP: () => this.#giveUp(),
      SIGQUIT: () => {
        complain("srun: Quit");
        this.#giveUp();
      },
      SIGUSR1: () => this.#channel.sendSignal(10),
      SIGUSR2: () => this.#channel.sendSignal(12),
      SIGCONT: () => this.#info("srun: got SIGCONT"),
      SIGPIPE: () => undefined,
    };
    if (this.#options.hasTerminal)
      hooks.SIGWINCH = () => this.#channel.resize({ rows: process.stdout.rows, columns: process.stdout.columns });
    for (const [name, hook] of Object.entries(hooks)) process.on(name, hook);
    return () => {
      for (const [name, hook] of Object.entries(hooks)) process.off(name, hook);
    };
  }

  #interrupt(): void {
    const { disableStatus, quitOnInterrupt } = this.#options.step;
    if (disableStatus) {
      this.#channel.sendSignal(2);
      return;
    }
    const now = performance.now();
    const isSecond = now - this.#lastInterrupt < INTERRUPT_MS;
    this.#lastInterrupt = now;
    if (!isSecond && !quitOnInterrupt) {
      complain("srun: interrupt (one more within 1 sec to abort)");
      this.#reportTasks();
      return;
    }
    complain(`srun: sending Ctrl-C to StepId=${this.#stepId}`);
    this.#exits.silence();
    this.#channel.sendSignal(2);
    this.#giveUp({ afterMs: 100 });
  }

  /** Ends the step. Tasks that were just sent a Ctrl-C get a moment to end by it. */
  #giveUp(options: { readonly afterMs: number } = { afterMs: 0 }): void {
    complain("srun: forcing job termination");
    this.#aborting("cancelled");
    if (options.afterMs === 0) this.#channel.terminate({ hard: true });
    else setTimeout(() => this.#channel.terminate({ hard: true }), options.afterMs);
  }

  #reportTasks(): void {
    for (const isRunning of [true, false]) {
      const tasks = [...this.#running]
        .filter(([, running]) => running === isRunning)
        .map(([task]) => task)
        .sort((a, b) => a - b);
      if (tasks.length === 0) continue;
      const noun = tasks.length === 1 ? "task" : "tasks";
      complain(`srun: StepId=${this.#stepId} ${noun} ${foldRanks(tasks)}: ${isRunning ? "running" : "exited"}`);
    }
  }
}
