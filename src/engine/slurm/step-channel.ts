/** A step of the site's Slurm as a StepChannel: its srun, whose words become events (srun-words.ts). */
import { EXIT_ZERO, exitPair, worseExit, type ExitPair, type ExitStatus } from "#job/outcome.ts";
import type { StepRecord } from "#job/record.ts";
import { linesOf, type PipedProcess } from "#platform/piped-process.ts";
import type { StepChannel, StepEvent } from "../engine.ts";
import { StepEvents } from "../step-events.ts";
import { siteError } from "./errors.ts";
import type { ErrorPipe } from "./error-pipe.ts";
import { parseLaunchFailure } from "./task/launch-failure.ts";
import { parseLabelled, parseSrunLine, type SrunWord } from "./srun-words.ts";

export interface StepControl {
  /** scancel's options for one signal to the step. */
  signal(stepId: string, signal: number): Promise<void>;
  readonly killWaitMs: number;
}

interface Layout {
  readonly stepId: string;
  readonly nodes: Map<string, readonly number[]>;
}

const SIGTERM = 15;
const SIGKILL = 9;

export class SlurmStepChannel implements StepChannel {
  readonly #srun: PipedProcess;
  readonly #control: StepControl;
  readonly #events = new StepEvents();
  #isAborted = false;
  #hasLostNode = false;
  #layout: Layout | undefined;
  #isCreated = false;
  readonly #created = Promise.withResolvers<void>();
  #hasWaited = false;
  #failure = "";
  #status: ExitStatus | undefined;
  readonly #ended = new Map<number, ExitStatus>();
  readonly #describe: (stepId: string, nodes: ReadonlyMap<string, readonly number[]>) => StepRecord;
  readonly #onWaiting: (text: string) => void;
  readonly #errors: ErrorPipe | undefined;
  readonly #token: string;

  /** Resolves when the step exists. @throws BerthError when it cannot be made */
  static async open(
    srun: PipedProcess,
    options: {
      readonly control: StepControl;
      readonly describe: (stepId: string, nodes: ReadonlyMap<string, readonly number[]>) => StepRecord;
      readonly onWaiting: (text: string) => void;
      readonly signal: AbortSignal;
      /** The standard error of the only task; undefined when srun labels the lines of several. */
      readonly errors: ErrorPipe | undefined;
      readonly token: string;
    },
  ): Promise<SlurmStepChannel> {
    const channel = new SlurmStepChannel(srun, options);
    const onAbort = () => {
      srun.kill(SIGTERM);
      channel.#created.reject(options.signal.reason);
    };
    options.signal.addEventListener("abort", onAbort, { once: true });
    try {
      await channel.#created.promise;
      return channel;
    } finally {
      options.signal.removeEventListener("abort", onAbort);
    }
  }

