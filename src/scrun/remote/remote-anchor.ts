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
import { closeSync, existsSync, writeSync } from "node:fs";
import type { AllocationInfo, Engine, HeldAllocation } from "#engine/engine.ts";
import type { RemoteContainers, RemotePlace } from "#engine/remote-containers.ts";
import { BerthError } from "#job/errors.ts";
import { exitPair, shellCode, type ExitStatus } from "#job/outcome.ts";
import { OrphanReaper } from "#platform/orphans.ts";
import { controlTerminal } from "#platform/controlling-terminal.ts";
import { openTerminalFor } from "#platform/pseudo-terminal.ts";
import { AnchorStaging, type GrantedJob } from "../staging/anchor-staging.ts";
import type { AnchorPlan } from "../anchor-wire.ts";
import { askForJob, stageInWhileTold } from "../anchor/ask-for-job.ts";
import { readConfig, type BundleConfig } from "../config.ts";
import { becomeAnchor } from "../anchor/become-anchor.ts";
import { Conversation, type PauseNews, type Subject } from "../anchor/conversation.ts";
import { completePlan, planAtOnce, type CreateOrder, type Planned } from "../anchor/make-plan.ts";
import { CANCELLED, NOT_RUN, statusAfter } from "../anchor/failures.ts";
import type { ContainerPlace, ContainerState } from "../place.ts";
import { makeEnd, tellStandIn } from "../stand-in/stand-in.ts";
import { makeRemoteConfig } from "./remote-config.ts";
import { letGoOfStreams } from "../anchor/streams.ts";

const SIGQUIT = 3;
const SIGCONT = 18;
const SIGSTOP = 19;
const SIGKILL = 9;
const never = new AbortController().signal;

type ClusterEngine = Engine & { readonly remote: RemoteContainers };

export interface RemoteAnchorOptions {
  readonly engine: ClusterEngine;
  /** Who waits for the answer. */
  readonly creatorPid: number;
  readonly order: CreateOrder;
}

export async function runRemoteAnchor(place: ContainerPlace, options: RemoteAnchorOptions): Promise<number> {
  const surroundings = becomeAnchor();
  const anchor = new RemoteAnchor(place, options);
  const code = shellCode(await anchor.run(options.order, planAtOnce(options.order, { ...options, surroundings, place })));
  await anchor.sayEnd(code);
  return code;
}

class RemoteAnchor implements Subject {
  readonly #engine: ClusterEngine;
  readonly #staging: AnchorStaging;
  readonly #talk: Conversation;
  #held: HeldAllocation | undefined;
  #remote: RemotePlace | undefined;
  /** Until srun has it. */
  #terminal: number | undefined;
  #outcome: ExitStatus = NOT_RUN;
  /** Of a FIFO, to who stands for us; undefined when nobody does. */
  #endFd: number | undefined;
  readonly #place: ContainerPlace;

  constructor(place: ContainerPlace, { engine, creatorPid }: RemoteAnchorOptions) {
    this.#place = place;
    this.#engine = engine;
    this.#staging = new AnchorStaging(place, new OrphanReaper());
    this.#talk = new Conversation(place, { creatorPid, subject: this });
  }

  async run(order: CreateOrder, planned: () => Planned): Promise<ExitStatus> {
    using talk = this.#talk;
    await talk.taken();
    try {
      const { plan, config } = planned();
      if (plan.standIn !== null) this.#endFd = makeEnd(this.#place);
      this.#outcome = await this.#live(await completePlan(plan, order), config);
    } catch (error) {
      await this.#staging.stageOut(); // create, when it has heard, waits for us only so long
      await talk.fail(error);
      this.#outcome = talk.withdrawn.aborted ? CANCELLED : statusAfter(error);
    }
    talk.status = "stopped";
    const isBack = await this.#staging.stageOut();
    // The job ends with its container's status, and before anybody hears of the container's end. Results that are lost are a failure of the job.
    await this.#held?.release(exitPair(isBack || shellCode(this.#outcome) !== 0 ? this.#outcome : NOT_RUN)).catch(() => undefined);
    await this.#staging.close();
    return this.#outcome;
  }

