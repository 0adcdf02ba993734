/** What of an allocation is free for one more step, and waiting until a step leaves some. */
import type { StepRequest } from "../engine.ts";
import type { LiveJob } from "./live-job.ts";
import type { layOut } from "./step-layout.ts";

/** For layOut: what its other steps hold, and whether that matters to this one. */
export function spaceFor(job: LiveJob, request: StepRequest): Parameters<typeof layOut>[1] {
  const busy = new Map<string, Set<number>>();
  const busyGres = new Map<string, Record<string, readonly number[]>>();
  for (const step of job.steps.values()) {
    for (const [node, ids] of step.cpuIds) {
      const set = busy.get(node) ?? new Set<number>();
      for (const id of ids) set.add(id);
      busy.set(node, set);
    }
    for (const [node, devices] of step.gres) {
      const held = busyGres.get(node) ?? {};
      for (const [pool, ids] of Object.entries(devices)) held[pool] = [...(held[pool] ?? []), ...ids];
      busyGres.set(node, held);
    }
  }
  // A step that is started from inside another one would wait for ever for its parent (commands.md §18.2).
  const isInsideTaskStep = request.insideStep !== null && request.insideStep !== "batch" && job.steps.has(request.insideStep);
  return {
    shares: job.record.shares,
    busy,
    busyGres,
    overlaps: request.options.overlap || request.kind === "interactive" || isInsideTaskStep,
    jobTasks: job.record.tasks,
    isJobsOwnStep: job.record.kind === "srun",
  };
}

/** Or until the caller has lost patience or interest. */
export async function waitForStepEnd(job: LiveJob, options: { readonly signal: AbortSignal; readonly patienceMs: number }): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  job.stepWaiters.add(resolve);
  options.signal.addEventListener("abort", () => resolve(), { once: true });
  const timer = Number.isFinite(options.patienceMs) ? setTimeout(resolve, options.patienceMs) : undefined;
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    job.stepWaiters.delete(resolve);
  }
}
