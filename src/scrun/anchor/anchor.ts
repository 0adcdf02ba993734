/**
 * The anchor: the process that stands behind a container. It is there from `create` to the container's end, holds the job, and ends with the container's
 * exit status, which it tells who stands for it before the engine (stand-in.ts).
 *
 *   plan ─► ask for the job ─┬─ granted ─► step ─► runtime create ─► CREATED ─► start ─► RUNNING ─► ended ─► exit status
 *                            └─ queued: CREATED for the engine; the rest follows `start`, when the job is granted
 *
 * Here is that life; what others say to it is in conversation.ts, what the real runtime does in runtime-container.ts. The container has
 * the anchor's own stdio, handed on; a terminal goes from the runtime to the engine without us. When the anchor is killed, the controller
 * kills the container and ends the job; when the controller is killed, the anchor goes on, and the next one takes up the step (engine/own-step.ts).
 */
import type { AbortReason, Engine } from "#engine/engine.ts";
import type { OwnStep, OwnStepOrder } from "#engine/own-step.ts";
import { BerthError } from "#job/errors.ts";
import { localTime } from "#job/local-time.ts";
import { shellCode, type ExitStatus } from "#job/outcome.ts";
import { killAll, OrphanReaper } from "#platform/orphans.ts";
import type { SignalWatch } from "#platform/signal-watch.ts";
import { leaveControllerToOthers } from "#platform/controller-duty.ts";
import { AnchorStaging } from "../staging/anchor-staging.ts";
import type { AnchorPlan, JobPlan } from "../anchor-wire.ts";
import { AnchorJob } from "./anchor-job.ts";
import { stageInWhileTold } from "./ask-for-job.ts";
import { preservedFds } from "../command-line.ts";
import type { BundleConfig } from "../config.ts";
import { becomeAnchor, type Surroundings } from "./become-anchor.ts";
import { Conversation, type PauseNews, type Subject } from "./conversation.ts";
import { grantedOf } from "./granted-limits.ts";
import { followOthers } from "./follow-others.ts";
import { CANCELLED, NOT_RUN, statusAfter, statusOfRuntimeFailure } from "./failures.ts";
import { completePlan, planAtOnce, type CreateOrder, type Planned } from "./make-plan.ts";
import { sweepOrphans } from "../orphans.ts";
import type { ContainerPlace, ContainerState } from "../place.ts";
import { RuntimeContainer } from "./runtime-container.ts";
import { markOver } from "../launcher/quick-start.ts";
import { bringIn } from "../stand-in/early.ts";
import { makeEnd, tellEnd, tellStandIn } from "../stand-in/stand-in.ts";
import { printOnTerminalOf } from "./terminal.ts";

const SIGTERM = 15;
const SIGKILL = 9;
const SIGCONT = 18;
const SIGSTOP = 19;
/** When the start is over: an anchor may live for weeks. */
const SHRINK_MS = 500;

export interface AnchorOptions {
  readonly engine: Engine;
  /** Who waits for the answer. */
  readonly creatorPid: number;
  readonly order: CreateOrder;
}

export async function runAnchor(place: ContainerPlace, options: AnchorOptions): Promise<number> {
  const surroundings = becomeAnchor();
  const anchor = new Anchor(place, { ...options, surroundings });
  const code = shellCode(await anchor.run());
  await anchor.sayEnd(code);
  return code;
}

class Anchor implements Subject {
  readonly #engine: Engine;
  readonly #reaper = new OrphanReaper();
  readonly #staging: AnchorStaging;
  readonly #container: RuntimeContainer;
  readonly #talk: Conversation;
  readonly #job: AnchorJob;
  #plan: AnchorPlan | undefined;
  #isStarted = false;
  #killTimer: ReturnType<typeof setTimeout> | undefined;
  #ending: AbortReason | undefined;
  #notRun: ExitStatus = NOT_RUN;
  #startFailure: ExitStatus | undefined;
  /** Of a FIFO, to who stands for us; undefined when nobody does. */
  #endFd: number | undefined;
  readonly #place: ContainerPlace;
  readonly #order: CreateOrder;
  /** Made as soon as we are, before anybody can be told what is wrong with it. */
  readonly #planned: () => Planned;

  constructor(place: ContainerPlace, options: AnchorOptions & { readonly surroundings: Surroundings }) {
    this.#place = place;
    this.#engine = options.engine;
    this.#staging = new AnchorStaging(place, this.#reaper);
    this.#container = new RuntimeContainer(place, { reaper: this.#reaper, preserved: preservedFds(options.order.given) });
    this.#talk = new Conversation(place, { creatorPid: options.creatorPid, subject: this });
    this.#job = new AnchorJob({ engine: options.engine, talk: this.#talk });
    this.#order = options.order;
    this.#planned = planAtOnce(options.order, { ...options, place });
  }

