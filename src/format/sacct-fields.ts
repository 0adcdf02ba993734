/** The fields of sacct (commands.md §9.4): names, widths, and what jobs and steps show in them. */
import type { AccountedJob, StepRecord, StepUsage } from "#job/record.ts";
import { shownJobId } from "./array-ids.ts";
import { cpuCount, exitText, minMemory, nodeCount, reasonText, runSeconds, stepRunSeconds } from "./job-facts.ts";
import { nodesText } from "./nodes-text.ts";
import type { ReportField } from "./report.ts";
import { sizeIn, sizeText, sortedStepTresText, sortedTresText, type SizeStyle } from "./sizes.ts";
import { cpuDuration, longDuration, seconds, type FormatTime } from "./times.ts";

export interface SacctContext {
  readonly nowMs: number;
  readonly formatTime: FormatTime;
  readonly clusterName: string;
  readonly sizes: SizeStyle;
}

/** What a field shows for a job and for a step; a missing one is empty. */
export interface SacctValue {
  readonly job?: (job: AccountedJob, context: SacctContext) => string;
  readonly step?: (step: StepRecord, context: SacctContext, job: AccountedJob) => string;
}
export type SacctField = ReportField<SacctValue>;

const NOTHING: SacctValue = {};

/** The same text from what a job and its steps have in common. */
function both(value: (job: AccountedJob, context: SacctContext) => string): SacctValue {
  return { job: value, step: (_step, context, job) => value(job, context) };
}
function jobOnly(value: (job: AccountedJob, context: SacctContext) => string): SacctValue {
  return { job: value };
}
function usage(value: (usage: StepUsage, step: StepRecord, context: SacctContext) => string): SacctValue {
  return { step: (step, context) => (step.usage === null ? "" : value(step.usage, step, context)) };
}
function time(at: number | null, context: SacctContext): string {
  return at === null ? "Unknown" : context.formatTime(at);
}

function size(kib: number | null, context: SacctContext): string {
  if (kib === null) return "";
  if (context.sizes.unit !== null && !context.sizes.noConvert) return sizeIn(kib, "K", context.sizes.unit);
  return kib === 0 ? "0" : `${Math.round(kib)}K`;
}

function count(value: number | undefined): string {
  return value === undefined ? "" : `${Math.round(value)}`;
}

/** A job that waits gets the limit of its partition, whichever that will be. */
function noLimit(job: AccountedJob): string {
  return job.state === "PENDING" ? "Partition_Limit" : "UNLIMITED";
}

function jobState(job: AccountedJob): string {
  return job.earlierRun ?? stateText(job);
}

function stateText(record: { readonly state: string; readonly cancelledBy: number | null }): string {
  return record.state === "CANCELLED" && record.cancelledBy !== null ? `CANCELLED by ${record.cancelledBy}` : record.state;
}

/** Accounting forgets the signal that Slurm itself ended a job with (lifecycle §5.1, last column). */
function jobExit(job: AccountedJob): string {
  // How it ended is in the state; its script's own status is on the batch line (lifecycle §5.1).
  return job.state === "CANCELLED" || job.state === "TIMEOUT" ? "0:0" : exitText(job.exit);
}

/** CPU time of a job: of all its steps together. */
function cpuMs(pick: (usage: StepUsage) => number): SacctValue {
  return {
    job: (job) => cpuDuration(job.steps.reduce((sum, step) => sum + (step.usage === null ? 0 : pick(step.usage)), 0)),
    step: (step) => cpuDuration(step.usage === null ? 0 : pick(step.usage)),
  };
}
const systemMs = (used: StepUsage) => used.systemCpuMs;
const userMs = (used: StepUsage) => used.userCpuMs;
const totalMs = (used: StepUsage) => used.userCpuMs + used.systemCpuMs;

/** Seconds from eligible to start, or until now while the job waits. */
function plannedSeconds(job: AccountedJob, context: SacctContext): number {
  if (job.eligibleAt === null) return 0;
  return Math.max(0, seconds(job.startedAt ?? job.endedAt ?? context.nowMs) - seconds(job.eligibleAt));
}
const planned = jobOnly((job, context) => longDuration(plannedSeconds(job, context)));
const plannedCpu = jobOnly((job, context) => longDuration(plannedSeconds(job, context) * job.requested.cpus));
const plannedCpuRaw = jobOnly((job, context) => `${plannedSeconds(job, context) * job.requested.cpus}`);

/** The script's step shares the job's CPUs; the controller books none for it. */
function stepCpus(step: StepRecord, job: AccountedJob): number {
  return step.allocated?.cpus ?? (step.cpus > 0 ? step.cpus : cpuCount(job));
}
const cpus: SacctValue = { job: (job) => `${cpuCount(job)}`, step: (step, _context, job) => `${stepCpus(step, job)}` };

