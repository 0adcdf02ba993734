/**
 * `scontrol update JobId=…`: which keys change what, and while the job is in which state (commands.md §8.4).
 *
 * Most keys say again what an option of sbatch said at first. They change the request, and the record and the demand
 * follow from it as they did at submission; so nothing can be asked for here that could not be asked for there.
 */
import { BerthError, slurmError } from "#job/errors.ts";
import { nowMs, type EpochMs } from "#job/id.ts";
import type { JobRecord } from "#job/record.ts";
import type { BatchRequest, JobOptions, JobRequest } from "#job/request.ts";
import { parseCount, parseNodeCount } from "#options/count.ts";
import { parseDuration } from "#options/duration.ts";
import { parseGpus, parseGres } from "#options/gres.ts";
import { expandHostlist } from "#options/hostlist.ts";
import { parseMailTypes } from "#options/mail-type.ts";
import { parseMemoryMib } from "#options/memory.ts";
import { parseTimePoint } from "#options/time-point.ts";
import type { JobTarget } from "../engine.ts";
import { readmit } from "./admission.ts";
import type { Controller } from "./controller.ts";
import type { LiveJob } from "./live-job.ts";

/** What may change in any state. */
type Edit = (job: JobRecord, value: string) => JobRecord;

const EDITS: Readonly<Record<string, Edit>> = {
  Comment: (job, comment) => ({ ...job, comment }),
  JobName: (job, name) => ({ ...job, name }),
  Requeue: (job, value) => ({ ...job, requeue: number("Requeue", value) !== 0 }),
  Nice: changeNice,
  TimeLimit: changeTimeLimit,
  EndTime: changeEnd,
  ArrayTaskThrottle: (job, value) => ({
    ...job,
    array: job.array === null ? null : { ...job.array, throttle: number("ArrayTaskThrottle", value) || null },
  }),
  MailUser: (job, mailUser) => ({ ...job, mailUser }),
};

/** What may change while the job waits, in the record alone. */
const PENDING_EDITS: Readonly<Record<string, Edit>> = {
  Priority: changePriority,
  StartTime: changeStart,
  EligibleTime: changeStart,
};

/** What may change while the job waits, in the request. */
type Wish = (options: JobOptions, value: string, key: string) => Partial<JobOptions>;

const WISHES: Readonly<Record<string, Wish>> = {
  Partition: (_, partition) => ({ partition }),
  Account: (_, account) => ({ account: orNull(account) }),
  QOS: (_, qos) => ({ qos: orNull(qos) }),
  WCKey: (_, wckey) => ({ wckey: orNull(wckey) }),
  ReservationName: (_, reservation) => ({ reservation: orNull(reservation) }),
  NumNodes: (_, value) => {
    const { min, max } = nodeCount(value);
    return { nodesMin: min, nodesMax: max };
  },
  NumTasks: (_, value, key) => ({ tasks: count(key, value) }),
  NumCPUs: ({ cpusPerTask }, value, key) => ({ tasks: Math.ceil(count(key, value.split("-", 1)[0] ?? "") / (cpusPerTask ?? 1)) }),
  CPUsPerTask: (_, value, key) => ({ cpusPerTask: count(key, value) }),
  TasksPerNode: (_, value, key) => ({ tasksPerNode: count(key, value) }),
  MinCPUsNode: (_, value, key) => ({ minCpusPerNode: count(key, value) }),
  MinMemoryNode: (_, value, key) => ({ memPerNodeMib: memory(key, value), memPerCpuMib: null }),
  MinMemoryCPU: (_, value, key) => ({ memPerCpuMib: memory(key, value), memPerNodeMib: null }),
  MinTmpDiskNode: (_, value, key) => ({ tmpDiskMib: memory(key, value) }),
  Features: (_, constraint) => ({ constraint: orNull(constraint) }),
  Gres: (_, value) => ({ gres: gresOf(value) }),
  TresPerNode: (_, value) => ({ gres: gresOf(value) }),
  TresPerJob: (_, value) => ({ gpus: gpusOf(value) }),
  TresPerTask: (_, value) => ({ gpusPerTask: gpusOf(value) }),
  TresPerSocket: (_, value) => ({ gpusPerSocket: gpusOf(value) }),
  Licenses: (_, licenses) => ({ licenses: orNull(licenses) }),
  NodeList: (_, value) => ({ nodeList: nodesOf(value) }),
  ReqNodeList: (_, value) => ({ nodeList: nodesOf(value) }),
  ExcNodeList: (_, value) => ({ excludeNodes: nodesOf(value) }),
  Contiguous: (_, value, key) => ({ contiguous: yesNo(key, value) }),
  OverSubscribe: (_, value, key) => ({ oversubscribe: yesNo(key, value), exclusive: false }),
  Deadline: (_, value) => ({ deadlineAt: pointOf(value) }),
  TimeMin: (_, value, key) => ({ timeMinMinutes: minutesOf(key, value) }),
  MailType: (_, value, key) => ({ mailTypes: parseMailTypes(value) ?? invalid(key, value) }),
  Dependency: (_, dependency) => ({ dependency: orNull(dependency) }),
};

