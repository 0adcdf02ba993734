/** `scontrol update JobId=…`: which keys change what, and for whom (commands.md §8.4). */
import { BerthError, slurmError } from "#job/errors.ts";
import { nowMs } from "#job/id.ts";
import type { JobRecord } from "#job/record.ts";
import { parseDuration } from "#options/duration.ts";
import { parseTimePoint } from "#options/time-point.ts";
import type { JobTarget } from "../engine.ts";
import type { Controller } from "./controller.ts";

type Edit = (job: JobRecord, value: string) => JobRecord;

const EDITS: Readonly<Record<string, { readonly edit: Edit; readonly whilePendingOnly: boolean }>> = {
  Comment: { whilePendingOnly: false, edit: (job, comment) => ({ ...job, comment }) },
  JobName: { whilePendingOnly: false, edit: (job, name) => ({ ...job, name }) },
  Name: { whilePendingOnly: false, edit: (job, name) => ({ ...job, name }) },
  Account: { whilePendingOnly: true, edit: (job, account) => ({ ...job, account }) },
  Requeue: { whilePendingOnly: false, edit: (job, value) => ({ ...job, requeue: number("Requeue", value) !== 0 }) },
  Nice: { whilePendingOnly: false, edit: changeNice },
  Priority: { whilePendingOnly: true, edit: changePriority },
  TimeLimit: { whilePendingOnly: false, edit: changeTimeLimit },
  StartTime: { whilePendingOnly: true, edit: changeStart },
  ArrayTaskThrottle: {
    whilePendingOnly: false,
    edit: (job, value) => ({
      ...job,
      array: job.array === null ? null : { ...job.array, throttle: number("ArrayTaskThrottle", value) || null },
    }),
  },
  MailUser: { whilePendingOnly: false, edit: (job, mailUser) => ({ ...job, mailUser }) },
};

export function applyUpdate(controller: Controller, target: JobTarget & { readonly changes: Readonly<Record<string, string>> }): void {
  for (const key of Object.keys(target.changes)) {
    if (EDITS[key] === undefined)
      throw new BerthError("UPDATE_UNSUPPORTED", `Update of this parameter is not supported: ${key}=${target.changes[key] ?? ""}`);
  }
  controller.control.change(target, (job) => {
    let edited = job;
    for (const [key, value] of Object.entries(target.changes)) {
      const rule = EDITS[key];
      if (rule === undefined) continue;
      if (rule.whilePendingOnly && job.state !== "PENDING") throw slurmError("JOB_NOT_PENDING");
      edited = rule.edit(edited, value);
    }
    return edited;
  });
}

function number(key: string, value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw new BerthError("UPDATE_VALUE", `Invalid ${key} value: ${value}`);
  return Number(value);
}

function changeStart(job: JobRecord, value: string): JobRecord {
  const point = parseTimePoint(value, { now: nowMs() });
  if (point.kind === "invalid") throw new BerthError("UPDATE_VALUE", point.message);
  return { ...job, eligibleAt: point.at };
}

function changeNice(job: JobRecord, value: string): JobRecord {
  const nice = value === "" ? 100 : Number(value);
  if (!Number.isInteger(nice)) throw slurmError("INVALID_NICE");
  if (nice < job.nice) throw slurmError("ACCESS_DENIED");
  // A held job stays held.
  return { ...job, nice, priority: job.priority === 0 ? 0 : Math.max(1, job.priority - (nice - job.nice)) };
}

/** Users may lower a priority, never raise it. */
function changePriority(job: JobRecord, value: string): JobRecord {
  const priority = number("Priority", value);
  if (priority > job.priority) throw slurmError("ACCESS_DENIED");
  return { ...job, priority };
}

/** `[+|-]T`. A running job's limit may only go down (scontrol(1), TimeLimit). */
function changeTimeLimit(job: JobRecord, value: string): JobRecord {
  const sign = value.startsWith("+") ? 1 : value.startsWith("-") && value !== "-1" ? -1 : 0;
  const parsed = parseDuration(sign === 0 ? value : value.slice(1));
  if (parsed === undefined) throw slurmError("INVALID_TIME_LIMIT");
  const minutes = parsed === "unlimited" ? null : sign === 0 ? parsed : (job.timeLimitMinutes ?? 0) + sign * parsed;
  const isRaised = (minutes ?? Infinity) > (job.timeLimitMinutes ?? Infinity);
  if (isRaised && job.state !== "PENDING") throw slurmError("ACCESS_DENIED");
  return { ...job, timeLimitMinutes: minutes === null ? null : Math.max(1, minutes) };
}
