/** An anchor's job: asked for, waited for, and the container staged in to where it runs, while who waits is told what for. */
import type { AllocationInfo, Engine, HeldAllocation } from "#engine/engine.ts";
import type { JobRequest } from "#job/request.ts";
import type { AnchorStaging, GrantedJob } from "../staging/anchor-staging.ts";
import type { AnchorPlan } from "../anchor-wire.ts";
import { cancelledInQueue } from "../request/job-request.ts";
import type { Conversation } from "./conversation.ts";

export interface Granted {
  readonly held: HeldAllocation;
  readonly info: AllocationInfo | undefined;
}

/** Gives the job when it is granted. @throws BerthError also when it is withdrawn */
export async function askForJob(
  request: JobRequest,
  call: {
    readonly engine: Engine;
    readonly talk: Conversation;
    readonly print: (text: string) => void;
    readonly onQueued: () => void;
  },
): Promise<Granted> {
  const { engine, talk } = call;
  let info: AllocationInfo | undefined;
  const asked = engine.allocate(request, {
    signal: talk.withdrawn,
    onEvent: (event) => {
      if (event.kind === "granted") {
        ({ info } = event);
        talk.jobId = event.info.job.jobId;
        return;
      }
      if (event.kind === "message") {
        call.print(event.text);
        return;
      }
      talk.jobId = event.jobId;
      talk.waitFor("resources");
      call.onQueued();
    },
  });
  const held = await asked.catch((error: unknown) => {
    throw cancelledInQueue(error, talk.jobId);
  });
  talk.waitFor(undefined);
  talk.jobId = info?.job.jobId ?? held.jobId;
  return { held, info };
}

/** create does not wait for the whole of a long one, as it does not for the queue: `onLong` lets it go. */
export async function stageInWhileTold(
  plan: AnchorPlan,
  job: GrantedJob,
  call: { readonly staging: AnchorStaging; readonly talk: Conversation; readonly onLong: () => void },
): Promise<AnchorPlan> {
  if (plan.staging === null) return plan;
  const { staging, talk } = call;
  const timer = setTimeout(() => {
    if (talk.status === "creating") call.onLong();
  }, plan.staging.createWaitSeconds * 1000);
  try {
    talk.waitFor("staging");
    const staged = await staging.stageIn(plan, job, { signal: talk.withdrawn });
    talk.withdrawn.throwIfAborted();
    return staged;
  } finally {
    clearTimeout(timer);
    talk.waitFor(undefined);
  }
}
