/**
 * What an anchor says and hears (anchor-wire.ts), wherever its container runs: that create has taken the id, commands at its socket,
 * signals to its pid, and whether create is still there to be answered.
 *
 *   creator ─► taken           create has taken the id
 *   create ─► created, failed  also when that was known before it called; a create that has gone without a word withdraws the container
 *   start ─► waiting … started, failed; queued, when it has waited long enough: the container counts as running then. The launcher's
 *            way to ask is another (launcher/quick-start.ts)
 *   kill, cancel, end, INT, HUP, TERM ─► the container's end; while its job waits, or there is no container yet, the job is withdrawn
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { JsonObject } from "#container/json.ts";
import { BerthError } from "#job/errors.ts";
import type { JobId } from "#job/id.ts";
import { listenFrames, type FrameConnection } from "#platform/frames.ts";
import { makeNetworkNamespace } from "#platform/namespaces.ts";
import { identify, isAlive, type ProcessIdentity } from "#platform/process-tree.ts";
import { parseToAnchor, type ContainerStatus, type FromAnchor, type JobPlan, type ToAnchor } from "../anchor-wire.ts";
import { failureOf } from "./failures.ts";
import { explainRefusal } from "../request/asked-devices.ts";
import type { ContainerPlace, ContainerState } from "../place.ts";
import { isGone } from "../orphans.ts";
import { Starts, type Startable, type WaitsFor } from "./starts.ts";

const SIGTERM = 15;
const SIGKILL = 9;
/** None, CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH: engines hand on every signal, and these end no program by themselves. */
const HARMLESS: ReadonlySet<number> = new Set([0, 17, 18, 19, 20, 21, 22, 23, 28]);
/** After create has gone without a word there is nothing to be an anchor of. */
const TAKE_MS = 60_000;
const TAKE_POLL_MS = 0.5;
/** How often an anchor looks whether its create, which has not called yet, is still there. */
const WATCH_MS = 1000;
/** How often one looks whether anybody knows its container any more: three looks at files. */
const GUARD_MS = 5000;
/** How long bad news wait for create's call, which comes at once. */
const CREATOR_MS = 5000;

export type PauseNews = Extract<ToAnchor, { op: "paused" | "resumed" }>;

/** The container that is talked about. */
export interface Subject {
  /** A signal has somebody to reach. */
  readonly isMade: boolean;
  /** Its first process, when that is on this host. */
  readonly initPid: number | undefined;
  /** What create's record says of where it runs. */
  record(): Pick<ContainerState, "runtime" | "runtimeOptions" | "remote">;
  /** Whatever is paused has to go on to die. */
  kill(signal: number): Promise<void>;
  /** Somebody has paused or resumed it. */
  follow(news: PauseNews): Promise<void>;
  /** Where its own standard error goes. */
  print(line: string): void;
}

export class Conversation implements Startable, Disposable {
  status: ContainerStatus = "creating";
  jobId: JobId | null = null;
  readonly #place: ContainerPlace;
  /** Who waits for the answer: nobody ever starts a container whose create has gone before. */
  readonly #creatorProcess: ProcessIdentity;
  readonly #subject: Subject;
  readonly #hasCreator = Promise.withResolvers<true>();
  readonly #withdraw = new AbortController();
  readonly #starts: Starts = new Starts(this);
  readonly #createdAt = new Date().toISOString();
  #creator: FrameConnection | undefined;
  #plan: JobPlan | undefined;
  #network: string | undefined;
  #isTaken = false;
  #hasEarlyStandIn = false;
  #server: ReturnType<typeof listenFrames> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #guard: ReturnType<typeof setInterval> | undefined;

  constructor(place: ContainerPlace, options: { readonly creatorPid: number; readonly subject: Subject }) {
    this.#place = place;
    this.#creatorProcess = identify(options.creatorPid) ?? { pid: options.creatorPid, startTicks: -1 }; // nobody's: it has gone
    this.#subject = options.subject;
  }

