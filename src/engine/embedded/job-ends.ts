/** How jobs end: by themselves, by a limit, by a cancel, with their nodes; and how they are queued once more. */
import { BerthError, slurmError } from "#job/errors.ts";
import { nowMs, type EpochMs } from "#job/id.ts";
import { outcomeOf, type Outcome } from "#job/life.ts";
import { EXIT_ZERO, type ExitPair } from "#job/outcome.ts";
import type { JobRecord, StepRecord } from "#job/record.ts";
import { isTerminal } from "#job/state.ts";
import type { StepResult } from "#step/journal.ts";
import type { JobTarget } from "../engine.ts";
import type { JobBook } from "./job-book.ts";
import type { LiveJob, LiveStep } from "./live-job.ts";
import { requeueReason } from "./priority.ts";
import type { Resources } from "./resources.ts";
import type { StepManager } from "./step-manager.ts";
import type { Store } from "./store.ts";

/** Slurm starts a requeued job about two minutes later (lifecycle §5.4). */
const REQUEUE_DELAY_MS = 121_000;

export class JobEnds {
  readonly #book: JobBook;
  readonly #store: Store;
  readonly #resources: Resources;
  readonly #steps: StepManager;
  readonly #requestPass: () => void;

  constructor(parts: {
    readonly book: JobBook;
    readonly store: Store;
    readonly resources: Resources;
    readonly steps: StepManager;
    readonly requestPass: () => void;
  }) {
    this.#book = parts.book;
    this.#store = parts.store;
    this.#resources = parts.resources;
    this.#steps = parts.steps;
    this.#requestPass = parts.requestPass;
  }

  /** What the end of a step means for its job. */
  stepEnded(job: LiveJob, step: LiveStep, result: StepResult): void {
    const { stepKey } = step.record;
    if (typeof stepKey === "number") {
      this.#book.apply(job, { kind: "stepEnded", exit: result.exit });
      // Its one step is what it was for. Whether the step's daemon or we see first that srun is gone makes no difference.
      if (job.record.kind === "srun" && stepKey === 0) {
        if (result.terminated === "clientLost") this.cancelJob(job, job.record.userId);
        else if (result.outOfMemory) {
          this.#book.apply(job, { kind: "exited", exit: result.exit });
          this.end(job, { state: "OUT_OF_MEMORY", reason: "OutOfMemory", cancelledBy: null });
        } else this.endWith(job, result.exit);
      }
    }
    if (stepKey === "batch") {
      // How a script ends on a node that is down says nothing about the script.
      if (job.record.state !== "NODE_FAIL") this.#book.apply(job, { kind: "exited", exit: result.exit });
      if (result.terminated === "nodeFailure") this.end(job, { state: "NODE_FAIL", reason: "NodeDown", cancelledBy: null });
      else if (result.launchFailure === null) this.end(job, outcomeOf(result.exit));
      else this.end(job, { state: "FAILED", reason: "JobLaunchFailure", cancelledBy: null });
    }
    this.releaseWhenEmpty(job);
  }

  /** With this exit status, and the state that follows from it. */
  endWith(job: LiveJob, exit: ExitPair): void {
    this.#book.apply(job, { kind: "exited", exit });
    this.end(job, outcomeOf(exit));
  }

  /** Decides how the job ends, ends its steps, and releases it when they are gone. The first outcome stays. */
  end(job: LiveJob, outcome: Outcome): void {
    const isRequeueOverruled = outcome.state === "CANCELLED" && job.record.state === "PENDING" && !job.isQueued;
    if (!job.isRunning && !isRequeueOverruled) return;
    this.#book.apply(job, { kind: "finishing", at: nowMs(), outcome });
    job.stopAlarms();
    const reason =
      outcome.state === "TIMEOUT"
        ? "timeLimit"
        : outcome.state === "CANCELLED"
          ? "cancelled"
          : outcome.state === "NODE_FAIL"
            ? "nodeFailure"
            : job.requeue !== null
              ? "requeued"
              : "jobEnded";
    for (const step of job.steps.values()) this.#steps.terminate(step, reason, { hard: false });
    this.releaseWhenEmpty(job);
  }

  /** The last step of a job that ends is gone: what the job held is free. Harmless to repeat. */
  releaseWhenEmpty(job: LiveJob): void {
    if (job.steps.size > 0 || !job.record.flags.includes("COMPLETING")) return;
    for (const share of job.record.shares) this.#resources.giveBack(job.lacksCpus ? { ...share, cpuIds: [] } : share);
    job.lacksCpus = false;
    this.#book.occupying.delete(job);
    if (job.requeue !== null) this.requeueNow(job, job.requeue);
    else {
      this.#book.apply(job, { kind: "released", at: nowMs() });
      this.#book.retire(job);
    }
    this.#requestPass();
  }

