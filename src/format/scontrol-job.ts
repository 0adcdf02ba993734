/** `scontrol show job` (commands.md §8.1): the layout of 22.05, with the container line of later versions. */
import { shownState } from "#job/state.ts";
import type { JobRecord, NodeShare } from "#job/record.ts";
import { pendingIndexText } from "./array-ids.ts";
import { orNull } from "./columns.ts";
import {
  batchHost,
  cpuCount,
  endMs,
  exitText,
  minMemory,
  nodeCount,
  oversubscribeText,
  reasonText,
  runSeconds,
  startMs,
} from "./job-facts.ts";
import { nodesText } from "./nodes-text.ts";
import { exactSize, gpusText, gresText, tresText } from "./sizes.ts";
import { longDuration, timeFormatter, type FormatTime } from "./times.ts";

export interface ShowOptions {
  readonly nowMs: number;
  /** SLURM_TIME_FORMAT. */
  readonly timeFormat: string | null;
  /** `-o` */
  readonly oneLine: boolean;
  /** `-d` */
  readonly details?: boolean;
}

/** All records by id; of an array the one with its own id, then the tasks, the newest first. Lines without newlines. */
export function renderShowJobs(jobs: readonly JobRecord[], options: ShowOptions): string[] {
  const formatTime = timeFormatter(options.timeFormat, options.nowMs);
  const base = (job: JobRecord) => job.array?.jobId ?? job.jobId;
  const isMaster = (job: JobRecord) => job.jobId === base(job);
  const sorted = jobs.toSorted((a, b) => base(a) - base(b) || Number(isMaster(b)) - Number(isMaster(a)) || b.jobId - a.jobId);
  return sorted.flatMap((job) => {
    const fields = jobLines(job, options, formatTime);
    return options.oneLine ? [`${fields.join(" ")} `] : [...fields.map((line, i) => (i === 0 ? line : `   ${line}`)), "   ", ""];
  });
}

function jobLines(job: JobRecord, options: ShowOptions, formatTime: FormatTime): string[] {
  const time = (at: number | null, missing: string) => (at === null ? missing : formatTime(at));
  const accrueAt = job.eligibleAt !== null && job.eligibleAt <= options.nowMs ? job.eligibleAt : null;
  const lines = [
    firstLine(job),
    `UserId=${job.userName}(${job.userId}) GroupId=${job.groupName}(${job.groupId}) MCS_label=N/A`,
    `Priority=${job.priority} Nice=${job.nice} Account=${orNull(job.account)} QOS=${orNull(job.qos)}${job.wckey === null ? "" : ` WCKey=${job.wckey}`}`,
    `JobState=${shownState(job)} Reason=${reasonText(job).replaceAll(" ", "_")} Dependency=${orNull(job.dependency)}`,
    `Requeue=${job.requeue ? 1 : 0} Restarts=${job.restarts} BatchFlag=${job.kind === "batch" ? 1 : 0} Reboot=0 ExitCode=${exitText(job.exit)}`,
  ];
  if (options.details === true) lines.push(`DerivedExitCode=${exitText(job.derivedExit)}`);
  lines.push(
    `RunTime=${longDuration(runSeconds(job, options.nowMs))} TimeLimit=${limit(job.timeLimitMinutes, "UNLIMITED")} TimeMin=${limit(job.timeMinMinutes, "N/A")}`,
    `SubmitTime=${formatTime(job.submittedAt)} EligibleTime=${time(job.eligibleAt, "Unknown")}`,
    `AccrueTime=${time(accrueAt, "Unknown")}`,
    `StartTime=${time(startMs(job, options.nowMs), "Unknown")} EndTime=${time(endMs(job), "Unknown")} Deadline=${time(job.deadlineAt, "N/A")}`,
    `SuspendTime=${time(job.suspendedAt, "None")} SecsPreSuspend=${job.state === "SUSPENDED" ? runSeconds(job, options.nowMs) : 0}` +
      ` LastSchedEval=${time(job.lastSchedEvalAt, "Unknown")} Scheduler=${job.scheduler ?? "Main"}`,
    `Partition=${job.partition} AllocNode:Sid=${job.submitHost}:${job.submitSid}`,
    `ReqNodeList=${orNull(nodesText(job.requestedNodes) || null)} ExcNodeList=${orNull(nodesText(job.excludedNodes) || null)}`,
    `NodeList=${nodesText(job.nodes)}`,
  );
  const host = batchHost(job);
  if (host !== null) lines.push(`BatchHost=${host}`);
  if (job.reservation !== null) lines.push(`Reservation=${job.reservation}`);
  const memory = minMemory(job);
  lines.push(
    `NumNodes=${nodeRange(job)} NumCPUs=${cpuCount(job)} NumTasks=${job.tasks} CPUs/Task=${job.cpusPerTask} ReqB:S:C:T=0:0:*:*`,
    `TRES=${tresText(job.allocated ?? job.requested)}`,
    `Socks/Node=* NtasksPerN:B:S:C=${job.tasksPerNode ?? 0}:0:*:* CoreSpec=*`,
  );
  if (options.details === true) lines.push(...shareLines(job));
  lines.push(
    `MinCPUsNode=${job.minCpusPerNode} MinMemory${memory.perCpu ? "CPU" : "Node"}=${exactSize(memory.mib, "M")} MinTmpDiskNode=${exactSize(job.tmpDiskMib, "M")}`,
    `Features=${orNull(job.constraint)} DelayBoot=00:00:00`,
    `OverSubscribe=${oversubscribeText(job)} Contiguous=${job.contiguous ? 1 : 0} Licenses=${orNull(job.licenses)} Network=(null)`,
    `Command=${orNull(job.command)}`,
    `WorkDir=${job.workDir}`,
    ...optionalLines(job),
  );
  return lines;
}