  private constructor(
    srun: PipedProcess,
    options: {
      readonly control: StepControl;
      readonly describe: (stepId: string, nodes: ReadonlyMap<string, readonly number[]>) => StepRecord;
      readonly onWaiting: (text: string) => void;
      readonly errors: ErrorPipe | undefined;
      readonly token: string;
    },
  ) {
    this.#srun = srun;
    this.#errors = options.errors;
    this.#token = options.token;
    this.#control = options.control;
    this.#describe = options.describe;
    this.#onWaiting = options.onWaiting;
    this.#follow().catch((error: unknown) => {
      this.#created.reject(error);
      this.#events.push({ kind: "lost" });
    });
  }

  async #follow(): Promise<void> {
    const errors = this.#errors?.read((bytes) => this.#taskError(0, Buffer.from(bytes)));
    await Promise.all([this.#readOutput(), this.#readWords()]);
    const status = await this.#srun.exited;
    this.#errors?.[Symbol.dispose]();
    await errors;
    if (!this.#isCreated) {
      this.#created.reject(siteError("srun", this.#failure));
      return;
    }
    // What srun has not told has ended with it.
    for (const [node, ranks] of this.#layout?.nodes ?? []) {
      for (const task of ranks) if (!this.#ended.has(task)) this.#taskEnded(node, task, { kind: "unknown" });
    }
    let exit: ExitPair = EXIT_ZERO;
    for (const ended of this.#ended.values()) if (ended.kind !== "unknown") exit = worseExit(exit, exitPair(ended));
    const hasReport = [...this.#ended.values()].some((ended) => ended.kind !== "unknown");
    // A job that ends takes its steps with it, by SIGTERM, sometimes before a task has reported.
    if (this.#hasLostNode && exit.code === 0 && exit.signal === 0) exit = { code: 1, signal: 0 };
    else if (!hasReport && this.#isAborted) exit = { code: 0, signal: SIGTERM };
    else if (exit.code === 0 && exit.signal === 0 && status.kind === "exited" && status.code > 0) exit = { code: status.code, signal: 0 };
    this.#events.push({ kind: "ended", exit });
  }

  async #readOutput(): Promise<void> {
    if (this.#errors !== undefined) {
      for await (const bytes of this.#srun.stdout) this.#events.push({ kind: "output", task: 0, stream: "stdout", bytes });
      return;
    }
    for await (const line of linesOf(this.#srun.stdout)) {
      const labelled = parseLabelled(line);
      if (labelled !== undefined) this.#events.push({ kind: "output", task: labelled.task, stream: "stdout", bytes: labelled.bytes });
    }
  }

  async #readWords(): Promise<void> {
    for await (const line of linesOf(this.#srun.stderr)) this.#take(parseSrunLine(line));
  }

  #take(word: SrunWord): void {
    if (word.kind === "launching") {
      this.#layout ??= { stepId: `${word.jobId}.${word.step}`, nodes: new Map() };
      this.#layout.nodes.set(word.node, word.ranks);
      return;
    }
    if (this.#layout !== undefined && !this.#isCreated) this.#announce(this.#layout);
    switch (word.kind) {
      case "output":
        this.#taskError(word.task, Buffer.from(word.bytes));
        break;
      case "started":
        for (const task of this.#layout?.nodes.get(word.node) ?? []) this.#events.push({ kind: "started", task, node: word.node });
        break;
      case "status":
        this.#status = word.status;
        break;
      case "ended":
        for (const task of word.ranks) this.#taskEnded(word.node, task, this.#status ?? { kind: "unknown" });
        break;
      case "waiting":
        this.#hasWaited = true;
        this.#onWaiting(word.text);
        break;
      case "failed":
        this.#failure += `${word.text}\n`;
        if (this.#isCreated) this.#events.push({ kind: "message", text: word.text.replace(/^srun: /, "") });
        break;
      case "message":
        if (/Force Terminated|Job step aborted|CANCELLED/.test(word.text)) this.#isAborted = true;
        if (/^error: Node failure on /.test(word.text)) {
          this.#hasLostNode = true;
          this.#events.push({ kind: "aborting", reason: "nodeFailure" });
        }
        if (this.#isCreated) this.#events.push({ kind: "message", text: word.text });
        else this.#failure += `${word.text}\n`;
        break;
      case "noise":
        break;
    }
  }

  #taskError(task: number, bytes: Buffer): void {
    const failure = bytes.includes(this.#token) ? parseLaunchFailure(this.#token, bytes.toString("utf8").trimEnd()) : undefined;
    if (failure !== undefined) this.#events.push({ kind: "launchFailed", ...failure });
    else this.#events.push({ kind: "output", task, stream: "stderr", bytes });
  }

  #announce(layout: Layout): void {
    this.#isCreated = true;
    this.#events.push({ kind: "created", step: this.#describe(layout.stepId, layout.nodes), waited: this.#hasWaited });
    this.#created.resolve();
  }

  #taskEnded(node: string, task: number, status: ExitStatus): void {
    if (this.#ended.has(task)) return;
    this.#ended.set(task, status);
    this.#events.push({ kind: "exited", task, node, status });
  }

  [Symbol.asyncIterator](): AsyncIterator<StepEvent> {
    return this.#events[Symbol.asyncIterator]();
  }

  /** srun sends its input to all tasks; one alone cannot be reached once it runs. */
  writeInput(bytes: Uint8Array, _task: number | null): boolean {
    return this.#srun.write(bytes);
  }

  drained(): Promise<void> {
    return this.#srun.drained();
  }

  closeInput(): void {
    this.#srun.endInput();
  }

  sendSignal(signal: number): void {
    void this.#signal(signal);
  }

  terminate({ hard }: { readonly hard: boolean }): void {
    if (hard) void this.#signal(SIGKILL);
    else
      void this.#signal(SIGTERM)
        .then(() => Bun.sleep(this.#control.killWaitMs))
        .then(() => (this.#events.isOver ? undefined : this.#signal(SIGKILL)));
  }

  async #signal(signal: number): Promise<void> {
    const stepId = this.#layout?.stepId;
    if (stepId !== undefined && !this.#events.isOver) await this.#control.signal(stepId, signal).catch(() => undefined); // it may have ended meanwhile
  }

  resize(): void {
    // A terminal is never on this channel: srun --pty has the user's own.
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#events.isOver) {
      this.#srun.kill(SIGTERM); // srun ends its step
      await Promise.race([this.#srun.exited, Bun.sleep(this.#control.killWaitMs)]);
    }
    this.#events.close();
  }
}
