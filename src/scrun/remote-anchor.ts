/**
 * The anchor of a container that runs on a node of a cluster: the engine that started scrun sees it here, the job is there.
 *
 *   plan ─► ask for the job ─► granted or queued: CREATED ─► start ─► files to the node ─► srun ─► RUNNING ─► srun's end ─► exit status
 *
 * With a site's scrun.lua its stage-in comes between the grant and CREATED, and its stage-out before the job's end.
 *
 * srun has the container's own streams. When the anchor is killed, the allocation goes with it (engine.allocate), and the step
 * with that. What needs a process here (ps, pause by a freezer) is refused or done by signals.
 */
import { closeSync, existsSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { AllocationInfo, Engine, HeldAllocation, RemoteContainers, RemotePlace } from "#engine/engine.ts";
import { BerthError } from "#job/errors.ts";
import { exitPair, shellCode, type ExitStatus } from "#job/outcome.ts";
import { failFast } from "#platform/fail-fast.ts";
import { listenFrames, parseJsonFrame, type FrameConnection } from "#platform/frames.ts";
import { becomeSubreaper, replaceFd } from "#platform/libc.ts";
import { OrphanReaper } from "#platform/orphans.ts";
import { openTerminalFor } from "#platform/pseudo-terminal.ts";
import { identify } from "#platform/process-tree.ts";
import { AnchorStaging, type GrantedJob } from "./anchor-staging.ts";
import type { AnchorPlan, ContainerStatus, FromAnchor, ToAnchor } from "./anchor-wire.ts";
import { readConfig } from "./config.ts";
import type { ContainerPlace } from "./place.ts";
import { makeRemoteConfig } from "./remote-config.ts";
import { StageInFailure } from "./staging.ts";

const SIGCONT = 18;
const SIGSTOP = 19;
const SIGKILL = 9;
const SIGTERM = 15;
const PLAN_MS = 60_000;
const never = new AbortController().signal;
const NOT_RUN: ExitStatus = { kind: "exited", code: 1 };
const CANCELLED: ExitStatus = { kind: "exited", code: 130 };

export async function runRemoteAnchor(place: ContainerPlace, engine: Engine & { readonly remote: RemoteContainers }): Promise<number> {
  failFast((error) => console.error(`scrun: error: ${error instanceof Error ? error.message : String(error)}`));
  becomeSubreaper(); // what staging leaves behind ends with us
  return shellCode(await new RemoteAnchor(place, engine).run());
}

class RemoteAnchor {
  readonly #place: ContainerPlace;
  readonly #engine: Engine & { readonly remote: RemoteContainers };
  readonly #staging: AnchorStaging;
  readonly #planned = Promise.withResolvers<AnchorPlan>();
  readonly #startWanted = Promise.withResolvers<void>();
  readonly #withdraw = new AbortController();
  readonly #starters = new Set<FrameConnection>();
  #creator: FrameConnection | undefined;
  #plan: AnchorPlan | undefined;
  #status: ContainerStatus = "creating";
  #waitsFor: "resources" | "staging" | undefined;
  #jobId: number | null = null;
  #held: HeldAllocation | undefined;
  #remote: RemotePlace | undefined;
  #outcome: ExitStatus = NOT_RUN;

  constructor(place: ContainerPlace, engine: Engine & { readonly remote: RemoteContainers }) {
    this.#place = place;
    this.#engine = engine;
    this.#staging = new AnchorStaging(place, new OrphanReaper());
  }

  async run(): Promise<ExitStatus> {
    for (const name of ["SIGINT", "SIGHUP"] as const) process.on(name, () => this.#cancel());
    process.on("SIGTERM", () => (this.#remote === undefined ? this.#cancel() : void this.#signal(SIGTERM)));
    const server = listenFrames(this.#place.socket(), (connection) => this.#welcome(connection));
    const patience = setTimeout(() => process.exit(1), PLAN_MS);
    const plan = await this.#planned.promise;
    clearTimeout(patience);
    this.#plan = plan;
    try {
      this.#outcome = await this.#live(plan);
    } catch (error) {
      await this.#staging.stageOut(); // create, when it has heard, waits for us only so long
      this.#fail(error);
      if (this.#withdraw.signal.aborted) this.#outcome = CANCELLED;
      else if (error instanceof StageInFailure) this.#outcome = { kind: "exited", code: error.exitCode };
    }
    this.#status = "stopped";
    const isBack = await this.#staging.stageOut();
    // The job ends with its container's status, and before anybody hears of the container's end. Results that are lost are a failure of the job.
    await this.#held?.release(exitPair(isBack || shellCode(this.#outcome) !== 0 ? this.#outcome : NOT_RUN)).catch(() => undefined);
    await this.#staging.close();
    server.stop();
    rmSync(join(this.#place.dir, "anchor.sock"), { force: true });
    return this.#outcome;
  }

  async #live(plan: AnchorPlan): Promise<ExitStatus> {
    const own = readConfig(plan.bundle, plan.configFile);
    await this.#staging.open(plan, { signal: this.#withdraw.signal });
    const queued = Promise.withResolvers<"queued">();
    const granted = this.#allocate(plan, () => queued.resolve("queued"));
    granted.catch(() => undefined); // it is awaited below
    const first = await Promise.race([granted, queued.promise]);
    // The engine wants its master before create ends.
    const terminal = plan.hasTerminal ? openTerminalFor(consoleSocketOf(plan)) : undefined;
    if (first === "queued" || plan.staging === null) this.#created(plan);
    const { node, info } = await granted;
    const staged = await this.#stageIn(plan, info);
    // A script may have put its configuration where only nodes look.
    const isOwn = staged === plan || !existsSync(staged.configFile);
    const config = makeRemoteConfig(isOwn ? own : readConfig(staged.bundle, staged.configFile), {});
    if (this.#status === "creating") this.#created(plan);
    await Promise.race([this.#startWanted.promise, aborted(this.#withdraw.signal)]);
    const container = await this.#engine.remote.start(
      {
        jobId: this.#jobId as never,
        node,
        name: plan.name,
        bundle: plan.bundle,
        containerId: plan.id,
        rootfs: staged.rootfs,
        isStaged: staged.rootfs !== plan.rootfs,
        files: config.files,
        config: (onNode) => config.print(onNode),
        args: config.args,
        streams: terminal === undefined ? [0, 1, 2] : [terminal, terminal, terminal],
        hasTerminal: terminal !== undefined,
        onMessage: (text) => this.#print(text),
      },
      { signal: this.#withdraw.signal },
    );
    this.#letGoOfStreams();
    if (terminal !== undefined) closeSync(terminal); // its end is to be seen when srun's is
    this.#withdraw.signal.addEventListener("abort", () => void this.#signal(SIGKILL));
    this.#remote = await container.started;
    if (this.#withdraw.signal.aborted) await this.#signal(SIGKILL);
    if (this.#status === "created") this.#status = "running";
    this.#record(plan);
    for (const starter of this.#starters) this.#say(starter, { event: "started" });
    this.#starters.clear();
    return await container.exited;
  }

  /** create does not wait for the whole of a long one, as it does not for the queue. */
  async #stageIn(plan: AnchorPlan, job: GrantedJob): Promise<AnchorPlan> {
    if (plan.staging === null) return plan;
    const { signal } = this.#withdraw;
    const timer = setTimeout(() => {
      if (this.#status === "creating") this.#created(plan);
    }, plan.staging.createWaitSeconds * 1000);
    this.#waitsFor = "staging";
    const stop = () => {
      if (this.#waitsFor === "staging") this.#withdraw.abort(new BerthError("CANCELLED", `job ${this.#jobId} was cancelled`));
    };
    this.#held?.ended.then(stop, stop);
    try {
      for (const starter of this.#starters) this.#tellWaiting(starter);
      const staged = await this.#staging.stageIn(plan, job, { signal });
      signal.throwIfAborted();
      return staged;
    } finally {
      clearTimeout(timer);
      this.#waitsFor = undefined;
    }
  }

  /** Gives the node that the container is for. */
  async #allocate(plan: AnchorPlan, onQueued: () => void): Promise<{ readonly node: string; readonly info: AllocationInfo }> {
    let info: AllocationInfo | undefined;
    if (plan.request === null) info = await this.#engine.findAllocation(plan.jobId ?? 0, { signal: never });
    else {
      this.#held = await this.#engine.allocate(plan.request, {
        signal: this.#withdraw.signal,
        onEvent: (event) => {
          if (event.kind === "granted") {
            ({ info } = event);
            return;
          }
          if (event.kind === "message") {
            this.#print(event.text);
            return;
          }
          this.#jobId = event.jobId;
          this.#waitsFor = "resources";
          for (const starter of this.#starters) this.#tellWaiting(starter);
          onQueued();
        },
      });
      this.#waitsFor = undefined;
    }
    this.#jobId = info?.job.jobId ?? this.#held?.jobId ?? null;
    const node = info?.job.batchHost ?? info?.job.nodes[0];
    if (info === undefined || node === undefined || node === null) throw new BerthError("NO_NODE", `Job ${this.#jobId} has no node`);
    return { node, info };
  }

  #tellWaiting(starter: FrameConnection): void {
    if (this.#waitsFor === undefined) return;
    const text = this.#waitsFor === "staging" ? "is being staged in" : "queued and waiting for resources";
    this.#say(starter, { event: "waiting", text: `job ${this.#jobId} ${text}` });
  }

  /** srun has them now; our standard error stays, for what ends the container. */
  #letGoOfStreams(): void {
    const nothing = openSync("/dev/null", "r+");
    for (const fd of [0, 1]) replaceFd(nothing, fd);
    closeSync(nothing);
  }

  async #signal(signal: number): Promise<void> {
    const remote = this.#remote;
    if (remote !== undefined)
      await this.#engine.remote.signal(remote, signal).catch((error: unknown) => this.#print(`scrun: ${String(error)}`));
  }

  #welcome(connection: FrameConnection): void {
    connection.handle({
      frame: (_type, payload) => void this.#hear(connection, parseJsonFrame(payload) as ToAnchor),
      closed: () => {
        this.#starters.delete(connection);
        if (connection === this.#creator && this.#status === "creating") this.#cancel();
      },
    });
  }

  #takePlan(): void {
    const plan = this.#place.takePlan();
    if (plan !== undefined) this.#planned.resolve(plan);
  }

  async #hear(connection: FrameConnection, message: ToAnchor): Promise<void> {
    switch (message.op) {
      case "create":
        this.#creator = connection;
        this.#takePlan();
        break;
      case "start":
        if (this.#status !== "created") {
          const why =
            this.#status === "stopped" ? "cannot start a container that has stopped" : "cannot start an already running container";
          this.#say(connection, { event: "failed", message: why, hint: null, isSaid: false });
          break;
        }
        this.#starters.add(connection);
        this.#tellWaiting(connection);
        this.#startWanted.resolve();
        break;
      case "state":
        this.#say(connection, { event: "state", status: this.#status, jobId: this.#jobId as never, isMade: false });
        break;
      case "cancel":
        this.#cancel();
        this.#say(connection, { event: "done" });
        break;
      case "kill":
        if (this.#remote !== undefined) await this.#signal(message.signal);
        else if (message.signal !== SIGCONT && message.signal !== SIGSTOP) this.#cancel();
        this.#say(connection, { event: "done" });
        break;
      case "end":
        this.#cancel();
        break;
      case "paused":
      case "resumed":
        await this.#signal(message.op === "paused" ? SIGSTOP : SIGCONT);
        this.#status = message.op === "paused" ? "paused" : "running";
        this.#say(connection, { event: "done" });
        break;
    }
  }

  #cancel(): void {
    if (this.#plan === undefined) process.exit(1); // create has failed before there was anything
    if (this.#remote !== undefined) void this.#signal(SIGKILL);
    else
      this.#withdraw.abort(
        new BerthError("CANCELLED", this.#jobId === null ? "the container was cancelled" : `job ${this.#jobId} was cancelled`),
      );
  }

  #created(plan: AnchorPlan): void {
    this.#status = "created";
    this.#record(plan);
    if (this.#creator !== undefined) this.#say(this.#creator, { event: "created", initPid: null });
  }

  #record(plan: AnchorPlan): void {
    const anchor = identify(process.pid);
    if (anchor === undefined) throw new Error("no /proc");
    this.#place.write({
      id: plan.id,
      ociVersion: plan.ociVersion,
      bundle: plan.bundle,
      rootfs: plan.rootfs,
      annotations: plan.annotations,
      createdAt: this.#createdAt,
      anchor,
      runtime: "",
      runtimeOptions: [],
      jobId: this.#jobId,
      remote: this.#remote ?? null,
    });
  }
  readonly #createdAt = new Date().toISOString();

  #fail(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    const failure: FromAnchor = {
      event: "failed",
      message: error instanceof BerthError ? message : `internal error: ${message}`,
      hint: error instanceof BerthError ? (error.hint ?? null) : null,
      isSaid: false,
    };
    for (const listener of this.#starters) this.#say(listener, failure);
    if (this.#status === "creating" && this.#creator !== undefined) this.#say(this.#creator, failure);
    else if (this.#starters.size === 0) this.#print(`scrun: error: ${failure.message}`);
  }

  #say(connection: FrameConnection, message: FromAnchor): void {
    connection.sendJson(message);
  }

  #print(line: string): void {
    try {
      console.error(line);
    } catch {
      // nobody reads any more
    }
  }
}

/** @throws BerthError */
function consoleSocketOf({ createOptions }: AnchorPlan): string {
  const path = createOptions[createOptions.indexOf("--console-socket") + 1];
  if (!createOptions.includes("--console-socket") || path === undefined)
    throw new BerthError("USAGE", "cannot have a terminal without a console socket: give --console-socket");
  return path;
}

async function aborted(signal: AbortSignal): Promise<never> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  return await promise;
}
