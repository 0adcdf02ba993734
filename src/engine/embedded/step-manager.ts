/**
 * The steps of live jobs: creating them, handing them to step daemons, ending them, and finding them again after a
 * restart. Knows nothing of queues; the controller tells it which job, and hears how each step ended.
 */
import type { RuntimeCopyKeeper } from "#container/runtime-copy.ts";
import { parseJsonFrame, type FrameConnection } from "#platform/frames.ts";
import type { JobFacts } from "#job/environment.ts";
import { slurmError } from "#job/errors.ts";
import { nowMs, type StepKey } from "#job/id.ts";
import { EXIT_ZERO } from "#job/outcome.ts";
import type { StepRecord } from "#job/record.ts";
import type { JobRequest } from "#job/request.ts";
import { findResult, Journal, readJournal, type StepResult, type TerminateReason } from "#step/journal.ts";
import { readPlan } from "#step/plan.ts";
import type { FromDaemon, ToDaemon } from "#step/wire.ts";
import { isAlive, killTree, type ProcessIdentity } from "#platform/process-tree.ts";
import type { StepRequest } from "../engine.ts";
import type { OwnStepRequest } from "../own-step.ts";
import type { ClusterConfig } from "./config.ts";
import type { DaemonPool } from "./daemon-pool.ts";
import { endedRecord } from "./ended-step.ts";
import { Alarm, type LiveJob, type LiveStep } from "./live-job.ts";
import { stepSocket, type Paths } from "./paths.ts";
import { StepDrafts, type StepDraft } from "./step-drafts.ts";
import { layOut, type StepLayout } from "./step-layout.ts";
import { spaceFor, waitForStepEnd } from "./step-space.ts";
import { noteReaped, StepSpools } from "./step-spools.ts";
import type { Store } from "./store.ts";
import { connectToFirst, findAgain, findHolder } from "./unreachable-daemon.ts";
import type { CreatedOwnStep, CreatedStep, FoundStep } from "./wire.ts";

export interface StepManagerHost {
  readonly config: ClusterConfig;
  readonly paths: Paths;
  readonly store: Store;
  readonly pool: DaemonPool;
  readonly runtimeCopies: RuntimeCopyKeeper;
  /** Everything of the step is gone and its record is saved. */
  stepEnded(job: LiveJob, step: LiveStep, result: StepResult): void;
  jobFacts(job: LiveJob): JobFacts;
  log(event: string, facts: Readonly<Record<string, unknown>>): void;
}

const SIGKILL = 9;
/** How long a daemon may take from "run" to "ready" before the step is given up. */
const READY_MS = 60_000;
/** After a result could not be saved. */
const SAVE_AGAIN_MS = 1000;
/** A step that loses more daemons than this within that time is what kills them. */
/** How often it is looked for the end of a step's owner who does not listen. */
const OWNER_POLL_MS = 200;
const MAX_LOSSES = 10;
const LOSSES_WITHIN_MS = 30_000;

export class StepManager {
  readonly #host: StepManagerHost;
  readonly #drafts: StepDrafts;
  readonly #spools: StepSpools;

  constructor(host: StepManagerHost) {
    this.#host = host;
    this.#drafts = new StepDrafts(host);
    this.#spools = new StepSpools(host.paths);
  }

