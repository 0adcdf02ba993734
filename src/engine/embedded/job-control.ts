/** What scontrol and scancel do to jobs that live on: hold, release, requeue, suspend, resume, update, signals. */
import { slurmError } from "#job/errors.ts";
import { nowMs } from "#job/id.ts";
import type { JobTarget, SignalScope } from "../engine.ts";
import type { JobBook } from "./job-book.ts";
import type { JobAlarms } from "./job-alarms.ts";
import type { JobEnds } from "./job-ends.ts";
import type { LiveJob } from "./live-job.ts";
import { FIRST_PRIORITY, REQUEUED_HELD, requeueReason } from "./priority.ts";
import type { Resources } from "./resources.ts";
import type { StepManager } from "./step-manager.ts";

const SIGKILL = 9;
const SIGCONT = 18;
const SIGSTOP = 19;

export class JobControl {
  readonly #book: JobBook;
  readonly #steps: StepManager;
  readonly #resources: Resources;
  readonly #ends: JobEnds;
  readonly #alarms: JobAlarms;
  readonly #requestPass: () => void;

  constructor(parts: {
    readonly book: JobBook;
    readonly steps: StepManager;
    readonly resources: Resources;
    readonly ends: JobEnds;
    readonly alarms: JobAlarms;
    readonly requestPass: () => void;
  }) {
    this.#book = parts.book;
    this.#steps = parts.steps;
    this.#resources = parts.resources;
    this.#ends = parts.ends;
    this.#alarms = parts.alarms;
    this.#requestPass = parts.requestPass;
  }

  hold(target: JobTarget): void {
    for (const job of this.#book.resolve(target)) this.#reprioritise(job, 0, "JobHeldUser");
  }

  releaseHold(target: JobTarget): void {
    for (const job of this.#book.resolve(target)) {
      if (job.record.priority !== 0) continue;
      this.#reprioritise(job, Math.max(1, FIRST_PRIORITY - job.id - job.record.nice), "None");
    }
    this.#requestPass();
  }

  #reprioritise(job: LiveJob, priority: number, reason: string): void {
    const { isQueued } = job;
    if (isQueued) this.#book.queue.remove(job);
    this.#book.save(job, { ...job.record, priority, reason, stateDescription: priority === 0 ? job.record.stateDescription : null });
    if (isQueued) this.#book.queue.add(job);
  }

  requeue(target: JobTarget & { readonly hold: boolean }): void {
    const how = { isHeld: target.hold, description: target.hold ? REQUEUED_HELD : null };
    const jobs = this.#book.resolve(target, { orEnded: true });
    for (const job of jobs) if (!job.record.requeue || job.record.kind !== "batch") throw slurmError("DISABLED");
    for (const job of jobs) {
      if (job.record.state === "PENDING") {
        if (!job.isQueued) job.requeue = how;
        else if (target.hold) this.#reprioritise(job, 0, "JobHeldUser");
      } else if (job.isRunning) {
        job.requeue = how;
        this.#ends.end(job, { state: "PENDING", reason: requeueReason(how.isHeld), cancelledBy: null });
      } else {
        this.#book.recent.delete(job.id);
        this.#book.add(job);
        this.#ends.requeueNow(job, how);
        this.#requestPass();
      }
    }
  }

  suspend(target: JobTarget): void {
    for (const job of this.#book.resolve(target)) {
      if (job.record.state === "PENDING") throw slurmError("JOB_PENDING");
      if (job.record.state !== "RUNNING") throw slurmError("ALREADY_DONE");
      for (const step of job.steps.values()) this.#steps.signal(step, SIGSTOP, "full");
      this.#book.apply(job, { kind: "suspended", at: nowMs() });
      job.stopAlarms();
      this.#lendCpus(job, true);
    }
  }

  resume(target: JobTarget): void {
    for (const job of this.#book.resolve(target)) {
      if (job.record.state !== "SUSPENDED") throw slurmError("ALREADY_DONE");
      this.#book.apply(job, { kind: "resumed", at: nowMs() });
      this.#lendCpus(job, false);
      for (const step of job.steps.values()) this.#steps.signal(step, SIGCONT, "full");
      this.#alarms.set(job);
    }
  }

  /** A suspended job's CPUs are free for others; once it resumes it has them back, though others may use them too. */
  #lendCpus(job: LiveJob, isLent: boolean): void {
    if (job.lacksCpus === isLent) return;
    job.lacksCpus = isLent;
    for (const { node, cpuIds } of job.record.shares) {
      const cpus = { node, cpuIds, memMib: 0, gres: {} };
      if (isLent) this.#resources.giveBack(cpus);
      else this.#resources.hold(cpus);
    }
    this.#requestPass();
  }

  notify(target: JobTarget, text: string): void {
    for (const job of this.#book.resolve(target)) {
      const batch = job.steps.get("batch");
      if (job.holder !== null) job.holder.notify({ kind: "message", text });
      else if (batch !== undefined) this.#steps.message(batch, text);
      else throw slurmError("DISABLED");
    }
  }

  signal(target: JobTarget & { readonly signalNumber: number; readonly scope: SignalScope }, by: number): void {
    if (target.signalNumber === SIGKILL && target.stepKey === null && target.scope !== "batch") {
      this.#ends.cancel(target, by);
      return;
    }
    for (const job of this.#book.resolve(target)) {
      if (job.record.state === "PENDING") throw slurmError("JOB_PENDING");
      this.#signalJob(job, target);
    }
  }

  #signalJob(job: LiveJob, target: JobTarget & { readonly signalNumber: number; readonly scope: SignalScope }): void {
    const { scope, signalNumber, stepKey } = target;
    let isFound = false;
    for (const [key, step] of job.steps) {
      const isBatch = key === "batch";
      const isMeant = stepKey !== null ? key === stepKey : scope === "full" || isBatch === (scope === "batch");
      if (!isMeant) continue;
      isFound = true;
      this.#steps.signal(step, signalNumber, isBatch && scope === "batch" ? "batch" : "full");
    }
    if (stepKey !== null && !isFound) throw slurmError("INVALID_JOB_ID");
    if (signalNumber === SIGSTOP || signalNumber === SIGCONT) {
      const flags = job.record.flags.filter((flag) => flag !== "STOPPED");
      this.#book.save(job, { ...job.record, flags: signalNumber === SIGSTOP ? [...flags, "STOPPED"] : flags });
    }
  }
}