  /** The run so far is kept as an earlier one, and the job waits again, as itself. */
  requeueNow(job: LiveJob, { isNodeFailure = false, ...how }: NonNullable<LiveJob["requeue"]>): void {
    job.requeue = null;
    const now = nowMs();
    this.#store.transaction(() => {
      const steps = this.#store.steps(job.id);
      this.#store.saveEarlierRun({
        ...asEarlierRun(job.record, now),
        steps,
        earlierRun: isNodeFailure || steps.some(hasLostNode) ? "NODE_FAIL" : "REQUEUED",
      });
      this.#book.apply(job, { kind: "requeued", at: now, eligibleAt: (now + REQUEUE_DELAY_MS) as EpochMs, ...how });
    });
    job.nextStep = 0;
    this.#book.queue.add(job);
  }

  /** A job that never ran. */
  endPending(job: LiveJob, state: "CANCELLED" | "DEADLINE", reason: string): void {
    this.#book.queue.remove(job);
    this.#book.apply(job, { kind: "cancelledPending", at: nowMs(), by: job.record.userId });
    if (state === "DEADLINE" || reason !== job.record.reason) this.#book.save(job, { ...job.record, state, reason });
    this.#book.retire(job);
  }

  /** A step at once, a job by the usual way. @throws BerthError when there is no such job or step */
  cancel(target: JobTarget, by: number): void {
    const jobs = this.#book.resolve(target);
    if (target.stepKey !== null) {
      for (const job of jobs) {
        const step = job.steps.get(target.stepKey);
        if (step === undefined) throw slurmError("INVALID_JOB_ID");
        this.#steps.terminate(step, "cancelled", { hard: true });
      }
      return;
    }
    for (const job of jobs) this.cancelJob(job, by);
  }

  /** Many targets as one change of the queue. What could not be done comes back at the target's place. */
  cancelEach(targets: readonly JobTarget[], by: number): (BerthError | null)[] {
    const queued = new Set<LiveJob>();
    const outcomes = targets.map((target) => {
      try {
        const jobs = target.stepKey === null ? this.#book.resolve(target) : [];
        if (target.stepKey !== null) this.cancel(target, by);
        for (const job of jobs) {
          if (job.isQueued) queued.add(job);
          else this.cancelJob(job, by);
        }
        return null;
      } catch (error) {
        if (error instanceof BerthError) return error;
        throw error;
      }
    });
    this.#cancelQueued(queued, by);
    return outcomes;
  }

  #cancelQueued(jobs: ReadonlySet<LiveJob>, by: number): void {
    if (jobs.size === 0) return;
    this.#book.applyAll([...jobs], { kind: "cancelledPending", at: nowMs(), by });
    if (jobs.size > 1) this.#book.queue.removeAll(jobs);
    else for (const job of jobs) this.#book.queue.remove(job);
    for (const job of jobs) this.#book.retire(job);
    this.#requestPass();
  }

  /** By user `by`; a job that was to be requeued is not. */
  cancelJob(job: LiveJob, by: number): void {
    if (job.isQueued) this.#cancelQueued(new Set([job]), by);
    else {
      job.requeue = null;
      this.end(job, { state: "CANCELLED", reason: "None", cancelledBy: by });
    }
  }

  /** What ran on nodes that are down now is lost: batch jobs that may run again do, the others have failed. */
  nodesFell(names: readonly string[]): void {
    for (const job of [...this.#book.occupying]) {
      const failed = job.record.nodes.filter((node) => names.includes(node));
      if (!job.isRunning || failed.length === 0) continue;
      // An srun says which of its step's nodes failed before it says that the step ends.
      for (const step of [...job.steps.values()].filter(({ record }) => record.stepKey !== "batch"))
        for (const node of step.record.nodes) if (failed.includes(node)) this.#steps.message(step, `error: Node failure on ${node}`);
      if (job.record.kind === "batch" && job.record.requeue) {
        job.requeue = { isHeld: false, description: null, isNodeFailure: true };
        this.end(job, { state: "PENDING", reason: requeueReason(false), cancelledBy: null });
      } else this.end(job, { state: "NODE_FAIL", reason: "NodeDown", cancelledBy: null });
    }
  }
}

/** What the job itself came to counts only when it had ended before it was requeued. */
function asEarlierRun(job: JobRecord, now: EpochMs): JobRecord {
  return { ...job, endedAt: now, flags: [], ...(isTerminal(job.state) ? {} : { state: "CANCELLED", exit: EXIT_ZERO }) };
}

function hasLostNode({ state }: StepRecord): boolean {
  return state === "NODE_FAIL";
}