  /** Waits for CPUs inside the allocation; resolves when srun may attach. */
  async create(
    job: LiveJob,
    request: StepRequest,
    options: { readonly signal: AbortSignal; readonly onWait: (text: string) => void },
  ): Promise<CreatedStep> {
    const since = Date.now();
    let waited = false;
    for (;;) {
      options.signal.throwIfAborted();
      if (job.record.state === "PENDING") throw slurmError("JOB_PENDING");
      if (!job.isRunning) throw slurmError("ALREADY_DONE");
      const layout = layOut(request, spaceFor(job, request));
      if (layout !== undefined) return { ...(await this.#launch(job, request, layout)), waited };
      const patienceMs = request.immediateSeconds === null ? Infinity : request.immediateSeconds * 1000 - (Date.now() - since);
      if (patienceMs <= 0) throw slurmError("NODES_BUSY");
      if (!waited && request.immediateSeconds === null) options.onWait(slurmError("NODES_BUSY").message);
      waited = true;
      await waitForStepEnd(job, { signal: options.signal, patienceMs });
    }
  }

  async #launch(job: LiveJob, request: StepRequest, layout: StepLayout): Promise<{ step: StepRecord; socketPath: string }> {
    const stepKey: StepKey = request.kind === "interactive" ? "interactive" : job.nextStep++;
    const draft = this.#drafts.step(job, stepKey, request, { layout, overlaps: spaceFor(job, request).overlaps });
    const step = await this.#start(job, draft);
    await Promise.race([step.ready.promise, step.ended.promise, Bun.sleep(READY_MS)]);
    return { step: step.record, socketPath: draft.plan.socketPath };
  }

  /** Where a step is that runs. @throws BerthError INVALID_JOB_ID when there is none, or its daemon is not ours */
  find(job: LiveJob, stepKey: StepKey): FoundStep {
    const step = job.steps.get(stepKey);
    if (step === undefined || step.isOwned || stepKey === "batch") throw slurmError("INVALID_JOB_ID");
    const { facts, socketPath } = readPlan(this.#spools.of(job.record, stepKey));
    return { step: step.record, socketPath, waited: false, layout: facts.nodes.map(({ name, ranks }) => ({ node: name, ranks })) };
  }

  /** A step that `owner` runs. Spool and record are there before it hears of it, so that its end is found whatever dies. */
  createOwn(job: LiveJob, request: OwnStepRequest, owner: ProcessIdentity): CreatedOwnStep {
    const [share] = job.record.shares;
    if (share === undefined) throw new Error(`job ${job.id} has no nodes`);
    const { store, config } = this.#host;
    const stepKey = job.nextStep++;
    const { record, plan, held } = this.#drafts.ownStep(job, stepKey, request, { owner, share });
    const { environment, socketPath } = plan;
    const spoolDir = this.#spools.make(job.record, stepKey, { plan });
    using journal = new Journal(spoolDir);
    journal.append({ kind: "daemon", process: owner });
    store.saveStep(record);
    this.#track(job, record, { ...held, isOwned: true });
    const { killWaitSeconds } = config;
    return { step: record, job: job.record, socketPath, spoolDir, environment, gres: share.gres, killWaitSeconds };
  }

  /** From now on we hear from the owner, and notice when it is gone. */
  async ownerListens(job: LiveJob, stepKey: StepKey): Promise<void> {
    const step = job.steps.get(stepKey);
    if (step?.isOwned === true && step.daemon === null) await this.#reconnect(job, step);
  }

  /** An owner that ends before it listens: nobody else would notice. One that ends by itself lets go of its connection first. */
  async ownerDisconnected(job: LiveJob, stepKey: StepKey, owner: ProcessIdentity): Promise<void> {
    const step = job.steps.get(stepKey);
    const isSilent = () => job.steps.get(stepKey) === step && step?.isOwned === true && step.daemon === null;
    while (isSilent() && isAlive(owner)) await Bun.sleep(OWNER_POLL_MS);
    if (step !== undefined && isSilent()) this.#daemonLost(job, step);
  }

  /** Starts the batch script as step `batch` on the job's first node. */
  async launchBatch(job: LiveJob, request: JobRequest): Promise<void> {
    const { batch } = request;
    const [share] = job.record.shares;
    if (batch === null || share === undefined) throw new Error(`job ${job.id} has no script or no nodes`);
    await this.#start(job, this.#drafts.batchStep(job, request, { batch, share }), batch.script);
  }

  /** Spool first, then the record, then the daemon: what a crash leaves between two of them is swept at the next start, or made anew. */
  async #start(job: LiveJob, { record, plan, held }: StepDraft, script?: string): Promise<LiveStep> {
    const { store, pool } = this.#host;
    const spool = this.#spools.make(job.record, record.stepKey, { plan, ...(script === undefined ? {} : { script }) });
    store.saveStep(record);
    const step = this.#track(job, record, { ...held, isOwned: false });
    const daemon = await pool.take();
    this.#attach(job, step, daemon);
    this.#run(step, spool);
    return step;
  }

  #track(job: LiveJob, record: StepRecord, how: Pick<LiveStep, "cpuIds" | "gres" | "isOwned">): LiveStep {
    const step: LiveStep = {
      record,
      ...how,
      daemon: null,
      terminating: null,
      losses: [],
      retry: undefined,
      limit: undefined,
      ready: Promise.withResolvers(),
      ended: Promise.withResolvers(),
    };
    job.steps.set(record.stepKey, step);
    this.#spools.keep(this.#spools.of(job.record, record.stepKey));
    if (record.timeLimitMinutes !== null) {
      step.limit = new Alarm(record.startedAt + record.timeLimitMinutes * 60_000, () => this.terminate(step, "timeLimit", { hard: false }));
    }
    return step;
  }