  /** The last thing of all. */
  async sayEnd(code: number): Promise<void> {
    if (this.#endFd !== undefined) await tellStandIn(this.#place, this.#endFd, code);
  }

  async #live(plan: AnchorPlan, own: BundleConfig): Promise<ExitStatus> {
    const talk = this.#talk;
    talk.plan = plan;
    talk.prepareStart();
    await this.#staging.open(plan, { signal: talk.withdrawn });
    const queued = Promise.withResolvers<"queued">();
    const granted = this.#allocate(plan, () => queued.resolve("queued"));
    granted.catch(() => undefined); // it is awaited below
    const first = await Promise.race([granted, queued.promise]);
    // The engine wants its master before create ends.
    const terminal = plan.hasTerminal ? openTerminalFor(consoleSocketOf(plan)) : undefined;
    this.#terminal = terminal;
    // Ctrl-C is ours, and withdraws the job, until srun has the terminal.
    const letGo = terminal === undefined ? undefined : controlTerminal(terminal);
    if (terminal !== undefined) process.on("SIGQUIT", () => talk.signalled(SIGQUIT));
    if (first === "queued" || plan.staging === null) talk.created();
    const { node, info } = await granted;
    const staged = await this.#stageIn(plan, info);
    // A script may have put its configuration where only nodes look.
    const isOwn = staged === plan || !existsSync(staged.configFile);
    const config = makeRemoteConfig(isOwn ? own : readConfig(staged.bundle, staged.configFile), {});
    if (talk.status === "creating") talk.created();
    await Promise.race([talk.startWanted, aborted(talk.withdrawn)]);
    talk.waitFor("node");
    letGo?.();
    const container = await this.#engine.remote.start(
      {
        jobId: talk.jobId as never,
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
        onMessage: (text) => this.print(text),
      },
      { signal: talk.withdrawn },
    );
    letGoOfStreams([0, 1]); // srun has them; standard error stays, for what ends the container
    this.#terminal = undefined;
    if (terminal !== undefined) closeSync(terminal); // its end is to be seen when srun's is
    talk.withdrawn.addEventListener("abort", () => void this.kill(SIGKILL));
    this.#remote = await container.started;
    talk.waitFor(undefined);
    if (talk.withdrawn.aborted) await this.kill(SIGKILL);
    talk.record();
    talk.started();
    return await container.exited;
  }

  async #stageIn(plan: AnchorPlan, job: GrantedJob): Promise<AnchorPlan> {
    const talk = this.#talk;
    const stop = () => {
      if (talk.waitsFor === "staging") talk.withdraw(new BerthError("CANCELLED", `job ${talk.jobId} was cancelled`));
    };
    this.#held?.ended.then(stop, stop);
    return await stageInWhileTold(plan, job, { staging: this.#staging, talk, onLong: () => talk.created() });
  }

  /** Gives the node that the container is for. */
  async #allocate(plan: AnchorPlan, onQueued: () => void): Promise<{ readonly node: string; readonly info: AllocationInfo }> {
    const talk = this.#talk;
    let info: AllocationInfo | undefined;
    if (plan.request === null) {
      info = await this.#engine.findAllocation(plan.jobId ?? 0, { signal: never });
      talk.jobId = info?.job.jobId ?? null;
    } else {
      const granted = await askForJob(plan.request, { engine: this.#engine, talk, print: (text) => this.print(text), onQueued });
      this.#held = granted.held;
      ({ info } = granted);
    }
    const node = info?.job.batchHost ?? info?.job.nodes[0];
    if (info === undefined || node === undefined || node === null) throw new BerthError("NO_NODE", `Job ${talk.jobId} has no node`);
    return { node, info };
  }

  // --- What others ask of it (Subject) ----------------------------------------------------------------------------------

  get isMade(): boolean {
    return this.#remote !== undefined;
  }

  get initPid(): undefined {
    return undefined; // it is on the node
  }

  record(): Pick<ContainerState, "runtime" | "runtimeOptions" | "remote"> {
    return { runtime: "", runtimeOptions: [], remote: this.#remote ?? null };
  }

  async kill(signal: number): Promise<void> {
    const remote = this.#remote;
    if (remote !== undefined)
      await this.#engine.remote.signal(remote, signal).catch((error: unknown) => this.print(`scrun: ${String(error)}`));
  }

  async follow({ op }: PauseNews): Promise<void> {
    await this.kill(op === "paused" ? SIGSTOP : SIGCONT);
    this.#talk.status = op === "paused" ? "paused" : "running";
  }

  print(line: string): void {
    try {
      if (this.#terminal === undefined) console.error(line);
      else writeSync(this.#terminal, `${line}\r\n`);
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