  /** Over when create has taken the id: we may have been started before. Ends us when it never does. */
  async taken(): Promise<void> {
    // Signals for "the container" that come by its pid; to cancel is what scrun(1) says of the first two.
    for (const name of ["SIGINT", "SIGHUP"] as const) process.on(name, () => this.cancel());
    process.on("SIGTERM", () => (this.#isGranted ? void this.#subject.kill(SIGTERM) : this.cancel()));
    for (const deadline = performance.now() + TAKE_MS; !this.#place.isOf(this.#creatorProcess); await Bun.sleep(TAKE_POLL_MS)) {
      if (!isAlive(this.#creatorProcess) || performance.now() > deadline) this.#giveUp();
    }
    if (!this.#place.hold()) this.#giveUp();
    this.#isTaken = true;
    this.#place.furnish();
    this.#server = listenFrames(this.#place.socket(), (connection) => this.#welcome(connection));
    // create was killed before it called: nobody will ever ask for this container.
    this.#watch = setInterval(() => {
      if (!isAlive(this.#creatorProcess)) this.cancel();
    }, WATCH_MS);
  }

  /** Before anybody is told that the container is created. */
  set plan(plan: JobPlan) {
    this.#plan = plan;
  }

  /** Aborted when nobody wants the container any more, before there is one. */
  get withdrawn(): AbortSignal {
    return this.#withdraw.signal;
  }

  withdraw(reason: BerthError): void {
    this.#withdraw.abort(reason);
  }

  /** Where the container's own standard error goes. */
  print(line: string): void {
    this.#subject.print(line);
  }

  /** Somebody has asked for the container's start. */
  get startWanted(): Promise<void> {
    return this.#starts.wanted;
  }

  /** Ends it, wherever it is: in the queue, or as a container. */
  cancel(): void {
    if (!this.#isTaken) this.#giveUp();
    if (this.#isGranted) void this.#subject.kill(SIGKILL);
    else
      this.withdraw(new BerthError("CANCELLED", this.jobId === null ? "the container was cancelled" : `job ${this.jobId} was cancelled`));
  }

  /** The container, which does not run yet, has been sent a signal from its terminal. */
  signalled(signal: number): void {
    if (!HARMLESS.has(signal)) this.cancel();
  }

  /** With a terminal a container may be made before. */
  get #isGranted(): boolean {
    return this.#subject.isMade && this.waitsFor === undefined;
  }

  /** create has failed, or was killed, before it could call. */
  #giveUp(): never {
    process.exit(1);
  }

  // --- What it hears ------------------------------------------------------------------------------------------------

  #welcome(connection: FrameConnection): void {
    connection.handle({
      frame: (_type, payload) => {
        const message = parseToAnchor(payload);
        if (message === undefined) connection.close();
        else void this.#hear(connection, message);
      },
      closed: () => {
        this.#starts.forget(connection);
        // create was killed: nobody will ever ask for this container.
        if (connection === this.#creator && this.status === "creating") this.cancel();
      },
    });
  }

  async #hear(connection: FrameConnection, message: ToAnchor): Promise<void> {
    switch (message.op) {
      case "create":
        this.#creator = connection;
        this.#hasCreator.resolve(true);
        clearInterval(this.#watch);
        if (this.status === "created") this.#sayCreated(connection); // before it called
        break;
      case "start":
        this.#starts.ask(connection, { say: (answer) => say(connection, answer) }, message.wait);
        break;
      case "state":
        say(connection, {
          event: "state",
          status: this.status,
          jobId: this.jobId,
          isMade: this.#subject.initPid !== undefined,
          waiting: this.#starts.waiting,
        });
        break;
      case "kill":
        if (this.#isGranted) await this.#subject.kill(message.signal);
        else if (!HARMLESS.has(message.signal)) this.cancel();
        say(connection, { event: "done" });
        break;
      case "cancel":
        this.cancel();
        say(connection, { event: "done" });
        break;
      case "end":
        this.cancel();
        break;
      case "paused":
      case "resumed":
        await this.#subject.follow(message);
        say(connection, { event: "done" });
        break;
    }
  }

  // --- What it says -------------------------------------------------------------------------------------------------

  /** Undefined: nothing is waited for any more. */
  waitFor(what: WaitsFor | undefined): void {
    this.#starts.waitFor(what);
  }

  get waitsFor(): WaitsFor | undefined {
    return this.#starts.waitsFor;
  }

  /** Every command finds the container from here on. @throws BerthError NAMESPACE */
  created(): void {
    if (this.#plan?.network != null && this.#subject.initPid === undefined) this.#network = makeNetwork();
    this.status = "created";
    this.record();
    this.#guard = setInterval(() => {
      if (this.#isForsaken) this.cancel();
    }, GUARD_MS);
    if (this.#creator !== undefined) this.#sayCreated(this.#creator);
  }

  /**
   * An engine whose runtime directory was emptied has forgotten its containers, and ours with them. It calls no runtime any more when one is removed
   * (`podman rm` then deletes the bundle) or made anew (another create takes the id). Until then what runs goes on.
   */
  get #isForsaken(): boolean {
    if (this.#place.isLost) return true;
    return this.#plan !== undefined && isGone(this.#place.dir) && isGone(this.#plan.bundle);
  }

  /** Nobody asks before it is created. */
  prepareStart(): void {
    this.#starts.listenToLauncher(this.#place);
  }

  #sayCreated(creator: FrameConnection): void {
    const initPid = this.#subject.initPid ?? null;
    this.#hasEarlyStandIn = initPid === null && this.#plan?.standIn != null;
    say(creator, { event: "created", initPid, standIn: this.#plan?.standIn ?? null, network: this.#network ?? null });
  }

  /** The network namespace that an engine was told of before there was a container (WaitingNetwork). */
  get network(): string | undefined {
    return this.#network;
  }

  /** create has been told that there is no container yet (stand-in/early.ts). */
  get hasEarlyStandIn(): boolean {
    return this.#hasEarlyStandIn;
  }

  record(): void {
    const plan = this.#plan;
    const anchor = identify(process.pid);
    if (plan === undefined || anchor === undefined) throw new Error("no plan, or no /proc");
    const { id, ociVersion, bundle, rootfs, annotations, startWait, monitor } = plan;
    const common = {
      id,
      ociVersion,
      bundle,
      rootfs,
      annotations,
      startWait,
      monitor,
      createdAt: this.#createdAt,
      anchor,
      jobId: this.jobId,
    };
    this.#place.write({ ...common, ...this.#subject.record() });
  }

  started(): void {
    if (this.status === "created") this.status = "running";
    this.#starts.started();
  }

  notStarted(message: string): void {
    this.#starts.notStarted(message);
  }

  /** Who waits for a start does so in vain. */
  ended(): void {
    this.status = "stopped";
    clearInterval(this.#watch);
    clearInterval(this.#guard);
    this.#starts.ended();
  }

  /** To who asked for it; to nobody but the container's standard error when none did. */
  async fail(error: unknown, config?: JsonObject): Promise<void> {
    this.waitFor(undefined);
    const found = failureOf(error);
    const failure = config === undefined ? found : { ...found, message: explainRefusal(found.message, config) };
    this.#starts.tell(failure);
    if (isAlive(this.#creatorProcess)) await Promise.race([this.#hasCreator.promise, Bun.sleep(CREATOR_MS)]);
    clearInterval(this.#watch);
    if (this.status === "creating" && this.#creator !== undefined) say(this.#creator, failure);
    else if (!this.#starts.isAwaited) this.print(`scrun: error: ${failure.message}`);
  }

  /** Commands find nobody any more: the container is over. */
  [Symbol.dispose](): void {
    clearInterval(this.#watch);
    clearInterval(this.#guard);
    this.#starts.close();
    if (this.#place.isLost) return;
    this.#server?.stop();
    rmSync(join(this.#place.dir, "anchor.sock"), { force: true });
  }
}

function say(connection: FrameConnection, message: FromAnchor): void {
  connection.sendJson(message);
}

/** Open as long as we live. */
function makeNetwork(): string {
  const fd = makeNetworkNamespace();
  if (fd === undefined) throw new BerthError("NAMESPACE", "Cannot make a network namespace for a container whose job waits: not permitted");
  return `/proc/${process.pid}/fd/${fd}`;
}
