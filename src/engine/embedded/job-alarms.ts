/** A job's time limit, and the signal that it asked for before that (--signal). */
import type { JobEnds } from "./job-ends.ts";
import { Alarm, type LiveJob } from "./live-job.ts";
import type { StepManager } from "./step-manager.ts";

export class JobAlarms {
  readonly #ends: JobEnds;
  readonly #steps: StepManager;

  constructor(parts: { readonly ends: JobEnds; readonly steps: StepManager }) {
    this.#ends = parts.ends;
    this.#steps = parts.steps;
  }

  /** By its record as it is now. Harmless to repeat. */
  set(job: LiveJob): void {
    job.stopAlarms();
    const { record } = job;
    if (record.startedAt === null || record.timeLimitMinutes === null) return;
    const end = record.startedAt + record.suspendedMs + record.timeLimitMinutes * 60_000;
    job.alarms.push(new Alarm(end, () => this.#ends.end(job, { state: "TIMEOUT", reason: "TimeLimit", cancelledBy: null })));
    const { warnSignal } = record;
    if (warnSignal !== null) {
      job.alarms.push(new Alarm(end - warnSignal.seconds * 1000, () => this.#warn(job)));
    }
  }

  #warn(job: LiveJob): void {
    const { warnSignal } = job.record;
    if (warnSignal === null || job.record.state !== "RUNNING") return;
    for (const [key, step] of job.steps) {
      if ((key === "batch") === warnSignal.toBatch) this.#steps.signal(step, warnSignal.signal, warnSignal.toBatch ? "batch" : "steps");
    }
  }
}
