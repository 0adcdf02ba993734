/**
 * `scontrol listpids [JOB[.STEP] [NODE]]`: the processes of jobs on this machine. They are found by what every process of
 * a step inherits, its environment, so that no daemon is asked; a process that dropped its environment is not shown.
 */
import { readdirSync, readFileSync } from "node:fs";
import { STEP_NUMBERS } from "#job/id.ts";
import { parseJobTarget } from "#options/job-target.ts";
import type { ScontrolSession } from "./scontrol-session.ts";
import { printLines } from "./terminal.ts";

interface Process {
  readonly pid: number;
  readonly jobId: number;
  readonly step: string;
  readonly node: string;
  /** Null unless it is the task itself. */
  readonly localId: string | null;
  readonly rank: string | null;
}

export function listPids([text, node]: readonly string[], session: ScontrolSession): number {
  const target = text === undefined || text === "*" ? null : parseJobTarget(text);
  if (target === undefined) return session.fail(`Invalid job id specified: ${text}`);
  const found = processes().filter((process) => (target === null
    || (process.jobId === target.jobId && (target.stepKey === null || process.step === String(target.stepKey))))
    && (node === undefined || process.node === node));
  if (found.length === 0) {
    if (target === null) return session.fail("No job steps exist on this node.");
    return session.fail(target.stepKey === null ? `Job ${target.jobId} does not exist on this node.`
      : `Job step ${target.jobId}.${target.stepKey} does not exist on this node.`);
  }
  printLines([row("PID", "JOBID", "STEPID", "LOCALID", "GLOBALID"), ...found.map(({ pid, jobId, step, localId, rank }) =>
    row(String(pid), String(jobId), step, localId ?? "-", rank ?? "-"))]);
  return 0;
}

function row(pid: string, job: string, step: string, localId: string, rank: string): string {
  return [pid.padEnd(8), job.padEnd(8), step.padEnd(8), localId.padEnd(7), rank.padEnd(8)].join(" ");
}

function processes(): Process[] {
  const found: Process[] = [];
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const env = environmentOf(pid);
    const jobId = Number(env?.get("SLURM_JOB_ID"));
    if (env === undefined || !Number.isInteger(jobId)) continue;
    const isTask = env.get("SLURM_TASK_PID") === entry;
    found.push({
      pid, jobId,
      step: stepName(env.get("SLURM_STEP_ID")),
      node: env.get("SLURMD_NODENAME") ?? "",
      localId: isTask ? env.get("SLURM_LOCALID") ?? null : null,
      rank: isTask ? env.get("SLURM_PROCID") ?? null : null,
    });
  }
  return found;
}

/** A script has no step number in its environment. */
function stepName(number: string | undefined): string {
  if (number === undefined) return "batch";
  return Object.entries(STEP_NUMBERS).find(([, value]) => String(value) === number)?.[0] ?? number;
}

function environmentOf(pid: number): ReadonlyMap<string, string> | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/environ`, "utf8");
  } catch {
    return undefined; // gone, or somebody else's
  }
  if (!text.includes("SLURM_JOB_ID=") || !text.includes("SLURM_TASK_PID=")) return undefined;
  return new Map(text.split("\0").map((entry) => {
    const at = entry.indexOf("=");
    return [entry.slice(0, at), entry.slice(at + 1)];
  }));
}
