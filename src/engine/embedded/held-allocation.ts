/**
 * An interactive allocation of this process (srun, salloc, a scrun anchor). The controller answers its request when it ends;
 * until then news come. When the controller is killed it is asked for once more, with the same token, or taken up by its id.
 */
import { BerthError, slurmError } from "#job/errors.ts";
import type { JobId } from "#job/id.ts";
import type { ExitPair } from "#job/outcome.ts";
import type { JobRecord } from "#job/record.ts";
import type { JobRequest } from "#job/request.ts";
import { mayStartController } from "#platform/controller-duty.ts";
import type { AllocateEvent, Cancellable, HeldAllocation } from "../engine.ts";
import { ConnectionLost, type ControllerCalls } from "./controller-calls.ts";
import type { AllocationNews } from "./wire.ts";

const never = new AbortController().signal;

/** Resolves when it is granted. Aborting withdraws the request. @throws BerthError */
export async function holdAllocation(
  calls: ControllerCalls,
  request: JobRequest,
  options: Cancellable & { readonly onEvent: (event: AllocateEvent) => void },
): Promise<HeldAllocation> {
  const token = crypto.randomUUID();
  const granted = Promise.withResolvers<JobId>();
  let jobId: JobId | undefined;
  let isGranted = false;
  let hasWaited = false;
  const onEvent = (event: AllocationNews) => {
    if (event.kind === "queued") {
      jobId = event.jobId;
      if (!hasWaited) options.onEvent(event);
      hasWaited = true;
    } else if (event.kind === "granted") {
      jobId = event.info.job.jobId;
      if (!isGranted) options.onEvent({ ...event, waited: hasWaited });
      isGranted = true;
      granted.resolve(jobId);
    } else if (event.kind === "message") options.onEvent(event);
  };
  const ended = follow(calls, { request, token, onEvent, jobId: () => jobId });
  ended.catch(granted.reject); // handled there, also when it comes after the grant
  const withdraw = () => {
    granted.reject(options.signal.reason);
    if (jobId !== undefined)
      void calls.call("releaseAllocation", { jobId, exit: { code: 0, signal: 0 } }, { signal: never }).catch(() => undefined);
  };
  options.signal.addEventListener("abort", withdraw, { once: true });
  // A job that ends while it waits was cancelled by somebody else.
  void ended.then(
    (job) => {
      if (!isGranted) granted.reject(slurmError("ALREADY_DONE", { before: [String(job.jobId)] }));
    },
    () => undefined,
  );
  const id = await granted.promise;
  options.signal.removeEventListener("abort", withdraw);
  const release = async (exit: ExitPair) => {
    await calls.call("releaseAllocation", { jobId: id, exit }, { signal: never });
  };
  return {
    jobId: id,
    ended,
    release,
    detach: async () => {
      await calls.call("detachAllocation", { jobId: id }, { signal: never });
    },
    [Symbol.asyncDispose]: () => release({ code: 0, signal: 0 }),
  };
}

/** Resolves with the job's last record, over as many connections as it takes. */
async function follow(
  calls: ControllerCalls,
  facts: {
    readonly request: JobRequest;
    readonly token: string;
    readonly onEvent: (event: AllocationNews) => void;
    readonly jobId: () => JobId | undefined;
  },
): Promise<JobRecord> {
  const options = { signal: never, onEvent: facts.onEvent };
  for (;;) {
    try {
      const jobId = facts.jobId();
      return (await (jobId === undefined
        ? calls.callOnce("allocate", { request: facts.request, token: facts.token }, options)
        : calls.callOnce("resumeAllocation", { jobId }, options))) as JobRecord;
    } catch (error) {
      const isForOthers = error instanceof BerthError && error.code === "CONTROLLER_DOWN" && !mayStartController();
      if (calls.isDisposed || !(error instanceof ConnectionLost || isForOthers)) throw error;
    }
  }
}
