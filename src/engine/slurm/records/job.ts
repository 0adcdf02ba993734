/** A job as `scontrol -o show job` prints it, 21.08 to 26.05. Pure. */
import type { JobId } from "#job/id.ts";
import type { ArrayInfo, JobRecord, NodeShare } from "#job/record.ts";
import { STATE_FLAGS, STATES, type BaseState, type StateFlag } from "#job/state.ts";
import { parseIndexList } from "#options/array.ts";
import { expandHostlist } from "#options/hostlist.ts";
import { parseRequestComment } from "../site/container-request.ts";
import { countOrNull, mebibytesOf, minutesOf, numberOf, parseFields, textOf, timeOf, tresOf, type Fields } from "./fields.ts";

const MAX_CPU = 65_536;
const MAX_ARRAY_INDEX = 4_000_001;

/** Undefined for a line that is no job. */
export function parseJob(line: string): JobRecord | undefined {
  // The name is free text: it ends where the user begins. What is at the end is free text too.
  const match = /^JobId=(\d+)(.*?) JobName=(.*?)(?: SLUID=\S+)? (UserId=\S+\(\d+\) GroupId=\S+\(\d+\) .*)$/s.exec(line.trim());
  if (match === null) return undefined;
  const [, id = "", head = "", name = "", rest = ""] = match;
  const tailAt = rest.search(/ (?:Command|WorkDir)=/);
  const fields = new Map([...parseFields(tailAt < 0 ? rest : rest.slice(0, tailAt)), ...parseTail(tailAt < 0 ? "" : rest.slice(tailAt))]);
  const headFields = parseFields(head);
  const [user, uid] = idOf(fields.get("UserId"));
  const [group, gid] = idOf(fields.get("GroupId"));
  const { state, flags } = stateOf(fields.get("JobState") ?? "");
  const tres = tresOf(fields.get("TRES") ?? fields.get("AllocTRES") ?? fields.get("ReqTRES"));
  const nodes = isPending(state) ? [] : expandHostlist(textOf(fields.get("NodeList")) ?? "");
  const container = parseRequestComment(fields.get("Comment") ?? "");
  const startedAt = isPending(state) ? null : timeOf(fields.get("StartTime"));
  return {
    jobId: Number(id) as JobId,
    array: arrayOf(headFields),
    kind: fields.get("BatchFlag") === "0" ? (textOf(fields.get("Command")) === null ? "salloc" : "srun") : "batch",
    name,
    userId: uid,
    userName: user,
    groupId: gid,
    groupName: group,
    account: textOf(fields.get("Account")),
    qos: textOf(fields.get("QOS")),
    wckey: textOf(fields.get("WCKey")),
    reservation: textOf(fields.get("Reservation")),
    comment: container === undefined ? textOf(fields.get("Comment")) : null,
    partition: fields.get("Partition") ?? "",
    state,
    flags,
    reason: reasonOf(fields.get("Reason") ?? "None"),
    stateDescription: descriptionOf(fields.get("Reason")),
    exit: exitOf(fields.get("ExitCode")),
    derivedExit: exitOf(fields.get("DerivedExitCode") ?? "0:0"),
    cancelledBy: null,
    failedNode: null,
    priority: numberOf(fields.get("Priority")),
    nice: numberOf(fields.get("Nice")),
    requeue: fields.get("Requeue") === "1",
    restarts: numberOf(fields.get("Restarts")),
    dependency: textOf(fields.get("Dependency")),
    submittedAt: timeOf(fields.get("SubmitTime")) ?? (0 as never),
    eligibleAt: timeOf(fields.get("EligibleTime")),
    startedAt,
    expectedStartAt: isPending(state) ? timeOf(fields.get("StartTime")) : null,
    endedAt: state === "RUNNING" || isPending(state) || state === "SUSPENDED" ? null : timeOf(fields.get("EndTime")),
    suspendedAt: state === "SUSPENDED" ? timeOf(fields.get("SuspendTime")) : null,
    suspendedMs: numberOf(fields.get("SecsPreSuspend")) * 1000,
    deadlineAt: timeOf(fields.get("Deadline")),
    lastSchedEvalAt: timeOf(fields.get("LastSchedEval")),
    scheduler: schedulerOf(fields.get("Scheduler")),
    timeLimitMinutes: minutesOf(fields.get("TimeLimit")),
    timeMinMinutes: minutesOf(fields.get("TimeMin")),
    warnSignal: null,
    submitHost: (fields.get("AllocNode:Sid") ?? "").split(":", 1)[0] ?? "",
    submitSid: numberOf((fields.get("AllocNode:Sid") ?? "").split(":")[1]),
    submitLine: textOf(fields.get("SubmitLine")) ?? "",
    workDir: fields.get("WorkDir") ?? "",
    command: textOf(fields.get("Command")),
    stdin: textOf(fields.get("StdIn")),
    stdout: textOf(fields.get("StdOut")),
    stderr: textOf(fields.get("StdErr")),
    mailUser: textOf(fields.get("MailUser")),
    mailTypes: (textOf(fields.get("MailType")) ?? "").split(",").filter(Boolean),
    container: container?.bundle ?? textOf(fields.get("Container")),
    containerId: container?.containerId ?? textOf(fields.get("ContainerID")),
    requestedNodes: expandHostlist(textOf(fields.get("ReqNodeList")) ?? ""),
    excludedNodes: expandHostlist(textOf(fields.get("ExcNodeList")) ?? ""),
    nodesMin: numberOf(fields.get("NumNodes"), 1),
    nodesMax: countOrNull((fields.get("NumNodes") ?? "").split("-")[1]),
    tasks: numberOf(fields.get("NumTasks"), 1),
    cpusPerTask: numberOf(fields.get("CPUs/Task"), 1),
    tasksPerNode: tasksPerNodeOf(fields),
    minCpusPerNode: numberOf(fields.get("MinCPUsNode"), 1),
    memPerNodeMib: mebibytesOf(fields.get("MinMemoryNode")) || null,
    memPerCpuMib: mebibytesOf(fields.get("MinMemoryCPU")) || null,
    tmpDiskMib: mebibytesOf(fields.get("MinTmpDiskNode")) ?? 0,
    gresPerNode: textOf(fields.get("TresPerNode")),
    gpus: textOf(fields.get("TresPerJob")),
    constraint: textOf(fields.get("Features")),
    licenses: textOf(fields.get("Licenses")),
    exclusive: fields.get("OverSubscribe") === "NO",
    oversubscribe: fields.get("OverSubscribe") === "YES",
    contiguous: fields.get("Contiguous") === "1",
    distribution: null,
    requested: tres,
    nodes,
    batchHost: textOf(fields.get("BatchHost")),
    shares: sharesOf(rest),
    allocated: isPending(state) ? null : tres,
  };
}