const FILES: Readonly<Record<string, (batch: BatchRequest, value: string) => BatchRequest>> = {
  StdOut: (batch, output) => ({ ...batch, output: orNull(output) }),
  StdErr: (batch, error) => ({ ...batch, error: orNull(error) }),
  StdIn: (batch, input) => ({ ...batch, input: orNull(input) }),
};

export const UPDATE_KEYS = {
  anyState: Object.keys(EDITS),
  waiting: [PENDING_EDITS, WISHES, FILES].flatMap((table) => Object.keys(table)).concat("WorkDir"),
} as const;
const KNOWN: ReadonlySet<string> = new Set([...UPDATE_KEYS.anyState, ...UPDATE_KEYS.waiting]);

export function applyUpdate(controller: Controller, target: JobTarget & { readonly changes: Readonly<Record<string, string>> }): void {
  const changes = Object.entries(target.changes);
  for (const [key, value] of changes) {
    if (!KNOWN.has(key)) throw new BerthError("UPDATE_UNSUPPORTED", `Update of this parameter is not supported: ${key}=${value}`);
  }
  const needsPending = changes.some(([key]) => EDITS[key] === undefined);
  const needsRequest = changes.some(([key]) => EDITS[key] === undefined && PENDING_EDITS[key] === undefined);
  const jobs = controller.book.resolve(target);
  // First whether all of it can be done.
  if (needsPending && jobs.some((job) => !job.isQueued)) throw slurmError("JOB_NOT_PENDING");
  const edited = jobs.map((job) =>
    changes.reduce((record, [key, value]) => (EDITS[key] ?? PENDING_EDITS[key])?.(record, value) ?? record, job.record),
  );
  const renewed = needsRequest ? jobs.map((job, index) => renew(controller, job, edited[index] ?? job.record, changes)) : [];
  for (const [index, job] of jobs.entries()) {
    const { isQueued } = job;
    if (isQueued) controller.book.queue.remove(job);
    const change = renewed[index];
    if (change === undefined) controller.book.save(job, edited[index] ?? job.record);
    else controller.book.reconsider(job, change);
    if (isQueued) controller.book.queue.add(job);
    else if (job.isRunning) controller.alarms.set(job);
  }
  controller.requestPass();
}

