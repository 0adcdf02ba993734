/**
 * The anchor: the process that stands behind a container. It is there from `create` to the container's end, holds the job, and ends with the container's
 * exit status, which it tells who stands for it before the engine (stand-in.ts).
 *
 *   plan ─► ask for the job ─┬─ granted ─► step ─► runtime create ─► CREATED ─► start ─► RUNNING ─► ended ─► exit status
 *                            └─ queued: CREATED for the engine; the rest follows `start`, when the job is granted
 *
 * A subreaper, so that the container's first process, whose parent (the runtime's create) ends, becomes its child: that child's wait status is
 * the container's. The container has the anchor's own stdio, handed on; a terminal goes from the runtime to the engine without us. When
 * the anchor is killed, the controller kills the container and ends the job; when the controller is killed, the anchor
 * goes on, and the next one takes up the step (engine.ts, OwnStep).
 */
import { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { AbortReason, AllocationInfo, Engine, HeldAllocation, OwnStep, OwnStepOrder } from "#engine/engine.ts";
import { BerthError } from "#job/errors.ts";
import type { JobId } from "#job/id.ts";
import { shellCode, parseWaitStatus, type ExitStatus } from "#job/outcome.ts";
import { runChild } from "#platform/child.ts";
import { failFast } from "#platform/fail-fast.ts";
import { listenFrames, parseJsonFrame, type FrameConnection } from "#platform/frames.ts";
import { becomeSubreaper, replaceFd, type ReapedChild } from "#platform/libc.ts";
import { outsideIds, standInNamespacesOf } from "#platform/namespaces.ts";
import { killAll, OrphanReaper } from "#platform/orphans.ts";
import { identify, isAlive, processesOf, sendSignal, type ProcessIdentity } from "#platform/process-tree.ts";
import { leaveControllerToOthers } from "#platform/start-controller.ts";
import { spawnWithFiles } from "#platform/spawn.ts";
import { AnchorStaging } from "./anchor-staging.ts";
import type { AnchorPlan, ContainerStatus, FromAnchor, ToAnchor } from "./anchor-wire.ts";
import { readConfig, writeRuntimeConfig, hasPoststopHooks, type BundleConfig } from "./config.ts";
import { cancelledInQueue } from "./job-request.ts";
import { findMemoryCgroup, peakMemoryKib, wasOutOfMemory, type MemoryCgroup } from "./memory-events.ts";
import { lastError } from "./log.ts";
import type { ContainerPlace } from "./place.ts";
import { nameRealProcesses } from "./shared-namespaces.ts";
import { tellStandIn } from "./stand-in.ts";
import { StageInFailure } from "./staging.ts";
import { printOnTerminalOf } from "./terminal.ts";

const SIGTERM = 15;
const SIGKILL = 9;
const SIGCONT = 18;
const SIGSTOP = 19;
/** CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH: engines hand on every signal, and these end no program by themselves. */
const HARMLESS: ReadonlySet<number> = new Set([17, SIGCONT, SIGSTOP, 20, 21, 22, 23, 28]);
/** After create has gone without a word there is nothing to be an anchor of. */
const PLAN_MS = 60_000;
const RUNTIME_MS = 120_000;
/** When the start is over: an anchor may live for weeks. */
const SHRINK_MS = 500;
/** How often an anchor looks whether its create, which has not called yet, is still there. */
const WATCH_MS = 1000;
/** How long bad news wait for create's call, which comes at once. */
const CREATOR_MS = 5000;
const never = new AbortController().signal;

/** What ended before there was a container. */
const NOT_RUN: ExitStatus = { kind: "exited", code: 1 };
const CANCELLED: ExitStatus = { kind: "exited", code: 130 };

export interface AnchorOptions {
  readonly engine: Engine;
  /** Who waits for the answer: nobody ever starts a container whose create has gone before. */
  readonly creator: ProcessIdentity;
  /** Fds for the container, beside 0, 1 and 2. */
  readonly preserved: readonly number[];
  /** Where to say the exit status; undefined when nobody stands for us (stand-in.ts). */
  readonly standInFd: number | undefined;
}

export async function runAnchor(place: ContainerPlace, options: AnchorOptions): Promise<number> {
  failFast((error) => console.error(`scrun: error: ${error instanceof Error ? error.message : String(error)}`));
  becomeSubreaper();
  const anchor = new Anchor(place, options);
  const code = shellCode(await anchor.run());
  if (options.standInFd === undefined || (await tellStandIn(place, options.standInFd, code))) anchor.tidy();
  return code;
}

class Anchor {
  readonly #place: ContainerPlace;
  readonly #engine: Engine;
  readonly #creatorProcess: ProcessIdentity;
  readonly #preserved: readonly number[];
  readonly #reaper = new OrphanReaper();
  readonly #staging: AnchorStaging;
  readonly #planned = Promise.withResolvers<AnchorPlan>();
  readonly #startWanted = Promise.withResolvers<void>();
  readonly #withdraw = new AbortController();
  readonly #starters = new Set<FrameConnection>();
  #creator: FrameConnection | undefined;
  #plan: AnchorPlan | undefined;
  #status: ContainerStatus = "creating";
  #jobId: JobId | null = null;
  #step: OwnStep | undefined;
  #held: HeldAllocation | undefined;
  #init: ProcessIdentity | undefined;
  #exited: Promise<ReapedChild> | undefined;
  #cgroup: MemoryCgroup | undefined;
  #waitsFor: "resources" | "staging" | undefined;
  #isStarted = false;
  #killTimer: ReturnType<typeof setTimeout> | undefined;
  #ending: AbortReason | undefined;

  constructor(place: ContainerPlace, options: AnchorOptions) {
    this.#place = place;
    this.#staging = new AnchorStaging(place, this.#reaper);
    this.#engine = options.engine;
    this.#creatorProcess = options.creator;
    this.#preserved = options.preserved;
  }

  async run(): Promise<ExitStatus> {
    // What we start is below us, where everything is the container's, and ends with it.
    leaveControllerToOthers();
    // Signals for "the container" that come by its pid; to cancel is what scrun(1) says of the first two.
    for (const name of ["SIGINT", "SIGHUP"] as const) process.on(name, () => this.#cancel());
    process.on("SIGTERM", () => (this.#init === undefined ? this.#cancel() : this.#kill(SIGTERM)));
    const socket = this.#place.socket();
    const server = listenFrames(socket, (connection) => this.#welcome(connection));
    // The engine's first answer takes as long as create needs to read the bundle.
    const warming = this.#engine.info({ signal: this.#withdraw.signal }).catch(() => undefined);
    const patience = setTimeout(() => this.#giveUp(), PLAN_MS);
    this.#watch = setInterval(() => this.#watchCreator(), WATCH_MS);
    this.#takePlan();
    const plan = await this.#planned.promise;
    clearTimeout(patience);
    this.#plan = plan;
    await warming;
    try {
      const status = await this.#live(plan);
      this.#status = "stopped";
      return status;
    } catch (error) {
      // First: create, when it has heard, waits for us only so long.
      await this.#staging.stageOut();
      await this.#fail(error);
      if (error instanceof StageInFailure) this.#notRun = { kind: "exited", code: error.exitCode };
      if (error instanceof CreateFailure) this.#notRun = statusOfFailure(error.message);
      return this.#withdraw.signal.aborted ? CANCELLED : this.#notRun;
    } finally {
      clearInterval(this.#watch);
      await this.#release();
      server.stop();
      rmSync(join(this.#place.dir, "anchor.sock"), { force: true });
    }
  }

  #notRun: ExitStatus = NOT_RUN;

  async #live(plan: AnchorPlan): Promise<ExitStatus> {
    const { signal } = this.#withdraw;
    await this.#staging.open(plan, { signal });
    const granted = this.#allocate(plan);
    this.#config = readConfig(plan.bundle, plan.configFile); // while the controller thinks
    const queued = this.#queuedSignal.promise.then(() => "queued" as const);
    const first = await Promise.race([granted, queued]);
    if (first === "queued") {
      // The terminal has to be there when create ends, so that the container cannot wait for its job. Staging has to: so create waits.
      const isMadeFirst = plan.hasTerminal && plan.staging === null;
      if (isMadeFirst) await this.#makeContainer(plan, queuedEnvironment(plan, this.#jobId));
      if (isMadeFirst || !plan.hasTerminal) this.#created();
      await granted;
    }
    this.#step = await this.#openStep(plan);
    if (this.#init === undefined) await this.#makeContainer(await this.#stageIn(plan, this.#step), this.#step.environment);
    await this.#step.ready;
    if (this.#init !== undefined) this.#step.started(this.#init);
    if (signal.aborted) this.#kill(SIGKILL); // while it was being made
    if (this.#status === "creating") this.#created();
    const exited = this.#waitForEnd();
    // A container may be killed before it is started.
    if ((await Promise.race([this.#startWanted.promise, exited])) === undefined) await this.#start(plan);
    return await this.#conclude(await exited);
  }

  // --- Who asked for it --------------------------------------------------------------------------------------------

  #watch: ReturnType<typeof setInterval> | undefined;
  readonly #hasCreator = Promise.withResolvers<true>();

  /** It may be there before we are, or come with create's call. */
  #takePlan(): void {
    const plan = this.#place.takePlan();
    if (plan !== undefined) this.#planned.resolve(plan);
  }

  /** create was killed before it called, or before it had a plan: nobody will ever ask for this container. */
  #watchCreator(): void {
    if (!isAlive(this.#creatorProcess)) this.#cancel();
  }

  /** create does not wait for the whole of a long one, as it does not for the queue; with a terminal it has to. */
  async #stageIn(plan: AnchorPlan, step: OwnStep): Promise<AnchorPlan> {
    if (plan.staging === null) return plan;
    const { signal } = this.#withdraw;
    const enough = () => {
      if (this.#status === "creating" && !plan.hasTerminal) this.#created();
    };
    const timer = setTimeout(enough, plan.staging.createWaitSeconds * 1000);
    this.#waitsFor = "staging";
    try {
      this.#tellWaiting();
      const staged = await this.#staging.stageIn(plan, step, { signal });
      signal.throwIfAborted();
      return staged;
    } finally {
      clearTimeout(timer);
      this.#waitsFor = undefined;
    }
  }

  // --- The job --------------------------------------------------------------------------------------------------

  readonly #queuedSignal = Promise.withResolvers<void>();

  async #allocate(plan: AnchorPlan): Promise<void> {
    if (plan.request === null) {
      this.#jobId = plan.jobId;
      return;
    }
    let info: AllocationInfo | undefined;
    const asked = this.#engine.allocate(plan.request, {
      signal: this.#withdraw.signal,
      onEvent: (event) => {
        if (event.kind === "granted") {
          ({ info } = event);
          this.#jobId = event.info.job.jobId;
          return;
        }
        if (event.kind === "message") {
          this.#print(event.text);
          return;
        }
        this.#jobId = event.jobId;
        this.#waitsFor = "resources";
        this.#tellWaiting();
        this.#queuedSignal.resolve();
      },
    });
    this.#held = await asked.catch((error: unknown) => {
      throw cancelledInQueue(error, this.#jobId);
    });
    this.#waitsFor = undefined;
    this.#jobId = info?.job.jobId ?? this.#held.jobId;
  }

  #tellWaiting(): void {
    if (this.#waitsFor === undefined) return;
    for (const starter of this.#starters) this.#say(starter, { event: "waiting", text: this.#waitingText() });
  }

  #waitingText(): string {
    return `job ${this.#jobId} ${this.#waitsFor === "staging" ? "is being staged in" : "queued and waiting for resources"}`;
  }

  async #openStep(plan: AnchorPlan): Promise<OwnStep> {
    const jobId = this.#jobId;
    if (jobId === null) throw new Error("no job");
    return await this.#engine.openOwnStep(
      {
        jobId,
        name: plan.name,
        submit: plan.submit,
        container: plan.bundle,
        containerId: plan.id,
        annotations: plan.annotations,
      },
      { signal: this.#withdraw.signal, onOrder: (order) => this.#obey(order) },
    );
  }

  async #release(): Promise<void> {
    try {
      if (this.#step !== undefined) {
        const none = { userCpuMs: 0, systemCpuMs: 0, maxRssKib: null, outOfMemory: false };
        if (!this.#isConcluded) await this.#step.ended({ status: this.#notRun, ...none });
        // A job that had its step has ended with it.
      } else if (this.#held !== undefined) await this.#held.release({ code: 1, signal: 0 });
    } catch {
      // The controller ends what nobody holds.
    } finally {
      await this.#staging.close();
    }
  }

  // --- The container --------------------------------------------------------------------------------------------

  #takeConfig(plan: AnchorPlan): BundleConfig {
    const read = this.#config;
    this.#config = undefined;
    const config = read?.file === plan.configFile ? read : readConfig(plan.bundle, plan.configFile); // staged elsewhere
    this.#hasPoststopHooks = hasPoststopHooks(config);
    return config;
  }
  #config: BundleConfig | undefined;
  #hasPoststopHooks = false;

  async #makeContainer(plan: AnchorPlan, environment: Readonly<Record<string, string>>): Promise<void> {
    const place = this.#place;
    const config = this.#takeConfig(plan);
    this.#staging.adaptMappings(config.config);
    const gres = this.#step?.gres ?? {};
    if (Object.keys(gres).length > 0) {
      const { addDevices } = await import("./devices.ts");
      addDevices(config.config, gres, { isConfined: process.getuid?.() !== 0 || outsideIds() !== undefined });
    }
    nameRealProcesses(config.config, place.root);
    writeRuntimeConfig(config, { bundle: plan.bundle, target: join(place.bundle, "config.json"), environment });
    const argv: [string, ...string[]] = [
      ...this.#runtime(plan, place.runtimeLog),
      "create",
      "--bundle",
      place.bundle,
      "--pid-file",
      place.initPidFile,
      ...plan.createOptions,
      plan.id,
    ];
    const files = [0, 1, 2, ...this.#preserved];
    const child = spawnWithFiles(argv, { files, env: plan.environment, cwd: plan.bundle });
    const status = await child.exited;
    if (status.kind !== "exited" || status.code !== 0) {
      const message = lastError(readText(place.runtimeLog)) ?? `${plan.runtime} create failed with status ${shellCode(status)}`;
      throw new CreateFailure(message);
    }
    const pid = Number(readText(place.initPidFile));
    const init = Number.isInteger(pid) && pid > 1 ? identify(pid) : undefined;
    const exited = init === undefined ? undefined : this.#reaper.expect(init);
    if (init === undefined || exited === undefined) throw new CreateFailure(`${plan.runtime} made no process that could be watched`);
    this.#init = init;
    this.#exited = exited;
    this.#cgroup = findMemoryCgroup(pid, process.pid);
    this.#letGoOfStreams(plan.hasTerminal);
  }

  /**
   * The container has them now: their other ends must see its end, not ours. Standard error stays, for what ends it; not
   * beside a terminal, because then it is create's own, and containerd-shim reads it to its end before it goes on.
   */
  #letGoOfStreams(hasTerminal: boolean): void {
    const nothing = openSync("/dev/null", "r+");
    for (const fd of hasTerminal ? [0, 1, 2] : [0, 1]) replaceFd(nothing, fd);
    closeSync(nothing);
    for (const fd of this.#preserved) closeSync(fd);
  }

  #runtime(plan: AnchorPlan, log: string): [string, ...string[]] {
    return [plan.runtime, "--root", this.#place.runtimeRoot, "--log", log, "--log-format", "json", ...plan.runtimeOptions];
  }

  async #start(plan: AnchorPlan): Promise<void> {
    const log = join(this.#place.dir, "start.log");
    // Its words are in the log.
    const files = ["null", "null", "null"] as const;
    const status = await spawnWithFiles([...this.#runtime(plan, log), "start", plan.id], { files, env: plan.environment, cwd: "/" }).exited;
    if (shellCode(status) === 0) {
      this.#isStarted = true;
      if (this.#status === "created") this.#status = "running";
      // Not earlier: the runtime's hooks are run in our namespaces.
      if (this.#init !== undefined) standInNamespacesOf(this.#init.pid);
      setTimeout(() => Bun.gc(true), SHRINK_MS).unref();
      for (const starter of this.#starters) this.#say(starter, { event: "started" });
    } else {
      const message = lastError(readText(log)) ?? `${plan.runtime} start failed with status ${shellCode(status)}`;
      this.#startFailure = statusOfFailure(message);
      if (this.#starters.size === 0) this.#print(`scrun: error: ${message}`);
      for (const starter of this.#starters) this.#say(starter, { event: "failed", message, hint: null, isSaid: false });
      this.#kill(SIGKILL);
    }
    this.#starters.clear();
  }

  async #waitForEnd(): Promise<ExitStatus> {
    const end = await this.#exited;
    if (end === undefined) throw new Error("no container");
    this.#end = end;
    return parseWaitStatus(end.waitStatus);
  }
  #end: ReapedChild | undefined;

  #isConcluded = false;
  #startFailure: ExitStatus | undefined;

  async #conclude(waited: ExitStatus): Promise<ExitStatus> {
    const status = this.#startFailure ?? waited;
    this.#status = "stopped";
    clearTimeout(this.#killTimer);
    for (const starter of this.#starters) {
      this.#say(starter, { event: "failed", message: "the container has ended before it was started", hint: null, isSaid: false });
    }
    await killAll(this.#reaper, [], this.#staging.helpers);
    const end = this.#end;
    const maxRssKib = peakMemoryKib(this.#cgroup) ?? end?.maxRssKib ?? null;
    const outOfMemory = wasOutOfMemory(this.#cgroup);
    const isBack = await this.#staging.stageOut();
    this.#isConcluded = true;
    await this.#step?.ended({
      // Its results are lost: whoever looks at the job, or depends on it, has to know.
      status: isBack || shellCode(status) !== 0 ? status : NOT_RUN,
      userCpuMs: end?.userCpuMs ?? 0,
      systemCpuMs: end?.systemCpuMs ?? 0,
      maxRssKib,
      outOfMemory,
    });
    return status;
  }

  /**
   * The engine's clean-up asks for the runtime's delete as soon as it has started; its start is the time for it. Hooks belong
   * to the delete that is asked for. It outlives us: whoever adopts it, `scrun delete` looks again. The last thing of all: who
   * stands for us is in the container's cgroup.
   */
  tidy(): void {
    const plan = this.#plan;
    if (plan === undefined || this.#init === undefined || this.#hasPoststopHooks) return;
    const argv: [string, ...string[]] = [
      plan.runtime,
      "--root",
      this.#place.runtimeRoot,
      ...plan.runtimeOptions,
      "delete",
      "--force",
      plan.id,
    ];
    spawnWithFiles(argv, { files: ["null", "null", "null"], env: plan.environment, cwd: "/", isDaemon: true });
  }

  #kill(signal: number): void {
    if (this.#init !== undefined && identify(this.#init.pid)?.startTicks === this.#init.startTicks) sendSignal(this.#init.pid, signal);
  }

  // --- Orders ---------------------------------------------------------------------------------------------------

  #obey(order: OwnStepOrder): void {
    switch (order.kind) {
      case "terminate":
        this.#terminate(order);
        break;
      case "signal":
        if (order.signal === SIGSTOP || order.signal === SIGCONT) void this.#freeze(order.signal === SIGSTOP);
        else this.#kill(order.signal);
        break;
      case "message":
        this.#print(order.text);
        break;
    }
  }

  /** Gentle: TERM, and KILL after KillWait; whatever is frozen has to be thawed to die. */
  #terminate({ reason, hard }: { readonly reason: AbortReason; readonly hard: boolean }): void {
    if (this.#ending === undefined) {
      this.#ending = reason;
      const why = reason === "timeLimit" ? " DUE TO TIME LIMIT" : reason === "nodeFailure" ? " DUE TO NODE FAILURE" : "";
      this.#print(`scrun: error: *** JOB ${this.#jobId} CANCELLED AT ${localTime(new Date())}${why} ***`);
    }
    const cancelled = new BerthError("CANCELLED", `job ${this.#jobId} was cancelled`);
    if (this.#init === undefined) this.#withdraw.abort(cancelled);
    if (hard) this.#staging.hurry(cancelled);
    const killNow = () => {
      this.#kill(SIGKILL);
      if (this.#status === "paused") void this.#freeze(false);
    };
    if (hard || !this.#isStarted) {
      clearTimeout(this.#killTimer);
      killNow();
      return;
    }
    this.#kill(SIGTERM);
    if (this.#status === "paused") void this.#freeze(false);
    clearTimeout(this.#killTimer);
    this.#killTimer = setTimeout(killNow, (this.#step?.killWaitSeconds ?? 30) * 1000);
  }

  async #freeze(isFrozen: boolean): Promise<void> {
    const plan = this.#plan;
    if (plan === undefined || (isFrozen ? this.#status !== "running" : this.#status !== "paused")) return;
    const log = join(this.#place.dir, "pause.log");
    const result = await runChild([...this.#runtime(plan, log), isFrozen ? "pause" : "resume", plan.id], {
      env: plan.environment,
      cwd: "/",
      signal: never,
      timeoutMs: RUNTIME_MS,
    });
    if (shellCode(result.status) !== 0) this.#stopAll(isFrozen);
    this.#status = isFrozen ? "paused" : "running";
  }

  /** Without a freezer (no cgroup of its own): a signal to each of its processes. */
  #stopAll(isStopped: boolean): void {
    if (this.#init === undefined || !isAlive(this.#init)) return;
    for (const pid of processesOf(this.#init.pid)) sendSignal(pid, isStopped ? SIGSTOP : SIGCONT);
  }

  // --- Commands -------------------------------------------------------------------------------------------------

  #welcome(connection: FrameConnection): void {
    connection.handle({
      frame: (_type, payload) => this.#hear(connection, parseJsonFrame(payload) as ToAnchor),
      closed: () => {
        this.#starters.delete(connection);
        // create was killed: nobody will ever ask for this container.
        if (connection === this.#creator && this.#status === "creating") this.#cancel();
      },
    });
  }

  #hear(connection: FrameConnection, message: ToAnchor): void {
    switch (message.op) {
      case "create":
        this.#creator = connection;
        this.#hasCreator.resolve(true);
        clearInterval(this.#watch);
        this.#takePlan();
        if (this.#status === "created") this.#sayCreated(connection); // before it called
        break;
      case "start":
        if (this.#status !== "created") {
          const why =
            this.#status === "stopped" ? "cannot start a container that has stopped" : "cannot start an already running container";
          this.#say(connection, { event: "failed", message: why, hint: null, isSaid: false });
          break;
        }
        if (this.#waitsFor !== undefined && !message.waits) {
          this.#print(`scrun: ${this.#waitingText()}`);
          this.#say(connection, { event: "started" });
        } else this.#starters.add(connection);
        this.#tellWaiting();
        this.#startWanted.resolve();
        break;
      case "state":
        this.#say(connection, { event: "state", status: this.#status, jobId: this.#jobId, isMade: this.#init !== undefined });
        break;
      case "cancel":
        this.#cancel();
        this.#say(connection, { event: "done" });
        break;
      case "kill":
        if (this.#init !== undefined) {
          this.#kill(message.signal);
          if (message.signal === SIGKILL && this.#status === "paused") void this.#freeze(false);
        } else if (!HARMLESS.has(message.signal)) this.#cancel();
        this.#say(connection, { event: "done" });
        break;
      case "end":
        this.#cancel();
        break;
      case "paused":
      case "resumed":
        void this.#follow(connection, message);
        break;
    }
  }

  /** The runtime has paused or resumed the container: the job is suspended or resumed with it. */
  async #follow(connection: FrameConnection, { op, isDone }: Extract<ToAnchor, { op: "paused" | "resumed" }>): Promise<void> {
    if (!isDone) this.#stopAll(op === "paused");
    this.#status = op === "paused" ? "paused" : "running";
    const target = { jobId: this.#jobId ?? 0, arrayTasks: null, stepKey: null };
    try {
      // An allocation that others use too goes on.
      if (this.#plan?.request != null)
        await (op === "paused" ? this.#engine.suspend(target, { signal: never }) : this.#engine.resume(target, { signal: never }));
    } catch (error) {
      if (!(error instanceof BerthError)) throw error; // suspended by somebody already
    }
    this.#say(connection, { event: "done" });
  }

  /** create has failed, or was killed, before there was anything. */
  #giveUp(): never {
    this.#place.remove();
    process.exit(1);
  }

  /** Ends it, wherever it is: in the queue, or as a container. */
  #cancel(): void {
    if (this.#plan === undefined) this.#giveUp();
    if (this.#init !== undefined) {
      this.#kill(SIGKILL);
      if (this.#status === "paused") void this.#freeze(false);
    } else
      this.#withdraw.abort(
        new BerthError("CANCELLED", this.#jobId === null ? "the container was cancelled" : `job ${this.#jobId} was cancelled`),
      );
  }

  #created(): void {
    const plan = this.#plan;
    if (plan === undefined) return;
    this.#status = "created";
    const self = identify(process.pid);
    if (self === undefined) throw new Error("no /proc");
    this.#place.write({
      id: plan.id,
      ociVersion: plan.ociVersion,
      bundle: plan.bundle,
      rootfs: plan.rootfs,
      annotations: plan.annotations,
      createdAt: new Date().toISOString(),
      anchor: self,
      runtime: plan.runtime,
      runtimeOptions: plan.runtimeOptions,
      jobId: this.#jobId,
    });
    if (this.#creator !== undefined) this.#sayCreated(this.#creator);
  }

  #sayCreated(creator: FrameConnection): void {
    this.#say(creator, { event: "created", initPid: this.#init?.pid ?? null });
  }

  async #fail(error: unknown): Promise<void> {
    const isExpected = error instanceof BerthError || error instanceof CreateFailure;
    const message = error instanceof Error ? error.message : String(error);
    const failure: FromAnchor = {
      event: "failed",
      message: isExpected ? message : `internal error: ${message}`,
      hint: error instanceof BerthError ? (error.hint ?? null) : null,
      isSaid: error instanceof CreateFailure,
    };
    for (const listener of this.#starters) this.#say(listener, failure);
    if (isAlive(this.#creatorProcess)) await Promise.race([this.#hasCreator.promise, Bun.sleep(CREATOR_MS)]);
    if (this.#status === "creating" && this.#creator !== undefined) this.#say(this.#creator, failure);
    else if (this.#starters.size === 0) this.#print(`scrun: error: ${failure.message}`);
    if (this.#init !== undefined) this.#kill(SIGKILL);
    this.#status = "stopped";
  }

  #say(connection: FrameConnection, message: FromAnchor): void {
    connection.sendJson(message);
  }

  /** On the container's own standard error, where the engine's logs have it, or on its terminal. */
  #print(line: string): void {
    try {
      if (this.#plan?.hasTerminal !== true || this.#init === undefined) console.error(line);
      else printOnTerminalOf(this.#init.pid, line);
    } catch {
      // nobody reads any more
    }
  }
}

/** The runtime's own words, which it has written to the container's standard error too. */
class CreateFailure extends Error {}

/** As shells and engines say it. */
function statusOfFailure(message: string): ExitStatus {
  return { kind: "exited", code: /not found|no such file/i.test(message) ? 127 : 126 };
}

/** What is known of a job that waits. */
function queuedEnvironment(plan: AnchorPlan, jobId: JobId | null): Record<string, string> {
  const text = String(jobId ?? "");
  return { SLURM_JOB_ID: text, SLURM_JOBID: text, SLURM_JOB_NAME: plan.request?.options.name ?? plan.name, SLURM_CONTAINER: plan.bundle };
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** `2026-11-21T03:09:40`, as Slurm prints it. */
function localTime(date: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  return (
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}` +
    `T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
  );
}