function cpuSeconds(render: (seconds: number) => string): SacctValue {
  return {
    job: (job, context) => render(runSeconds(job, context.nowMs) * cpuCount(job)),
    step: (step, context, job) => render(stepRunSeconds(step, context.nowMs) * stepCpus(step, job)),
  };
}
function elapsed(render: (seconds: number) => string): SacctValue {
  return {
    job: (job, context) => render(runSeconds(job, context.nowMs)),
    step: (step, context) => render(stepRunSeconds(step, context.nowMs)),
  };
}

const FLAG_OF = { Main: "SchedMain", Backfill: "SchedBackfill", Submit: "SchedSubmit" } as const;
function flags(job: AccountedJob): string {
  const words: string[] = job.scheduler === null ? [] : [FLAG_OF[job.scheduler]];
  words.push("StartRecieved"); // Slurm's own spelling
  return words.join(",");
}

function layoutText(step: StepRecord): string {
  return step.distribution === null ? "Unknown" : step.distribution.charAt(0).toUpperCase() + step.distribution.slice(1);
}

const cpuFrequency: SacctValue = { job: () => "Unknown", step: (step) => (typeof step.stepKey === "number" ? "Unknown" : "0") };
const container: SacctValue = { job: (job) => job.container ?? "", step: (step) => step.container ?? "" };

