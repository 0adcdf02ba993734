/** The order of accounting rows (commands.md §9.2). */
import { stepNumber, type StepKey } from "#job/id.ts";
import type { AccountedJob } from "#job/record.ts";

/** By id; an array's waiting record stands before its tasks, and those go by index. */
export function sortAccounted(jobs: readonly AccountedJob[]): AccountedJob[] {
  const base = (job: AccountedJob) => job.array?.jobId ?? job.jobId;
  const task = (job: AccountedJob) => job.array?.taskId ?? -1;
  return jobs.toSorted((a, b) => base(a) - base(b) || task(a) - task(b) || a.submittedAt - b.submittedAt);
}

const NAMED_STEPS: readonly StepKey[] = ["batch", "extern", "interactive"];

/** batch, extern, interactive, 0, 1, … */
export function sortAccountedSteps<S extends { readonly stepKey: StepKey }>(steps: readonly S[]): S[] {
  const rank = (step: S) =>
    typeof step.stepKey === "number" ? NAMED_STEPS.length + stepNumber(step.stepKey) : NAMED_STEPS.indexOf(step.stepKey);
  return steps.toSorted((a, b) => rank(a) - rank(b));
}