  #attach(job: LiveJob, step: LiveStep, daemon: FrameConnection): void {
    step.daemon = daemon;
    const spool = this.#spools.of(job.record, step.record.stepKey); // of this run of the job
    daemon.handle({
      frame: (_type, payload) => {
        const message = parseJsonFrame(payload) as FromDaemon;
        if (message.event === "ready") step.ready.resolve();
        else if (message.event === "ended") this.#finish(job, step, message.result);
      },
      closed: () => {
        step.daemon = null;
        if (job.steps.get(step.record.stepKey) === step) this.#daemonLost(job, step);
        // Told of the end, it removes the spool itself, unless it was killed before it could.
        else this.#spools.remove(spool);
      },
    });
  }

  /** The daemon has died. What its journal says is true; without a result there, its processes are gone or orphaned. */
  #daemonLost(job: LiveJob, step: LiveStep): void {
    const spool = this.#spools.of(job.record, step.record.stepKey);
    const result = findResult(readJournal(spool));
    if (result !== undefined) {
      this.#finish(job, step, result);
      this.#spools.remove(spool); // the daemon is not there to do it
      return;
    }
    if (findHolder(spool, step) !== undefined) {
      void this.#findAgain(job, step, spool);
      return;
    }
    const now = performance.now();
    step.losses = [...step.losses.filter((at) => now - at < LOSSES_WITHIN_MS), now];
    if (step.isOwned) {
      this.#host.log("step.ownerLost", { job: job.id, step: step.record.stepKey });
      this.#abandonTasks(job, step, { exit: { code: 0, signal: SIGKILL }, terminated: step.terminating?.reason ?? null });
      return;
    }
    this.#spools.holdOutput(spool);
    this.#host.log("step.daemonLost", { job: job.id, step: step.record.stepKey, times: step.losses.length });
    if (step.losses.length > MAX_LOSSES) {
      // No daemon survives this step: it ends like on a node that failed.
      this.#host.log("step.givenUp", { job: job.id, step: step.record.stepKey });
      this.#abandonTasks(job, step, { exit: EXIT_ZERO, terminated: "nodeFailure" });
    } else void this.#takeOver(job, step, spool);
  }

  /**
   * Another daemon reads the plan and the journal and goes on where the dead one stopped. The one we lost may live, if it
   * is we who are new and its journal could not be written: then it holds the step's lock, so that a second one leaves again.
   */
  async #takeOver(job: LiveJob, step: LiveStep, spool: string): Promise<void> {
    if (step.losses.length > 1) await Bun.sleep(Math.min(20 * 2 ** step.losses.length, 1000));
    if (await this.#reconnect(job, step)) return;
    const daemon = await this.#host.pool.take();
    this.#attach(job, step, daemon);
    this.#run(step, spool);
  }

  /** Its daemon lives, so the step does, however long it takes to reach it. */
  async #findAgain(job: LiveJob, step: LiveStep, spool: string): Promise<void> {
    const isSettled = () => job.steps.get(step.record.stepKey) !== step || step.daemon !== null;
    await findAgain(spool, { isOwned: step.isOwned, connect: async () => isSettled() || (await this.#reconnect(job, step)) });
    if (!isSettled()) this.#daemonLost(job, step);
  }

  async #reconnect(job: LiveJob, step: LiveStep): Promise<boolean> {
    const { stepKey } = step.record;
    // Where its plan says, or where it listens again (platform/lasting-listener.ts).
    const renewed = stepSocket(this.#host.paths, job.record, stepKey);
    const daemon = await connectToFirst(new Set([this.#spools.findPlan(job.record, stepKey)?.socketPath ?? renewed, renewed]));
    if (daemon === undefined) return false;
    this.#attach(job, step, daemon);
    this.#say(step, { op: "control" });
    if (step.terminating !== null) this.#say(step, { op: "terminate", ...step.terminating });
    this.#host.log("step.reconnected", { job: job.id, step: step.record.stepKey });
    return true;
  }

  /** Ends a step that nobody looks after any more: what its journal names is killed. */
  #abandonTasks(job: LiveJob, step: LiveStep, end: Pick<StepResult, "exit" | "terminated">): void {
    const spool = this.#spools.of(job.record, step.record.stepKey);
    for (const entry of readJournal(spool)) if (entry.kind === "started" && isAlive(entry.process)) killTree(entry.process.pid);
    const usage = { userCpuMs: 0, systemCpuMs: 0, maxRssKib: null, maxRssTask: null, maxRssNode: null };
    this.#finish(job, step, { ...end, usage, endedAt: nowMs(), launchFailure: null, outOfMemory: false });
    this.#spools.remove(spool);
  }

  /** What was said while the step had no daemon is said now. */
  #run(step: LiveStep, spoolDir: string): void {
    this.#say(step, { op: "run", spoolDir, runtimeCopy: this.#host.runtimeCopies.current });
    if (step.terminating !== null) this.#say(step, { op: "terminate", ...step.terminating });
  }

  /** We have inherited and reaped a task of a daemon that was killed. */
  reaped(jobs: Iterable<LiveJob>, orphan: { readonly pid: number; readonly waitStatus: number }): void {
    for (const job of jobs) for (const stepKey of job.steps.keys()) noteReaped(this.#spools.of(job.record, stepKey), orphan);
  }

  #finish(job: LiveJob, step: LiveStep, result: StepResult): void {
    if (job.steps.get(step.record.stepKey) !== step) return; // told twice
    clearTimeout(step.retry);
    const ended = endedRecord(step.record, result);
    try {
      this.#host.store.proveRoom(JSON.stringify([ended, job.record]));
    } catch (error) {
      // A full disk: nothing is changed yet. The daemon keeps the result, or its journal does, until there is room.
      this.#host.log("step.notSaved", { job: job.id, step: step.record.stepKey, error: String(error) });
      step.retry = setTimeout(() => this.#finish(job, step, result), SAVE_AGAIN_MS);
      return;
    }
    step.limit?.stop();
    step.record = ended;
    job.steps.delete(step.record.stepKey);
    this.#spools.letGo(this.#spools.of(job.record, step.record.stepKey));
    this.#host.store.transaction(() => {
      this.#host.store.saveStep(step.record);
      this.#host.stepEnded(job, step, result);
    });
    this.#say(step, { op: "acknowledged" });
    step.daemon?.end();
    step.ended.resolve(result);
    for (const wake of [...job.stepWaiters]) wake();
  }

  #say(step: LiveStep, message: ToDaemon): void {
    step.daemon?.sendJson(message);
  }

  terminate(step: LiveStep, reason: TerminateReason, options: { readonly hard: boolean }): void {
    step.terminating = { reason: step.terminating?.reason ?? reason, hard: options.hard || step.terminating?.hard === true };
    this.#say(step, { op: "terminate", reason, hard: options.hard });
  }

  signal(step: LiveStep, signal: number, scope: "batch" | "full" | "steps"): void {
    this.#say(step, { op: "signal", signal, scope });
  }

  message(step: LiveStep, text: string): void {
    this.#say(step, { op: "message", text });
  }

  /** After a restart: connects to the daemon of a step that was running, or reads what it left. */
  async recover(job: LiveJob, record: StepRecord): Promise<void> {
    // Who runs it, and which devices it holds, its plan knows. Without one the step is gone, or its daemon knows.
    const plan = this.#spools.findPlan(job.record, record.stepKey);
    const isOwned = plan?.isOwned === true;
    const cpuIds = new Map(record.stepKey === "batch" || isOwned ? [] : job.record.shares.map((share) => [share.node, share.cpuIds]));
    const step = this.#track(job, record, { cpuIds, gres: new Map(Object.entries(plan?.heldGres ?? {})), isOwned });
    if (typeof record.stepKey === "number") job.nextStep = Math.max(job.nextStep, record.stepKey + 1);
    if (!(await this.#reconnect(job, step))) this.#daemonLost(job, step);
  }
}
