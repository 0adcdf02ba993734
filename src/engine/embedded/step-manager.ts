/**
 * The steps of live jobs: creating them, handing them to step daemons, ending them, and finding them again after a
 * restart. Knows nothing of queues; the controller tells it which job, and hears how each step ended.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { connectFrames, parseJsonFrame, type FrameConnection } from "#platform/frames.ts";
import type { JobFacts } from "#job/environment.ts";
import { slurmError } from "#job/errors.ts";
import { nowMs, type StepKey } from "#job/id.ts";
import { EXIT_ZERO, parseWaitStatus } from "#job/outcome.ts";
import type { StepRecord } from "#job/record.ts";
import type { JobRequest } from "#job/request.ts";
import {
  appendToJournal,
  findResult,
  Journal,
  readJournal,
  type JournalEntry,
  type StepResult,
  type TerminateReason,
} from "#step/journal.ts";
import { readPlan, SCRIPT_FILE, writePlan, type StepPlan } from "#step/plan.ts";
import { holdOutput } from "#step/held-output.ts";
import { isLocked } from "#step/step-lock.ts";
import type { FromDaemon, ToDaemon } from "#step/wire.ts";
import { isAlive, killTree, type ProcessIdentity } from "#platform/process-tree.ts";
import type { MeasuredStep, OwnStepRequest, StepRequest } from "../engine.ts";
import { measureSteps } from "./measure-steps.ts";
import type { ClusterConfig } from "./config.ts";
import type { DaemonPool } from "./daemon-pool.ts";
import { endedRecord } from "./ended-step.ts";
import { Alarm, type LiveJob, type LiveStep } from "./live-job.ts";
import { stepSocket, stepSpool, type Paths } from "./paths.ts";
import { StepDrafts, type StepDraft } from "./step-drafts.ts";
import { layOut, type StepLayout } from "./step-layout.ts";
import { spaceFor, waitForStepEnd } from "./step-space.ts";
import type { Store } from "./store.ts";
import type { CreatedOwnStep, CreatedStep, FoundStep } from "./wire.ts";

export interface StepManagerHost {
  readonly config: ClusterConfig;
  readonly paths: Paths;
  readonly store: Store;
  readonly pool: DaemonPool;
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
const MAX_LOSSES = 10;
const LOSSES_WITHIN_MS = 30_000;
/** How often a daemon is looked for that lives and cannot be reached. */
const FIND_AGAIN_MS = 640;

export class StepManager {
  readonly #host: StepManagerHost;
  readonly #drafts: StepDrafts;
  /** Spool directories of the steps that have not ended. */
  readonly #spools = new Set<string>();
  /** By spool directory, of steps that have lost a daemon. */
  readonly #heldOutput = new Map<string, Disposable>();

