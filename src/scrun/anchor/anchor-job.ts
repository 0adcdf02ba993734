/** An anchor's job: asked for, its step 0 opened, suspended with the container, and ended with it. */
import type { Engine, HeldAllocation } from "#engine/engine.ts";
import type { OwnStep, OwnStepEnd, OwnStepOrder } from "#engine/own-step.ts";
import { BerthError } from "#job/errors.ts";
import type { ExitStatus } from "#job/outcome.ts";
import type { AnchorPlan, JobPlan } from "../anchor-wire.ts";
import { askForJob } from "./ask-for-job.ts";
import type { Conversation } from "./conversation.ts";

const RELEASE_MS = 10_000;
const never = new AbortController().signal;

export class AnchorJob {
  readonly #engine: Engine;
  readonly #talk: Conversation;
  #held: HeldAllocation | undefined;
  #step: OwnStep | undefined;
  #isEnded = false;

  constructor(options: { readonly engine: Engine; readonly talk: Conversation }) {
    this.#engine = options.engine;
    this.#talk = options.talk;
  }

  /** Undefined before the job is granted. */
  get step(): OwnStep | undefined {
    return this.#step;
  }

  /** Over when it is granted. @throws BerthError also when it is withdrawn */
  async ask(plan: JobPlan, onQueued: () => void): Promise<void> {
    const talk = this.#talk;
    if (plan.request === null) talk.jobId = plan.jobId;
    else {
      const { held } = await askForJob(plan.request, { engine: this.#engine, talk, print: (text) => talk.print(text), onQueued });
      this.#held = held;
    }
  }

  /** @throws BerthError */
  async openStep(plan: JobPlan, onOrder: (order: OwnStepOrder) => void): Promise<OwnStep> {
    const { jobId, withdrawn } = this.#talk;
    if (jobId === null) throw new Error("no job");
    const { name, submit, bundle, id, annotations } = plan;
    this.#step = await this.#engine.openOwnStep(
      { jobId, name, submit, container: bundle, containerId: id, annotations },
      { signal: withdrawn, onOrder },
    );
    return this.#step;
  }

  /** The container was paused or resumed. An allocation that others use too goes on. */
  async follow(plan: AnchorPlan | undefined, isPaused: boolean): Promise<void> {
    if (plan == null || plan.request === null) return;
    const target = { jobId: this.#talk.jobId ?? 0, arrayTasks: null, stepKey: null };
    try {
      await (isPaused ? this.#engine.suspend(target, { signal: never }) : this.#engine.resume(target, { signal: never }));
    } catch (error) {
      if (!(error instanceof BerthError)) throw error; // suspended by somebody already
    }
  }

  /** A job that had its step ends with it. */
  async end(how: OwnStepEnd): Promise<void> {
    this.#isEnded = true;
    await this.#step?.ended(how);
  }

  /** Nothing when it has ended; otherwise it ends with `notRun`. */
  async release(notRun: ExitStatus): Promise<void> {
    try {
      // A controller that has stopped and comes back ends what nobody holds, and one may never come back.
      await Promise.race([this.#release(notRun), Bun.sleep(RELEASE_MS)]);
    } catch {
      // So does the one that runs.
    }
  }

  async #release(notRun: ExitStatus): Promise<void> {
    if (this.#step === undefined) await this.#held?.release({ code: 1, signal: 0 });
    else if (!this.#isEnded) await this.end({ status: notRun, userCpuMs: 0, systemCpuMs: 0, maxRssKib: null, outOfMemory: false });
  }
}
