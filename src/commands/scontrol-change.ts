/** What scontrol does to jobs, except update (commands.md §8.4). Success is silent. */
import { writeFileSync } from "node:fs";
import type { Engine, JobTarget } from "#engine/engine.ts";
import { BerthError, SLURM_ERRORS, slurmError } from "#job/errors.ts";
import { isTerminal } from "#job/state.ts";
import { splitOutsideBrackets } from "#options/hostlist.ts";
import { parseJobTarget } from "#options/job-target.ts";
import { errnoWords } from "./errno.ts";
import { ANY_JOB, isTargetJob, LIVE_STATES } from "./job-filter.ts";
import { UNTIL_ENDED } from "./query.ts";
import type { ScontrolSession } from "./scontrol-session.ts";
import { printLines, printText } from "./terminal.ts";

type Words = readonly string[];
type Change = (target: JobTarget, engine: Engine) => Promise<void>;

/** hold and uhold: a user's hold is all that the owner of a job can set. */
export function hold(words: Words, session: ScontrolSession): Promise<number> {
  return changeHold(words, session, (target, engine) => engine.hold(target, UNTIL_ENDED));
}

export function release(words: Words, session: ScontrolSession): Promise<number> {
  return changeHold(words, session, (target, engine) => engine.release(target, UNTIL_ENDED));
}

/** The library's own line follows the ones about the jobs [T sbatch-17-hold-release]. */
async function changeHold(words: Words, session: ScontrolSession, change: Change): Promise<number> {
  let status = 0;
  for (const word of words) {
    const error = await changeEach(word, session, change);
    if (error !== undefined) status = session.fail(`slurm_suspend error: ${textOf(error)}`);
  }
  return status;
}

/** `requeue [incomplete] LIST…`: with the word, jobs that have completed stay as they are. */
export function requeue(words: Words, session: ScontrolSession): Promise<number> {
  const [first = "", ...rest] = words;
  const isIncomplete = first.toLowerCase() === "incomplete" && rest.length > 0;
  return changeAll(isIncomplete ? rest : words, session, async (target, engine) => {
    if (isIncomplete && (await isCompleted(target, engine))) return;
    await engine.requeue({ ...target, hold: false }, UNTIL_ENDED);
  });
}

async function isCompleted(target: JobTarget, engine: Engine): Promise<boolean> {
  const jobs = await engine.jobs({ ...ANY_JOB, jobIds: [target.jobId] }, UNTIL_ENDED);
  const meant = jobs.filter((job) => isTargetJob(target, job));
  return meant.length > 0 && meant.every(({ state }) => state === "COMPLETED");
}

/** `requeuehold [State=SpecialExit] LIST…`; the state has no other effect here than the hold itself. */
export function requeueHold(words: Words, session: ScontrolSession): Promise<number> {
  const lists = words.filter((word) => !/^state=specialexit$/i.test(word));
  return changeAll(lists, session, (target, engine) => engine.requeue({ ...target, hold: true }, UNTIL_ENDED));
}

// Slurm keeps suspend and resume to operators. Whoever may talk to the embedded engine owns its whole cluster, so the
// engine decides; the one of a real cluster answers "Access/permission denied".
export function suspend(words: Words, session: ScontrolSession): Promise<number> {
  return changeAll(words, session, (target, engine) => engine.suspend(target, UNTIL_ENDED));
}

export function resume(words: Words, session: ScontrolSession): Promise<number> {
  return changeAll(words, session, (target, engine) => engine.resume(target, UNTIL_ENDED));
}

/** Off unless SchedulerParameters=enable_user_top is set, which no engine has. */
export function top(words: Words, session: ScontrolSession): number {
  return session.fail(...words.map((word) => `Access/permission denied for job ${word}`));
}

/** `notify ID text…`: the words as one line. A step's id is as good as its job's. */
export async function notify([id = "", ...words]: Words, session: ScontrolSession): Promise<number> {
  const target = parseJobTarget(id);
  try {
    if (target === undefined) throw slurmError("INVALID_JOB_ID");
    await (await session.engine()).notify({ ...target, stepKey: null, text: words.join(" ") }, UNTIL_ENDED);
    return 0;
  } catch (error) {
    return session.failToLoad("job notify failure", error);
  }
}