/** `Nodes=c1 CPU_IDs=0-1 Mem=0 GRES=` of --details, once for each set of nodes that are alike. */
function sharesOf(text: string): readonly NodeShare[] {
  return [...text.matchAll(/ Nodes=(\S+) CPU_IDs=(\S*) Mem=(\d+)/g)].flatMap(([, nodes = "", cpus = "", mem = "0"]) =>
    expandHostlist(nodes).map((node) => ({ node, cpuIds: parseIndexList(cpus, MAX_CPU) ?? [], memMib: Number(mem), gres: {} })),
  );
}

function isPending(state: BaseState): boolean {
  return state === "PENDING";
}

const TAIL_KEYS = new RegExp(
  ` (${[
    "Command",
    "WorkDir",
    "Comment",
    "StdErr",
    "StdIn",
    "StdOut",
    "Power",
    "Container",
    "ContainerID",
    "MailUser",
    "MailType",
    "TresPerNode",
    "TresPerJob",
    "SubmitLine",
    "AdminComment",
    "SystemComment",
  ].join("|")})=`,
  "g",
);

/** Command, WorkDir and what comes after them; values may hold anything, so each begins at its own key. */
function parseTail(text: string): Fields {
  const fields = new Map<string, string>();
  const keys = [...text.matchAll(TAIL_KEYS)];
  for (const [index, match] of keys.entries()) {
    fields.set(match[1] ?? "", text.slice(match.index + match[0].length, keys[index + 1]?.index ?? text.length).trim());
  }
  return fields;
}

function idOf(text: string | undefined): readonly [name: string, id: number] {
  const match = /^(.*)\((\d+)\)$/.exec(text ?? "");
  return [match?.[1] ?? "", Number(match?.[2] ?? 0)];
}

function stateOf(text: string): { readonly state: BaseState; readonly flags: readonly StateFlag[] } {
  const words = text.split(/[+, ]/);
  const flags = words.filter((word): word is StateFlag => Object.hasOwn(STATE_FLAGS, word));
  const state = words.find((word): word is BaseState => Object.hasOwn(STATES, word));
  if (state !== undefined) return { state, flags };
  // Older versions show the flag alone.
  const isWaiting = flags.some(
    (flag) => flag === "REQUEUED" || flag === "REQUEUE_HOLD" || flag === "SPECIAL_EXIT" || flag === "RESV_DEL_HOLD",
  );
  return { state: isWaiting ? "PENDING" : "RUNNING", flags };
}

/** Newer versions add the signal, `RaisedSignal:53(…)`; 53 stands for a launch that failed. */
function reasonOf(text: string): string {
  if (text.startsWith("RaisedSignal:53")) return "JobLaunchFailure";
  return text.split(/[,_ :]/, 1)[0] ?? "None";
}

function descriptionOf(reason: string | undefined): string | null {
  return reason !== undefined && /[_ ]/.test(reason) && reason.startsWith("job_requeued") ? reason.replaceAll("_", " ") : null;
}

function exitOf(text: string | undefined): { readonly code: number; readonly signal: number } {
  const [code = "0", signal = "0"] = (text ?? "0:0").split(":");
  return { code: numberOf(code), signal: numberOf(signal) };
}

function schedulerOf(text: string | undefined): JobRecord["scheduler"] {
  return text === "Main" || text === "Backfill" || text === "Submit" ? text : null;
}

function tasksPerNodeOf(fields: Fields): number | null {
  const count = numberOf((fields.get("NtasksPerN:B:S:C") ?? "0").split(":", 1)[0]);
  return count === 0 ? null : count;
}

function arrayOf(head: Fields): ArrayInfo | null {
  const jobId = head.get("ArrayJobId");
  if (jobId === undefined) return null;
  const [text = "", throttle] = (head.get("ArrayTaskId") ?? "").split("%");
  const isSingle = /^\d+$/.test(text);
  const indices = parseIndexList(text, MAX_ARRAY_INDEX) ?? [];
  return {
    jobId: Number(jobId) as JobId,
    taskId: isSingle ? Number(text) : null,
    pendingIndices: isSingle ? null : text,
    throttle: countOrNull(head.get("ArrayTaskThrottle") ?? throttle),
    count: indices.length,
    min: Math.min(...indices),
    max: Math.max(...indices),
    step: 1,
  };
}