  constructor(host: StepManagerHost) {
    this.#host = host;
    this.#drafts = new StepDrafts(host);
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

  measure(job: LiveJob): MeasuredStep[] {
    return measureSteps(job, this.#host.paths);
  }

  /** Where a step is that runs. @throws BerthError INVALID_JOB_ID when there is none, or its daemon is not ours */
  find(job: LiveJob, stepKey: StepKey): FoundStep {
    const step = job.steps.get(stepKey);
    if (step === undefined || step.isOwned || stepKey === "batch") throw slurmError("INVALID_JOB_ID");
    const { facts, socketPath } = readPlan(stepSpool(this.#host.paths, job.record, stepKey));
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
    const spoolDir = this.#makeSpool(job, stepKey, plan);
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

  /** An owner that died before it listened: nobody else would notice. */
  ownerDisconnected(job: LiveJob, stepKey: StepKey, owner: ProcessIdentity): void {
    const step = job.steps.get(stepKey);
    if (step?.isOwned === true && step.daemon === null && !isAlive(owner)) this.#daemonLost(job, step);
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
    const spool = this.#makeSpool(job, record.stepKey, plan);
    if (script !== undefined) writeFileSync(`${spool}/${SCRIPT_FILE}`, script, { mode: 0o700, flag: "wx" });
    store.saveStep(record);
    const step = this.#track(job, record, { ...held, isOwned: false });
    const daemon = await pool.take();
    this.#attach(job, step, daemon);
    this.#run(step, spool);
    return step;
  }

  #makeSpool(job: LiveJob, stepKey: StepKey, plan: StepPlan): string {
    const spool = stepSpool(this.#host.paths, job.record, stepKey);
    rmSync(spool, { recursive: true, force: true }); // of a controller that was killed before it had recorded the step
    mkdirSync(spool, { mode: 0o700 });
    writePlan(spool, plan);
    return spool;
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
    this.#spools.add(stepSpool(this.#host.paths, job.record, record.stepKey));
    if (record.timeLimitMinutes !== null) {
      step.limit = new Alarm(record.startedAt + record.timeLimitMinutes * 60_000, () => this.terminate(step, "timeLimit", { hard: false }));
    }
    return step;
  }

  #attach(job: LiveJob, step: LiveStep, daemon: FrameConnection): void {
    step.daemon = daemon;
    const spool = stepSpool(this.#host.paths, job.record, step.record.stepKey); // of this run of the job
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
        else this.#removeSpool(spool);
      },
    });
  }

  /** The daemon has died. What its journal says is true; without a result there, its processes are gone or orphaned. */
  #daemonLost(job: LiveJob, step: LiveStep): void {
    const spool = stepSpool(this.#host.paths, job.record, step.record.stepKey);
    const journal = readJournal(spool);
    const result = findResult(journal);
    if (result !== undefined) {
      this.#finish(job, step, result);
      this.#removeSpool(spool); // the daemon is not there to do it
      return;
    }
    const daemon = journal.findLast((entry) => entry.kind === "daemon")?.process;
    if (daemon !== undefined && this.#isHeld(step, spool, daemon)) {
      void this.#findAgain(job, step, { spool, daemon });
      return;
    }
    const now = performance.now();
    step.losses = [...step.losses.filter((at) => now - at < LOSSES_WITHIN_MS), now];
    if (step.isOwned) {
      this.#host.log("step.ownerLost", { job: job.id, step: step.record.stepKey });
      this.#abandonTasks(job, step, { exit: { code: 0, signal: SIGKILL }, terminated: step.terminating?.reason ?? null });
      return;
    }
    if (!this.#heldOutput.has(spool)) this.#heldOutput.set(spool, holdOutput(spool));
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

  /**
   * The daemon lives, so the step does, however long it takes to reach it: it begins to listen in a moment, or it did in a runtime directory that is
   * gone. Told so (SIGHUP) it listens again; the owner of a step does that by itself.
   */
  async #findAgain(
    job: LiveJob,
    step: LiveStep,
    { spool, daemon }: { readonly spool: string; readonly daemon: ProcessIdentity },
  ): Promise<void> {
    for (let waitMs = 10; this.#isHeld(step, spool, daemon); waitMs = Math.min(waitMs * 2, FIND_AGAIN_MS)) {
      if (await this.#reconnect(job, step)) return;
      if (waitMs === FIND_AGAIN_MS && !step.isOwned) tellToListen(daemon);
      await Bun.sleep(waitMs);
      if (job.steps.get(step.record.stepKey) !== step || step.daemon !== null) return;
    }
    this.#daemonLost(job, step);
  }

  /** A daemon that lives may have another step by now, and then it has not this one's lock. */
  #isHeld(step: LiveStep, spool: string, daemon: ProcessIdentity): boolean {
    return isAlive(daemon) && (step.isOwned || isLocked(spool));
  }

  async #reconnect(job: LiveJob, step: LiveStep): Promise<boolean> {
    const daemon = await connectToFirst(this.#possibleSockets(job, step));
    if (daemon === undefined) return false;
    this.#attach(job, step, daemon);
    this.#say(step, { op: "control" });
    if (step.terminating !== null) this.#say(step, { op: "terminate", ...step.terminating });
    this.#host.log("step.reconnected", { job: job.id, step: step.record.stepKey });
    return true;
  }

  /** Where its plan says, or where it listens again (platform/lasting-listener.ts). */
  #possibleSockets(job: LiveJob, step: LiveStep): Set<string> {
    const { stepKey } = step.record;
    const renewed = stepSocket(this.#host.paths, job.record, stepKey);
    try {
      return new Set([readPlan(stepSpool(this.#host.paths, job.record, stepKey)).socketPath, renewed]);
    } catch {
      return new Set([renewed]); // the spool is gone; its daemon, if there is one, knows
    }
  }

  /** Ends a step that nobody looks after any more: what its journal names is killed. */
  #abandonTasks(job: LiveJob, step: LiveStep, end: Pick<StepResult, "exit" | "terminated">): void {
    const spool = stepSpool(this.#host.paths, job.record, step.record.stepKey);
    for (const entry of readJournal(spool)) if (entry.kind === "started" && isAlive(entry.process)) killTree(entry.process.pid);
    const usage = { userCpuMs: 0, systemCpuMs: 0, maxRssKib: null, maxRssTask: null, maxRssNode: null };
    this.#finish(job, step, { ...end, usage, endedAt: nowMs(), launchFailure: null, outOfMemory: false });
    this.#removeSpool(spool);
  }

  #removeSpool(spool: string): void {
    if (!this.#spools.has(spool)) rmSync(spool, { recursive: true, force: true });
  }

  /** What was said while the step had no daemon is said now. */
  #run(step: LiveStep, spoolDir: string): void {
    this.#say(step, { op: "run", spoolDir });
    if (step.terminating !== null) this.#say(step, { op: "terminate", ...step.terminating });
  }

  /** We have inherited and reaped a task of a daemon that was killed: the one that takes over needs to know how it ended. */
  reaped(jobs: Iterable<LiveJob>, orphan: { readonly pid: number; readonly waitStatus: number }): void {
    for (const job of jobs) {
      for (const stepKey of job.steps.keys()) {
        const spool = stepSpool(this.#host.paths, job.record, stepKey);
        const entries = readJournal(spool);
        const isTask = entries.some((entry) => (entry.kind === "started" || entry.kind === "created") && entry.process?.pid === orphan.pid);
        // A daemon that was killed while it launched may not have written the task's pid down: the next one finds the process, or not.
        if (isTask || isLaunching(entries))
          appendToJournal(spool, { kind: "reaped", pid: orphan.pid, status: parseWaitStatus(orphan.waitStatus) });
      }
    }
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
    const spool = stepSpool(this.#host.paths, job.record, step.record.stepKey);
    this.#spools.delete(spool);
    this.#heldOutput.get(spool)?.[Symbol.dispose]();
    this.#heldOutput.delete(spool);
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
    const isOwned = this.#isOwned(job, record.stepKey);
    const cpuIds = new Map(record.stepKey === "batch" || isOwned ? [] : job.record.shares.map((share) => [share.node, share.cpuIds]));
    const step = this.#track(job, record, { cpuIds, gres: this.#heldDevices(job, record.stepKey), isOwned });
    if (typeof record.stepKey === "number") job.nextStep = Math.max(job.nextStep, record.stepKey + 1);
    if (!(await this.#reconnect(job, step))) this.#daemonLost(job, step);
  }

  /** Which devices a step of before the restart holds, its plan knows. */
  #heldDevices(job: LiveJob, stepKey: StepKey): LiveStep["gres"] {
    try {
      return new Map(Object.entries(readPlan(stepSpool(this.#host.paths, job.record, stepKey)).heldGres ?? {}));
    } catch {
      return new Map(); // the spool is gone, and with it the step
    }
  }

  #isOwned(job: LiveJob, stepKey: StepKey): boolean {
    try {
      return readPlan(stepSpool(this.#host.paths, job.record, stepKey)).isOwned === true;
    } catch {
      return false; // the spool is gone; its daemon, if there is one, knows
    }
  }
}

/** Undefined when nobody listens at any of them. */
async function connectToFirst(paths: Iterable<string>): Promise<FrameConnection | undefined> {
  for (const path of paths) {
    try {
      return await connectFrames(path);
    } catch {
      // the next one
    }
  }
  return undefined;
}

function tellToListen({ pid }: ProcessIdentity): void {
  try {
    process.kill(pid, "SIGHUP");
  } catch {
    // gone meanwhile
  }
}

/** Whether a task's process may exist that is not written down. */
function isLaunching(entries: readonly JournalEntry[]): boolean {
  return entries.some(
    (entry) => entry.kind === "launching" && !entries.some((other) => other.kind === "started" && other.task === entry.task),
  );
}