/** Every word is a list of jobs; all of them are tried. */
async function changeAll(words: Words, session: ScontrolSession, change: Change): Promise<number> {
  let status = 0;
  for (const word of words) if ((await changeEach(word, session, change)) !== undefined) status = 1;
  return status;
}

/** `12,13_[1-2]` or `jobname=N`. Failures are told for each job; the last one comes back. */
export async function changeEach(list: string, session: ScontrolSession, change: Change): Promise<BerthError | undefined> {
  let failure: BerthError | undefined;
  const engine = await session.engine();
  for (const name of await jobsOf(list, engine)) {
    const target = parseJobTarget(name);
    try {
      if (target === undefined) throw slurmError("INVALID_JOB_ID");
      await change(target, engine);
    } catch (error) {
      if (!(error instanceof BerthError)) throw error;
      failure = error;
      session.fail(`${textOf(error)} for job ${name}`, ...(error.hint === undefined ? [] : [`scontrol: ${error.hint}`]));
    }
  }
  return failure;
}

/** Ids as they were typed, or those of the live jobs of a name; a name that no job has stands for itself. */
async function jobsOf(list: string, engine: Engine): Promise<string[]> {
  const text = list.replace(/^(jobid|job)=/i, "");
  const name = /^(?:jobname|name)=(.*)$/is.exec(text)?.[1];
  if (name === undefined) return splitOutsideBrackets(text);
  const jobs = await engine.jobs({ jobIds: null, userIds: null, states: LIVE_STATES, names: [name], partitions: null }, UNTIL_ENDED);
  const ids = new Set(jobs.filter(({ state }) => !isTerminal(state)).map((job) => String(job.array?.jobId ?? job.jobId)));
  return ids.size === 0 ? [text] : [...ids];
}

/** Of a job that has ended, these commands say so in their own words. */
function textOf(error: BerthError): string {
  return error.code === "ALREADY_DONE" ? SLURM_ERRORS.JOB_FINISHED[1] : error.message;
}

/** `wait_job ID`: until the nodes are the job's. Fails when the job ends first. */
export async function waitJob([id = ""]: Words, session: ScontrolSession): Promise<number> {
  const target = parseJobTarget(id);
  try {
    if (target === undefined) throw slurmError("INVALID_JOB_ID");
    const engine = await session.engine();
    for (;;) {
      const jobs = await engine.jobs({ ...ANY_JOB, jobIds: [target.jobId] }, UNTIL_ENDED);
      const meant = jobs.filter((job) => isTargetJob(target, job));
      if (meant.length === 0) return session.fail(`scontrol: Problem running job ${target.jobId}`);
      if (meant.some(({ state }) => state === "RUNNING" || state === "SUSPENDED")) return 0;
      if (meant.every(({ state }) => isTerminal(state))) return session.fail("Job is no longer running");
      await Bun.sleep(WAIT_MS);
    }
  } catch (error) {
    return session.failToLoad("slurm_job_node_ready error", error);
  }
}
const WAIT_MS = 250;

/** `write batch_script ID [FILE|-]` */
export async function write([what = "", id = "", file]: Words, session: ScontrolSession): Promise<number> {
  if (what.length < 5 || !"batch_script".startsWith(what.toLowerCase())) return session.fail(`invalid entity:${what} for keyword:write `);
  const target = parseJobTarget(id.replace(/^(jobid|job)=/i, ""));
  let script: string;
  try {
    if (target === undefined) throw slurmError("INVALID_JOB_ID");
    script = await (await session.engine()).batchScript(target.jobId, UNTIL_ENDED);
  } catch (error) {
    return session.failToLoad("job script retrieval failed", error);
  }
  if (file === "-") {
    printText(script);
    return 0;
  }
  const path = file ?? `slurm-${id}.sh`;
  try {
    writeFileSync(path, script);
  } catch (error) {
    return session.fail(`failed to open file \`${path}\`: ${errnoWords(error)}`);
  }
  if (!session.quiet) printLines([`batch script for job ${id} written to ${path}`]);
  return 0;
}
