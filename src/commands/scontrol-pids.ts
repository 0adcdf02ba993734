/** `scontrol listpids`, `pidinfo` and `errnumstr`. */
import { constants } from "node:os";
import type { StepProcess } from "#engine/engine.ts";
import { BerthError, SLURM_ERRORS } from "#job/errors.ts";
import { nowMs } from "#job/id.ts";
import { parseJobTarget } from "#options/job-target.ts";
import { ANY_JOB } from "./job-filter.ts";
import { UNTIL_ENDED } from "./query.ts";
import { wordsOfCode } from "./errno.ts";
import type { ScontrolSession } from "./scontrol-session.ts";
import { complain, printLines } from "./terminal.ts";

type Words = readonly string[];

/** `listpids [JOB[.STEP] [NODE]]`. A process that a task has started has no task ids. */
export async function listPids([text, node]: Words, session: ScontrolSession): Promise<number> {
  const target = text === undefined || text === "*" ? null : parseJobTarget(text);
  if (target === undefined) return session.fail(`"${text}" does not look like a jobid`);
  let processes: readonly StepProcess[];
  try {
    processes = await (await session.engine()).processes({ jobId: target?.jobId ?? null }, UNTIL_ENDED);
  } catch (error) {
    return session.failToLoad("listpids", error);
  }
  const stepKey = target?.stepKey ?? null;
  const found = processes.filter(
    (process) => (stepKey === null || process.stepKey === stepKey) && (node === undefined || process.node === node),
  );
  printLines(["PID      JOBID    STEPID   LOCALID GLOBALID", ...found.map(lineOf)]);
  if (found.length > 0) return 0;
  if (target === null) return session.fail("No job steps exist on this node.");
  const where = `on node ${node ?? "(null)"}.`;
  if (stepKey !== null) return session.fail(`StepId=${target.jobId}.${stepKey} does not exist ${where}`);
  return session.fail(
    node === undefined ? `There are no steps for job ${target.jobId} ${where}` : `JobId=${target.jobId} does not exist ${where}`,
  );
}

function lineOf({ pid, jobId, stepKey, localId, globalId }: StepProcess): string {
  const cells = [
    `${pid}`.padEnd(8),
    `${jobId}`.padEnd(8),
    `${stepKey}`.padEnd(8),
    `${localId ?? "-"}`.padEnd(7),
    `${globalId ?? "-"}`.padEnd(8),
  ];
  return cells.join(" ");
}

/** A job without a limit ends in a year, as Slurm has it. */
const UNLIMITED_MS = 365 * 24 * 3600 * 1000;

/** `pidinfo PID`: when the job of a process must end. */
export async function pidInfo([text = ""]: Words, session: ScontrolSession): Promise<number> {
  const engine = await session.engine();
  try {
    const processes = await engine.processes({ jobId: null }, UNTIL_ENDED);
    const jobId = processes.find(({ pid }) => String(pid) === text)?.jobId;
    const jobs = jobId === undefined ? [] : await engine.jobs({ ...ANY_JOB, jobIds: [jobId] }, UNTIL_ENDED);
    const job = jobs.find((record) => record.jobId === jobId);
    if (job?.startedAt == null) return session.fail("Failed to locate job for requested pid");
    const endsAt =
      job.timeLimitMinutes === null ? job.startedAt + UNLIMITED_MS : job.startedAt + job.timeLimitMinutes * 60_000 + job.suspendedMs;
    printLines([
      `Slurm job id ${job.jobId} ends at ${calendarTime(endsAt)}`,
      `slurm_get_rem_time is ${Math.floor((endsAt - nowMs()) / 1000)}`,
    ]);
    return 0;
  } catch (error) {
    if (!(error instanceof BerthError)) throw error;
    return session.failToLoad("pidinfo", error);
  }
}

/** As ctime(3) has it. */
function calendarTime(ms: number): string {
  const [weekday, month, day, year, time] = new Date(ms).toString().split(" ").slice(0, 5);
  return `${weekday} ${month} ${day} ${time} ${year}`;
}

/** `errnumstr N`: Slurm's errors, then the system's. */
export function errorNumber([text = ""]: Words): number {
  if (!/^-?\d+$/.test(text)) {
    complain("numeric arguments required for keyword:errnumstr");
    return 1;
  }
  const number = Number(text);
  const known = Object.values(SLURM_ERRORS).find(([errno]) => errno === number);
  printLines([number === 0 ? "No error" : (known?.[1] ?? systemErrorText(number) ?? `Unknown error ${number}`)]);
  return 0;
}

/** What strerror(3) says; undefined when we have no words for it. */
function systemErrorText(errno: number): string | undefined {
  const code = Object.entries(constants.errno).find(([, number]) => number === errno)?.[0];
  return code === undefined ? undefined : wordsOfCode(code);
}