  async run(): Promise<ExitStatus> {
    // What we start is below us, where everything is the container's, and ends with it.
    leaveControllerToOthers();
    using talk = this.#talk;
    const warming = this.#engine.info({ signal: talk.withdrawn }).catch(() => undefined);
    await talk.taken();
    let config: BundleConfig | undefined;
    try {
      const planned = this.#planned();
      const { plan } = planned;
      ({ config } = planned);
      talk.plan = plan;
      if (plan.standIn !== null) this.#endFd = makeEnd(this.#place);
      await warming;
      return await this.#live(plan, config);
    } catch (error) {
      // First: create, when it has heard, waits for us only so long.
      await this.#staging.stageOut();
      await talk.fail(error, config?.config);
      this.#container.kill(SIGKILL);
      talk.status = "stopped";
      this.#notRun = statusAfter(error);
      return talk.withdrawn.aborted ? CANCELLED : this.#notRun;
    } finally {
      await this.#job.release(this.#notRun);
      await this.#staging.close();
    }
  }

  async #live(wanted: JobPlan, config: BundleConfig): Promise<ExitStatus> {
    const talk = this.#talk;
    const container = this.#container;
    await this.#staging.open(wanted, { signal: talk.withdrawn });
    const queued = Promise.withResolvers<"queued">();
    const granted = this.#job.ask(wanted, () => queued.resolve("queued"));
    const plan = await this.#prepare(wanted, granted);
    container.use(config);
    if ((await Promise.race([granted, queued.promise])) === "queued") {
      // What has to be there when create ends cannot wait for its job. Staging has to: so create waits.
      const isMadeFirst = hasToBeMade(plan) && plan.staging === null;
      const watch = isMadeFirst ? await this.#makeQueued(plan) : undefined;
      if (isMadeFirst || !hasToBeMade(plan)) talk.created();
      await granted.finally(() => watch?.stop());
    }
    const step = await this.#job.openStep(plan, (order) => this.#obey(order));
    if (!this.isMade) {
      const staged = await this.#stageIn(plan, step);
      await followOthers(plan.follows, { root: this.#place.root, talk });
      await this.#makeContainer(staged, step.environment);
      if (talk.hasEarlyStandIn && this.#endFd !== undefined && container.init !== undefined) bringIn(this.#endFd, container.init.pid);
    }
    await step.ready;
    if (container.init !== undefined) step.started(container.init);
    if (talk.withdrawn.aborted) container.kill(SIGKILL); // while it was being made
    if (talk.status === "creating") talk.created();
    const exited = container.waitForEnd();
    // A container may be killed before it is started.
    if ((await Promise.race([talk.startWanted, exited])) === undefined) await this.#start();
    return await this.#conclude(await exited);
  }

  /** While the controller thinks. When that fails, the job is not wanted any more. */
  async #prepare(wanted: JobPlan, granted: Promise<void>): Promise<AnchorPlan> {
    granted.catch(() => undefined); // it is awaited afterwards
    this.#talk.prepareStart();
    try {
      this.#plan = await completePlan(wanted, this.#order);
      return this.#plan;
    } catch (error) {
      this.#talk.withdraw(error instanceof BerthError ? error : new BerthError("CREATE_FAILED", String(error)));
      await granted.catch(() => undefined);
      throw error;
    }
  }

  /** Ctrl-C at its terminal reaches nobody but its first process, which is still the runtime's: runc's ends by it, crun's is spared. */
  async #makeQueued(plan: AnchorPlan): Promise<SignalWatch | undefined> {
    const talk = this.#talk;
    const container = this.#container;
    await this.#makeContainer(plan, queuedEnvironment(plan, talk.jobId));
    void container.waitForEnd().then(() => {
      if (talk.waitsFor !== undefined) talk.cancel();
    });
    if (container.init === undefined) return undefined;
    const { SignalWatch } = await import("#platform/signal-watch.ts");
    return SignalWatch.start(container.init.pid, (signal) => talk.signalled(signal));
  }

  /** Where the container has to be there when create ends, that has to wait for the whole of it. */
  async #stageIn(plan: AnchorPlan, step: OwnStep): Promise<AnchorPlan> {
    const talk = this.#talk;
    const onLong = () => (hasToBeMade(plan) ? undefined : talk.created());
    return await stageInWhileTold(plan, step, { staging: this.#staging, talk, onLong });
  }

  // --- The container ------------------------------------------------------------------------------------------------

  async #makeContainer(plan: AnchorPlan, environment: Readonly<Record<string, string>>): Promise<void> {
    const adapt = this.#staging.adaptMappings.bind(this.#staging);
    const { step } = this.#job;
    const granted = grantedOf(plan.request, step);
    await this.#container.make(plan, { environment, gres: step?.gres ?? {}, granted, network: this.#talk.network, adapt });
  }