/** In the order of `sacct -e`, which also decides between names with the same beginning. */
export const SACCT_FIELDS: readonly SacctField[] = [
  { name: "Account", width: 10, value: both((job) => job.account ?? "") },
  { name: "AdminComment", width: 15, value: NOTHING },
  { name: "AllocCPUS", width: 10, value: cpus },
  { name: "AllocNodes", width: 10, value: { job: (job) => `${job.nodes.length}`, step: (step) => `${step.nodes.length}` } },
  {
    name: "AllocTRES",
    width: 10,
    value: {
      job: (job, context) => (job.allocated === null ? "" : sortedTresText(job.allocated, context.sizes)),
      step: (step, context) => (step.allocated === null ? "" : sortedStepTresText(step.allocated, context.sizes)),
    },
  },
  { name: "AssocID", width: 7, value: both(() => "0") },
  { name: "AveCPU", width: 10, value: usage((used, step) => longDuration(Math.floor(totalMs(used) / 1000 / Math.max(1, step.tasks)))) },
  { name: "AveCPUFreq", width: 10, value: { step: () => "0" } },
  { name: "AveDiskRead", width: 14, value: NOTHING },
  { name: "AveDiskWrite", width: 14, value: NOTHING },
  { name: "AvePages", width: 10, value: usage((used) => count(used.pages?.average)) },
  {
    name: "AveRSS",
    width: 10,
    value: usage((used, step, context) => size(used.aveRssKib ?? (step.tasks <= 1 ? used.maxRssKib : null), context)),
  },
  { name: "AveVMSize", width: 10, value: usage((used, _step, context) => size(used.vmSize?.average ?? null, context)) },
  { name: "BlockID", width: 16, value: NOTHING },
  { name: "Cluster", width: 10, value: both((_job, context) => context.clusterName) },
  { name: "Comment", width: 14, value: jobOnly((job) => job.comment ?? "") },
  { name: "Constraints", width: 19, value: jobOnly((job) => job.constraint ?? "") },
  { name: "ConsumedEnergy", width: 14, value: { step: () => "0" } },
  { name: "ConsumedEnergyRaw", width: 17, value: { step: () => "0" } },
  { name: "Container", width: 19, value: container },
  { name: "CPUTime", width: 10, value: cpuSeconds(longDuration) },
  { name: "CPUTimeRAW", width: 10, value: cpuSeconds(String) },
  { name: "DBIndex", width: -10, value: both((job) => `${job.jobId}`) },
  { name: "DerivedExitCode", width: 15, value: jobOnly((job) => exitText(job.derivedExit)) },
  { name: "Elapsed", width: 10, value: elapsed(longDuration) },
  { name: "ElapsedRaw", width: 10, value: elapsed(String) },
  {
    name: "Eligible",
    width: 19,
    value: {
      job: (job, context) => time(job.eligibleAt, context),
      step: (step, context) => time(step.startedAt, context),
    },
  },
  {
    name: "End",
    width: 19,
    value: { job: (job, context) => time(job.endedAt, context), step: (step, context) => time(step.endedAt, context) },
  },
  { name: "ExitCode", width: 8, value: { job: jobExit, step: (step) => exitText(step.exit) } },
  { name: "Flags", width: 19, value: jobOnly(flags) },
  { name: "GID", width: 6, value: jobOnly((job) => `${job.groupId}`) },
  { name: "Group", width: 9, value: jobOnly((job) => job.groupName) },
  {
    name: "JobID",
    width: -12,
    value: { job: (job) => shownJobId(job), step: (step, _context, job) => `${shownJobId(job)}.${step.stepKey}` },
  },
  { name: "JobIDRaw", width: -12, value: { job: (job) => `${job.jobId}`, step: (step, _context, job) => `${job.jobId}.${step.stepKey}` } },
  { name: "JobName", width: 10, value: { job: (job) => job.name, step: (step) => step.name } },
  { name: "Layout", width: 9, value: { step: layoutText } },
  { name: "MaxDiskRead", width: 12, value: NOTHING },
  { name: "MaxDiskReadNode", width: 15, value: NOTHING },
  { name: "MaxDiskReadTask", width: 15, value: NOTHING },
  { name: "MaxDiskWrite", width: 12, value: NOTHING },
  { name: "MaxDiskWriteNode", width: 16, value: NOTHING },
  { name: "MaxDiskWriteTask", width: 16, value: NOTHING },
  { name: "MaxPages", width: 8, value: usage((used) => count(used.pages?.max)) },
  { name: "MaxPagesNode", width: 12, value: usage((used) => used.pages?.node ?? "") },
  { name: "MaxPagesTask", width: 14, value: usage((used) => count(used.pages?.task)) },
  { name: "MaxRSS", width: 10, value: usage((used, _step, context) => size(used.maxRssKib, context)) },
  { name: "MaxRSSNode", width: 10, value: usage((used) => used.maxRssNode ?? "") },
  { name: "MaxRSSTask", width: 10, value: usage((used) => `${used.maxRssTask ?? ""}`) },
  { name: "MaxVMSize", width: 10, value: usage((used, _step, context) => size(used.vmSize?.max ?? null, context)) },
  { name: "MaxVMSizeNode", width: 14, value: usage((used) => used.vmSize?.node ?? "") },
  { name: "MaxVMSizeTask", width: 14, value: usage((used) => count(used.vmSize?.task)) },
  { name: "McsLabel", width: 12, value: NOTHING },
  { name: "MinCPU", width: 10, value: NOTHING },
  { name: "MinCPUNode", width: 10, value: NOTHING },
  { name: "MinCPUTask", width: 10, value: NOTHING },
  { name: "NCPUS", width: 10, value: cpus },
  { name: "NNodes", width: 8, value: { job: (job) => `${nodeCount(job)}`, step: (step) => `${step.nodes.length}` } },
  {
    name: "NodeList",
    width: 15,
    value: {
      job: (job) => (job.nodes.length === 0 ? "None assigned" : nodesText(job.nodes)),
      step: (step) => nodesText(step.nodes),
    },
  },
  { name: "NTasks", width: 8, value: { step: (step) => `${step.tasks}` } },
  { name: "Partition", width: 10, value: jobOnly((job) => job.partition) },
  { name: "Priority", width: 10, value: jobOnly((job) => `${job.priority}`) },
  { name: "QOS", width: 10, value: jobOnly((job) => job.qos ?? "") },
  { name: "QOSRAW", width: 6, value: jobOnly((job) => (job.qos === null ? "" : "1")) },
  { name: "Reason", width: 22, value: jobOnly((job) => (job.startedAt === null ? reasonText(job) : "None")) },
  { name: "ReqCPUFreq", width: 10, value: cpuFrequency },
  { name: "ReqCPUFreqGov", width: 13, value: cpuFrequency },
  { name: "ReqCPUFreqMax", width: 13, value: cpuFrequency },
  { name: "ReqCPUFreqMin", width: 13, value: cpuFrequency },
  { name: "ReqCPUS", width: 8, value: { job: (job) => `${job.requested.cpus}`, step: (step, _context, job) => `${stepCpus(step, job)}` } },
  { name: "ReqMem", width: 10, value: jobOnly(requestedMemory) },
  { name: "ReqNodes", width: 8, value: { job: (job) => `${Math.max(job.nodesMin, 1)}`, step: (step) => `${step.nodes.length}` } },
  { name: "ReqTRES", width: 10, value: jobOnly((job, context) => sortedTresText(job.requested, context.sizes)) },
  { name: "Reservation", width: 20, value: jobOnly((job) => job.reservation ?? "") },
  { name: "ReservationId", width: 8, value: NOTHING },
  { name: "Reserved", width: 10, value: planned },
  { name: "ResvCPU", width: 10, value: plannedCpu },
  { name: "ResvCPURAW", width: 10, value: plannedCpuRaw },
  {
    name: "Start",
    width: 19,
    value: { job: (job, context) => time(job.startedAt, context), step: (step, context) => time(step.startedAt, context) },
  },
  { name: "State", width: 10, value: { job: jobState, step: stateText } },
  {
    name: "Submit",
    width: 19,
    value: { job: (job, context) => time(job.submittedAt, context), step: (step, context) => time(step.startedAt, context) },
  },
  { name: "SubmitLine", width: 20, value: { job: (job) => job.submitLine, step: (step) => step.submitLine ?? "" } },
  {
    name: "Suspended",
    width: 10,
    value: {
      job: (job) => longDuration(seconds(job.suspendedMs)),
      step: (step) => longDuration(seconds(step.suspendedMs)),
    },
  },
  { name: "SystemComment", width: 15, value: NOTHING },
  { name: "SystemCPU", width: 10, value: cpuMs(systemMs) },
  {
    name: "Timelimit",
    width: 10,
    value: jobOnly((job) => (job.timeLimitMinutes === null ? noLimit(job) : longDuration(job.timeLimitMinutes * 60))),
  },
  { name: "TimelimitRaw", width: 10, value: jobOnly((job) => (job.timeLimitMinutes === null ? noLimit(job) : `${job.timeLimitMinutes}`)) },
  { name: "TotalCPU", width: 10, value: cpuMs(totalMs) },
  { name: "TRESUsageInAve", width: 14, value: NOTHING },
  { name: "TRESUsageInMax", width: 14, value: NOTHING },
  { name: "TRESUsageInMaxNode", width: 18, value: NOTHING },
  { name: "TRESUsageInMaxTask", width: 18, value: NOTHING },
  { name: "TRESUsageInMin", width: 14, value: NOTHING },
  { name: "TRESUsageInMinNode", width: 18, value: NOTHING },
  { name: "TRESUsageInMinTask", width: 18, value: NOTHING },
  { name: "TRESUsageInTot", width: 14, value: NOTHING },
  { name: "TRESUsageOutAve", width: 15, value: NOTHING },
  { name: "TRESUsageOutMax", width: 15, value: NOTHING },
  { name: "TRESUsageOutMaxNode", width: 19, value: NOTHING },
  { name: "TRESUsageOutMaxTask", width: 19, value: NOTHING },
  { name: "TRESUsageOutMin", width: 15, value: NOTHING },
  { name: "TRESUsageOutMinNode", width: 19, value: NOTHING },
  { name: "TRESUsageOutMinTask", width: 19, value: NOTHING },
  { name: "TRESUsageOutTot", width: 15, value: NOTHING },
  { name: "UID", width: 6, value: jobOnly((job) => `${job.userId}`) },
  { name: "User", width: 9, value: jobOnly((job) => job.userName) },
  { name: "UserCPU", width: 10, value: cpuMs(userMs) },
  { name: "WCKey", width: 10, value: both((job) => job.wckey ?? "") },
  { name: "WCKeyID", width: 10, value: jobOnly(() => "0") },
  { name: "WorkDir", width: 20, value: jobOnly((job) => job.workDir) },
];

