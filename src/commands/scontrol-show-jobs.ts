/** `scontrol show job` and `show step`, and `completing` (commands.md §8.2, §8.3). */
import type { JobTarget } from "#engine/engine.ts";
import { slurmError } from "#job/errors.ts";
import { nowMs } from "#job/id.ts";
import type { JobRecord, StepRecord } from "#job/record.ts";
import { parseJobTarget, parseJobTargets } from "#options/job-target.ts";
import { sortAccountedSteps } from "#format/accounting-order.ts";
import { nodesText } from "#format/nodes-text.ts";
import { renderShowJobs, renderShowSteps } from "#format/scontrol.ts";
import { longDuration, seconds, timeFormatter } from "#format/times.ts";
import { ANY_JOB, isTargetJob, isTargetStep, targetText } from "./job-filter.ts";
import { printMachineOutput, skipsHidden, timeFormat, UNTIL_ENDED } from "./query.ts";
import { missing, say } from "./scontrol-answers.ts";
import type { ScontrolSession } from "./scontrol-session.ts";
import { printRows } from "./terminal.ts";

export async function showJobs(text: string | undefined, session: ScontrolSession): Promise<number> {
  const targets = text === undefined ? null : jobTargets(text);
  if (targets === undefined) return session.fail("scontrol_print_job error: Invalid job id specified");
  let known: readonly JobRecord[];
  try {
    const engine = await session.engine();
    const jobIds = targets?.map(({ jobId }) => jobId) ?? null;
    known = await engine.jobs({ ...ANY_JOB, jobIds, skipsHidden: jobIds === null && skipsHidden(session.all) }, UNTIL_ENDED);
  } catch (error) {
    return session.failToLoad("slurm_load_jobs error", error);
  }
  const jobs = targets === null ? known : known.filter((job) => targets.some((target) => isTargetJob(target, job)));
  if (session.machine !== null) {
    await printMachineOutput(
      session.machine,
      { command: "scontrol", argv: session.argv, engine: await session.engine() },
      (json, request) =>
        json.jobsJson(
          jobs.toSorted((a, b) => a.jobId - b.jobId),
          request,
        ),
    );
    return 0;
  }
  printRows(renderShowJobs(jobs, session.showOptions()));
  if (targets === null) return jobs.length > 0 || session.quiet ? 0 : say("No jobs in the system");
  let status = 0;
  for (const target of targets) {
    if (known.some((job) => isTargetJob(target, job))) continue;
    const isArrayKnown = known.some((job) => isTargetJob({ ...target, arrayTasks: null }, job));
    status = isArrayKnown
      ? missing(`Job ${targetText(target)} not found`, session)
      : session.failToLoad("slurm_load_jobs error", slurmError("INVALID_JOB_ID"));
  }
  return status;
}

/** `12`, `12_3`, `JobId=12`, or several with commas; undefined when that is none. */
function jobTargets(text: string): readonly JobTarget[] | undefined {
  const parsed = parseJobTargets(text.replace(/^(jobid|job)=/i, ""));
  return "bad" in parsed || parsed.targets.length === 0 ? undefined : parsed.targets;
}

/** `JobId=12 EndTime=… CompletingTime=00:00:03 Nodes(COMPLETING)=n1`, one line for each job that still ends. */
export async function showCompleting(session: ScontrolSession): Promise<number> {
  let jobs: readonly JobRecord[];
  try {
    jobs = await (await session.engine()).jobs({ ...ANY_JOB, states: ["COMPLETING"] }, UNTIL_ENDED);
  } catch (error) {
    return session.failToLoad("slurm_load_jobs error", error);
  }
  const now = nowMs();
  const time = timeFormatter(timeFormat(), now);
  printRows(
    jobs.map((job) => {
      const endedAt = job.endedAt ?? now;
      return (
        `JobId=${job.jobId} EndTime=${time(endedAt)} CompletingTime=${longDuration(Math.max(0, seconds(now) - seconds(endedAt)))}` +
        ` Nodes(COMPLETING)=${nodesText(job.nodes)}`
      );
    }),
  );
  return 0;
}

export async function showSteps(text: string | undefined, session: ScontrolSession): Promise<number> {
  const call = "slurm_get_job_steps error";
  // Its manual has one spelling, its code the other (spec: scrun §19).
  const [, containerId] = /^container-?id=(.+)$/i.exec(text ?? "") ?? [];
  const target = text === undefined || containerId !== undefined ? null : parseJobTarget(text.replace(/^stepid=/i, ""));
  if (target === undefined) return session.failToLoad("scontrol_print_step error", slurmError("INVALID_JOB_ID"));
  let jobs: readonly JobRecord[];
  let steps: readonly StepRecord[];
  try {
    const engine = await session.engine();
    [jobs, steps] = await Promise.all([
      engine.jobs({ ...ANY_JOB, jobIds: target === null ? null : [target.jobId] }, UNTIL_ENDED),
      engine.steps({ jobId: null }, UNTIL_ENDED),
    ]);
  } catch (error) {
    return session.failToLoad(call, error);
  }
  const byId = new Map<number, JobRecord>(jobs.map((job) => [job.jobId, job]));
  const isWanted = (step: StepRecord) =>
    containerId === undefined ? target === null || isTargetStep(target, step, byId.get(step.jobId)) : step.containerId === containerId;
  const found = inOrder(steps.filter(isWanted));
  if (session.machine !== null) {
    await printMachineOutput(
      session.machine,
      { command: "scontrol", argv: session.argv, engine: await session.engine() },
      (json, request) => json.stepsJson(found, request),
    );
    return 0;
  }
  printRows(renderShowSteps(found, session.showOptions(), jobs));
  if (found.length > 0) return 0;
  if (containerId !== undefined) return missing(`Container ${containerId} not found`, session);
  if (target === null) return session.quiet ? 0 : say("No job steps in the system");
  return jobs.length === 0
    ? session.failToLoad(call, slurmError("INVALID_JOB_ID"))
    : missing(`Job step ${targetText(target)} not found`, session);
}

/** By job, and in each job the script before its steps. */
function inOrder(steps: readonly StepRecord[]): StepRecord[] {
  return sortAccountedSteps(steps).sort((a, b) => a.jobId - b.jobId);
}