  async #start(): Promise<void> {
    const failure = await this.#container.start();
    if (failure === undefined) {
      this.#isStarted = true;
      setTimeout(() => Bun.gc(true), SHRINK_MS).unref();
      this.#talk.started();
    } else {
      this.#startFailure = statusOfRuntimeFailure(failure);
      this.#talk.notStarted(failure);
      this.#container.kill(SIGKILL);
    }
  }

  async #conclude(waited: ExitStatus): Promise<ExitStatus> {
    const status = this.#startFailure ?? waited;
    clearTimeout(this.#killTimer);
    this.#talk.ended();
    await killAll(this.#reaper, [], this.#staging.helpers);
    const usage = this.#container.usage();
    const isBack = await this.#staging.stageOut();
    // Its results are lost: whoever looks at the job, or depends on it, has to know.
    await this.#job.end({ status: isBack || shellCode(status) !== 0 ? status : NOT_RUN, ...usage });
    return status;
  }

  /** The last thing of all: who stands for us hears of the end, and what the real runtime has of the container is put away. */
  async sayEnd(code: number): Promise<void> {
    if (this.#place.isLost) {
      if (this.#endFd !== undefined) tellEnd(this.#endFd, code);
      return;
    }
    if (this.#endFd !== undefined && !(await tellStandIn(this.#place, this.#endFd, code))) return;
    this.#container.tidy();
    if (this.#plan?.staging === null) markOver(this.#place);
    if (this.#plan?.monitor != null) sweepOrphans(this.#place.root, this.#plan.monitor);
  }

  async #freeze(isFrozen: boolean): Promise<void> {
    if (!this.isMade || this.#talk.status !== (isFrozen ? "running" : "paused")) return;
    await this.#container.freeze(isFrozen);
    this.#talk.status = isFrozen ? "paused" : "running";
  }

  // --- The controller's orders ----------------------------------------------------------------------------------------

  #obey(order: OwnStepOrder): void {
    switch (order.kind) {
      case "terminate":
        this.#terminate(order);
        break;
      case "signal":
        if (order.signal === SIGSTOP || order.signal === SIGCONT) void this.#freeze(order.signal === SIGSTOP);
        else this.#container.kill(order.signal);
        break;
      case "message":
        this.print(order.text);
        break;
    }
  }

  /** Gentle: TERM, and KILL after KillWait; whatever is frozen has to be thawed to die. */
  #terminate({ reason, hard }: { readonly reason: AbortReason; readonly hard: boolean }): void {
    const { jobId } = this.#talk;
    if (this.#ending === undefined) {
      this.#ending = reason;
      const why = reason === "timeLimit" ? " DUE TO TIME LIMIT" : reason === "nodeFailure" ? " DUE TO NODE FAILURE" : "";
      this.print(`scrun: error: *** JOB ${jobId} CANCELLED AT ${localTime(new Date())}${why} ***`);
    }
    const cancelled = new BerthError("CANCELLED", `job ${jobId} was cancelled`);
    if (!this.isMade) this.#talk.withdraw(cancelled); // only a job that is granted has a step to be terminated
    if (hard) this.#staging.hurry(cancelled);
    clearTimeout(this.#killTimer);
    if (hard || !this.#isStarted) {
      void this.kill(SIGKILL);
      return;
    }
    this.#container.kill(SIGTERM);
    void this.#freeze(false);
    this.#killTimer = setTimeout(() => void this.kill(SIGKILL), (this.#job.step?.killWaitSeconds ?? 30) * 1000);
  }

  // --- What others ask of it (Subject) ----------------------------------------------------------------------------------

  get isMade(): boolean {
    return this.#container.init !== undefined;
  }

  get initPid(): number | undefined {
    return this.#container.init?.pid;
  }

  record(): Pick<ContainerState, "runtime" | "runtimeOptions"> {
    const { runtime = "", runtimeOptions = [] } = this.#plan ?? {};
    return { runtime, runtimeOptions };
  }

  async kill(signal: number): Promise<void> {
    this.#container.kill(signal);
    if (signal === SIGKILL) void this.#freeze(false);
  }

  /** The runtime has paused or resumed the container: the job is suspended or resumed with it. */
  async follow({ op, isDone }: PauseNews): Promise<void> {
    const isPaused = op === "paused";
    if (!isDone) this.#container.stopAll(isPaused);
    this.#talk.status = isPaused ? "paused" : "running";
    await this.#job.follow(this.#plan, isPaused);
  }

  /** On the container's own standard error, where the engine's logs have it, or on its terminal. */
  print(line: string): void {
    const init = this.#container.init;
    try {
      if (this.#plan?.hasTerminal !== true || init === undefined) console.error(line);
      else printOnTerminalOf(init.pid, line);
    } catch {
      // nobody reads any more
    }
  }
}

/** create has to give the engine a terminal, or a network namespace that comes with the container only. */
function hasToBeMade({ hasTerminal, network }: AnchorPlan): boolean {
  return hasTerminal || network === "withContainer";
}

/** What is known of a job that waits. */
function queuedEnvironment(plan: AnchorPlan, jobId: number | null): Record<string, string> {
  const text = String(jobId ?? "");
  return { SLURM_JOB_ID: text, SLURM_JOBID: text, SLURM_JOB_NAME: plan.request?.options.name ?? plan.name, SLURM_CONTAINER: plan.bundle };
}