function renew(controller: Controller, job: LiveJob, edited: JobRecord, changes: readonly (readonly [key: string, value: string])[]) {
  const old = controller.book.request(job);
  let options: JobOptions = { ...old.options, partition: edited.partition };
  let { batch, submit } = old;
  let { dependency } = job;
  for (const [key, value] of changes) {
    options = { ...options, ...WISHES[key]?.(options, value, key) };
    if (batch !== null) batch = FILES[key]?.(batch, value) ?? batch;
    if (key === "WorkDir") submit = { ...submit, workDir: value };
    if (key === "Dependency") {
      dependency = controller.parseDependency(options.dependency);
      if (namesItself(job, dependency)) throw slurmError("DEPENDENCY");
      edited = { ...edited, dependency: options.dependency };
    }
  }
  const request: JobRequest = { ...old, options, batch, submit };
  const { record, ask } = readmit(edited, request, controller.config);
  return { record, request, ask, dependency };
}

function namesItself(job: LiveJob, dependency: LiveJob["dependency"]): boolean {
  return dependency?.terms.some(({ jobs }) => jobs.some(({ jobId }) => jobId === job.id || jobId === job.record.array?.jobId)) === true;
}

// --- Values ---------------------------------------------------------------------------------------------------------

function invalid(key: string, value: string): never {
  throw new BerthError("UPDATE_VALUE", `Invalid ${key} value: ${value}`);
}

function orNull(value: string): string | null {
  return value === "" || value === "(null)" ? null : value;
}

function number(key: string, value: string): number {
  return /^\d{1,9}$/.test(value) ? Number(value) : invalid(key, value);
}

function count(key: string, value: string): number {
  return parseCount(value, 1) ?? invalid(key, value);
}

function memory(key: string, value: string): number {
  return parseMemoryMib(value) ?? invalid(key, value);
}

function minutesOf(key: string, value: string): number | null {
  const minutes = parseDuration(value) ?? invalid(key, value);
  return minutes === "unlimited" ? null : minutes;
}

function yesNo(key: string, value: string): boolean {
  if (/^(yes|1)$/i.test(value)) return true;
  return /^(no|0)$/i.test(value) ? false : invalid(key, value);
}

function nodeCount(value: string): { readonly min: number; readonly max: number | null } {
  const parsed = parseNodeCount(value);
  if (parsed.kind !== "count") throw slurmError("BAD_NODE_COUNT");
  return parsed;
}

function nodesOf(value: string): string[] | null {
  return orNull(value) === null ? null : expandHostlist(value);
}

/** `gpu:1`, and as it is shown: `gres:gpu:1`, `gres/gpu:1`. */
function gresOf(value: string): string | null {
  const text = value.replaceAll(/\bgres[:/]/g, "");
  if (orNull(text) !== null && parseGres(text) === undefined) throw slurmError("INVALID_GRES");
  return orNull(text);
}

function gpusOf(value: string): string | null {
  const text = value.replace(/^gres[:/]/, "").replace(/^gpu[:=]/, "");
  if (orNull(text) !== null && parseGpus(text) === undefined) throw slurmError("INVALID_GRES");
  return orNull(text);
}

function pointOf(value: string): EpochMs {
  const point = parseTimePoint(value, { now: nowMs() });
  if (point.kind === "invalid") throw new BerthError("UPDATE_VALUE", point.message);
  return point.at;
}

function changeStart(job: JobRecord, value: string): JobRecord {
  return { ...job, eligibleAt: pointOf(value) };
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
  return withLimit(job, parsed === "unlimited" ? null : sign === 0 ? parsed : (job.timeLimitMinutes ?? 0) + sign * parsed);
}

function changeEnd(job: JobRecord, value: string): JobRecord {
  if (job.startedAt === null) throw slurmError("JOB_PENDING");
  return withLimit(job, Math.ceil((pointOf(value) - job.startedAt - job.suspendedMs) / 60_000));
}

function withLimit(job: JobRecord, minutes: number | null): JobRecord {
  const isRaised = (minutes ?? Infinity) > (job.timeLimitMinutes ?? Infinity);
  if (isRaised && job.state !== "PENDING") throw slurmError("ACCESS_DENIED");
  return { ...job, timeLimitMinutes: minutes === null ? null : Math.max(1, minutes) };
}