/** Names of later versions (§9.4): found after all others, and not listed by -e. */
export const LATER_SACCT_FIELDS: readonly SacctField[] = [
  { name: "Planned", width: 10, value: planned },
  { name: "PlannedCPU", width: 10, value: plannedCpu },
  { name: "PlannedCPURAW", width: 13, value: plannedCpuRaw },
  { name: "ContainerID", width: 19, value: { job: (job) => job.containerId ?? "", step: (step) => step.containerId ?? "" } },
  { name: "Exclusive", width: 9, value: jobOnly((job) => (job.exclusive ? "NODE" : "NO")) },
  { name: "Extra", width: 10, value: NOTHING },
  { name: "FailedNode", width: 10, value: jobOnly((job) => job.failedNode ?? "") },
  { name: "Licenses", width: 10, value: jobOnly((job) => job.licenses ?? "") },
  { name: "OverSubscribe", width: 13, value: jobOnly((job) => (job.exclusive ? "NO" : job.oversubscribe ? "YES" : "OK")) },
  { name: "QOSREQ", width: 10, value: jobOnly((job) => job.qos ?? "") },
  { name: "Restarts", width: 10, value: jobOnly((job) => `${job.restarts}`) },
  { name: "SegmentSize", width: 11, value: NOTHING },
  { name: "SLUID", width: 14, value: NOTHING },
  { name: "StdErr", width: 20, value: jobOnly((job) => job.stderr ?? job.stdout ?? "") },
  { name: "StdIn", width: 20, value: jobOnly((job) => job.stdin ?? "") },
  { name: "StdOut", width: 20, value: jobOnly((job) => job.stdout ?? "") },
];

function requestedMemory(job: AccountedJob, context: SacctContext): string {
  const memory = minMemory(job);
  const mib = job.requested.memMib ?? (memory.perCpu ? memory.mib * job.requested.cpus : memory.mib * nodeCount(job));
  return sizeText(mib, context.sizes);
}