function firstLine(job: JobRecord): string {
  const { array } = job;
  if (array === null) return `JobId=${job.jobId} JobName=${job.name}`;
  const throttle = array.throttle === null || array.throttle === 0 ? "" : ` ArrayTaskThrottle=${array.throttle}`;
  return `JobId=${job.jobId} ArrayJobId=${array.jobId} ArrayTaskId=${array.taskId ?? pendingIndexText(array)}${throttle} JobName=${job.name}`;
}

function limit(minutes: number | null, missing: string): string {
  return minutes === null ? missing : longDuration(minutes * 60);
}

/** `2-4` while pending with a maximum, else the count. */
function nodeRange(job: JobRecord): string {
  const count = nodeCount(job);
  return job.state === "PENDING" && job.nodesMax !== null ? `${count}-${Math.max(count, job.nodesMax)}` : `${count}`;
}

/** Lines that only stand when they have something to say. */
function optionalLines(job: JobRecord): string[] {
  const lines: string[] = [];
  if (job.comment !== null) lines.push(`Comment=${job.comment} `);
  if (job.kind === "batch") {
    lines.push(`StdErr=${job.stderr ?? job.stdout ?? ""}`, `StdIn=${job.stdin ?? ""}`, `StdOut=${job.stdout ?? ""}`);
  }
  lines.push("Power=");
  const perJob = gpusText(job.gpus);
  const perNode = gresText(job.gresPerNode);
  if (perJob !== null) lines.push(`TresPerJob=${perJob}`);
  if (perNode !== null) lines.push(`TresPerNode=${perNode}`);
  if (job.mailTypes.length > 0) lines.push(`MailUser=${job.mailUser ?? job.userName} MailType=${job.mailTypes.join(",")}`);
  if (job.container !== null || job.containerId !== null) {
    lines.push(`Container=${orNull(job.container)} ContainerID=${orNull(job.containerId)}`);
  }
  return lines;
}

/** `-d`: what each node gives; neighbours that give the same share a line. */
function shareLines(job: JobRecord): string[] {
  const groups: { readonly nodes: string[]; readonly text: string }[] = [];
  for (const share of job.shares) {
    const text = shareText(share);
    const last = groups.at(-1);
    if (last?.text === text) last.nodes.push(share.node);
    else groups.push({ nodes: [share.node], text });
  }
  const gres = Object.entries(job.allocated?.gres ?? {});
  const total = gres.length > 0 ? gres : sumGres(job.shares);
  return [
    `JOB_GRES=${total.length === 0 ? "(null)" : total.map(([name, count]) => `${name}:${count}`).join(",")}`,
    ...groups.map(({ nodes, text }) => `  Nodes=${nodesText(nodes)} ${text}`),
  ];
}

function sumGres(shares: readonly NodeShare[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const share of shares) {
    for (const [name, indices] of Object.entries(share.gres)) counts.set(name, (counts.get(name) ?? 0) + indices.length);
  }
  return [...counts];
}

function shareText(share: NodeShare): string {
  const gres = Object.entries(share.gres)
    .filter(([, indices]) => indices.length > 0)
    .map(([name, indices]) => `${name}:${indices.length}(IDX:${indexRanges(indices)})`);
  return `CPU_IDs=${indexRanges(share.cpuIds)} Mem=${share.memMib} GRES=${gres.join(",")}`;
}

/** [0,1,2,5] → `0-2,5`. */
export function indexRanges(indices: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < indices.length; i++) {
    const first = indices[i] ?? 0;
    let last = first;
    while (indices[i + 1] === last + 1) {
      last++;
      i++;
    }
    parts.push(first === last ? `${first}` : `${first}-${last}`);
  }
  return parts.join(",");
}
