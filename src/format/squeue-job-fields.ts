/** The columns of squeue's job view: names, letters and headers of commands.md §6.3 and §6.4. */
import type { Whole } from "./columns.ts";
import { COMPACT_STATES, shownState, type AnyState } from "#job/state.ts";
import type { JobRecord } from "#job/record.ts";
import { pendingIndexText, shownJobId } from "./array-ids.ts";
import { orNull } from "./columns.ts";
import { nodesText } from "./nodes-text.ts";
import { batchHost, cpuCount, endMs, minMemory, nodeCount, oversubscribeText, reasonText, runSeconds, startMs } from "./job-facts.ts";
import { exactSize, gpusText, gresText, tresText, EXACT } from "./sizes.ts";
import { seconds, shortDuration, type FormatTime } from "./times.ts";

export interface SqueueContext {
  readonly nowMs: number;
  readonly formatTime: FormatTime;
  readonly clusterName: string;
  readonly bitstrLength: number;
  readonly noConvert: boolean;
}

/** `task` is the array index when a pending task has a line of its own. */
export type JobCell = (job: JobRecord, context: SqueueContext, task: number | null) => string;
export interface JobField {
  readonly header: string;
  readonly whole?: Whole;
  readonly cell: JobCell;
}

function always(text: string): JobCell {
  return () => text;
}
function time(pick: (job: JobRecord, context: SqueueContext) => number | null, missing = "N/A"): JobCell {
  return (job, context) => {
    const at = pick(job, context);
    return at === null ? missing : context.formatTime(at);
  };
}
function text(pick: (job: JobRecord) => string | null): JobCell {
  return (job) => pick(job) ?? "(null)";
}
function mib(value: number, context: SqueueContext): string {
  return context.noConvert ? (value === 0 ? "0" : `${value}M`) : exactSize(value, "M");
}

/** Most jobs have no flags; asking first halves the time of a long list. */
function stateOf(job: JobRecord): AnyState {
  return job.flags.length === 0 ? job.state : shownState(job);
}

/** The one index of an array task, the list of those that wait, or N/A. */
const arrayTaskCell: JobCell = (job, context, task) => {
  if (job.array === null) return "N/A";
  const one = task ?? job.array.taskId;
  return one === null ? pendingIndexText(job.array, context.bitstrLength) : `${one}`;
};

/** States whose reason squeue shows where the nodes would stand. */
const REASON_STATES: ReadonlySet<string> = new Set(["PENDING", "TIMEOUT", "OUT_OF_MEMORY", "DEADLINE", "FAILED"]);

const reasonListCell: JobCell = (job) =>
  REASON_STATES.has(job.state) && !job.flags.includes("COMPLETING") ? `(${reasonText(job)})` : nodesText(job.nodes);

const timeLimitCell: JobCell = (job) => (job.timeLimitMinutes === null ? "UNLIMITED" : shortDuration(job.timeLimitMinutes * 60));
const timeLeftCell: JobCell = (job, context) =>
  job.timeLimitMinutes === null ? "UNLIMITED" : shortDuration(job.timeLimitMinutes * 60 - runSeconds(job, context.nowMs));

const TRES_PER_NODE: JobField = { header: "TRES_PER_NODE", cell: (job) => gresText(job.gresPerNode) ?? "N/A" };
const CPUS_PER_TASK: JobField = { header: "CPUS_PER_TASK", cell: (job) => `${job.cpusPerTask}` };
const HET_JOB_ID: JobField = { header: "HET_JOB_ID", cell: always("N/A") };
const HET_JOB_ID_SET: JobField = { header: "HET_JOB_ID_SET", cell: always("N/A") };
const HET_JOB_OFFSET: JobField = { header: "HET_JOB_OFFSET", cell: always("N/A") };
const OVER_SUBSCRIBE: JobField = { header: "OVER_SUBSCRIBE", cell: oversubscribeText };
const SCHEDNODES: JobField = { header: "SCHEDNODES", cell: always("(null)"), whole: "nodes" };

/** By lower-case -O name. */
export const JOB_FIELDS: Readonly<Record<string, JobField>> = {
  account: { header: "ACCOUNT", cell: text((job) => job.account) },
  accruetime: { header: "ACCRUE_TIME", cell: time((job) => job.eligibleAt) },
  admin_comment: { header: "ADMIN_COMMENT", cell: always("(null)") },
  allocnodes: { header: "ALLOC_NODES", cell: (job) => job.submitHost },
  allocsid: { header: "ALLOC_SID", cell: (job) => `${job.submitSid}` },
  arrayjobid: { header: "ARRAY_JOB_ID", cell: (job) => `${job.array?.jobId ?? job.jobId}` },
  arraytaskid: { header: "ARRAY_TASK_ID", cell: arrayTaskCell },
  associd: { header: "ASSOC_ID", cell: always("0") },
  batchflag: { header: "BATCH_FLAG", cell: (job) => (job.kind === "batch" ? "1" : "0") },
  batchhost: { header: "EXEC_HOST", cell: (job) => batchHost(job) ?? "n/a" },
  boardspernode: { header: "BOARDS_PER_NODE", cell: always("0") },
  burstbuffer: { header: "BURST_BUFFER", cell: always("(null)") },
  burstbufferstate: { header: "BURST_BUFFER_STATE", cell: always("(null)") },
  cluster: { header: "CLUSTER", cell: (_job, context) => context.clusterName },
  clusterfeature: { header: "CLUSTER_FEATURES", cell: always("(null)") },
  command: { header: "COMMAND", cell: text((job) => job.command) },
  comment: { header: "COMMENT", cell: text((job) => job.comment) },
  container: { header: "CONTAINER", cell: text((job) => job.container) },
  containerid: { header: "CONTAINERID", cell: text((job) => job.containerId) },
  contiguous: { header: "CONTIGUOUS", cell: (job) => (job.contiguous ? "1" : "0") },
  cores: { header: "CORES_PER_SOCKET", cell: always("*") },
  corespec: { header: "CORE_SPEC", cell: always("N/A") },
  cpuspertask: CPUS_PER_TASK,
  "cpus-per-task": CPUS_PER_TASK,
  "cpus-per-tres": { header: "CPUS_PER_TRES", cell: always("N/A") },
  cronjob: { header: "CRONJOB", cell: always("No") },
  deadline: { header: "DEADLINE", cell: time((job) => job.deadlineAt) },
  delayboot: { header: "DELAY_BOOT", cell: always("0:00") },
  dependency: { header: "DEPENDENCY", cell: text((job) => job.dependency) },
  derivedec: { header: "DERIVED_EC", cell: (job) => `${job.derivedExit.code}` },
  eligibletime: { header: "ELIGIBLE_TIME", cell: time((job) => job.eligibleAt) },
  endtime: { header: "END_TIME", cell: time((job) => endMs(job)) },
  exclusive: { header: "EXCLUSIVE", cell: (job) => (job.exclusive ? "NODE" : "NO") },
  excnodes: { header: "EXC_NODES", cell: (job) => nodesText(job.excludedNodes) },
  exit_code: { header: "EXIT_CODE", cell: (job) => `${job.exit.code}` },
  feature: { header: "FEATURES", cell: text((job) => job.constraint) },
  gres: TRES_PER_NODE,
  groupid: { header: "GROUP", cell: (job) => `${job.groupId}` },
  groupname: { header: "GROUP", cell: (job) => job.groupName },
  hetjobid: HET_JOB_ID,
  hetjobidset: HET_JOB_ID_SET,
  hetjoboffset: HET_JOB_OFFSET,
  jobarrayid: { header: "JOBID", cell: (job, context, task) => shownJobId(job, task, context.bitstrLength) },
  jobid: { header: "JOBID", cell: (job) => `${job.jobId}` },
  lastschedeval: { header: "LAST_SCHED_EVAL", cell: time((job) => job.lastSchedEvalAt) },
  licenses: { header: "LICENSES", cell: text((job) => job.licenses) },
  licensesalloc: { header: "LICENSES_ALLOC", cell: text((job) => (job.allocated === null ? null : job.licenses)) },
  maxcpus: { header: "MAX_CPUS", cell: (job) => `${cpuCount(job)}` },
  maxnodes: { header: "MAX_NODES", cell: (job) => `${job.nodesMax ?? nodeCount(job)}` },
  mcslabel: { header: "MCSLABEL", cell: always("(null)") },
  "mem-per-tres": { header: "MEM_PER_TRES", cell: always("N/A") },
  mincpus: { header: "MIN_CPUS", cell: (job) => `${job.minCpusPerNode}` },
  minmemory: { header: "MIN_MEMORY", cell: (job, context) => mib(minMemory(job).mib, context) },
  mintime: { header: "TIME_MIN", cell: (job) => shortDuration((job.timeMinMinutes ?? 0) * 60) },
  mintmpdisk: { header: "MIN_TMP_DISK", cell: (job, context) => mib(job.tmpDiskMib, context) },
  name: { header: "NAME", cell: (job) => job.name },
  network: { header: "NETWORK", cell: always("(null)") },
  nice: { header: "NICE", cell: (job) => `${job.nice}` },
  nodelist: { header: "NODELIST", cell: (job) => nodesText(job.nodes), whole: "nodes" },
  nodes: { header: "NODELIST", cell: (job) => nodesText(job.nodes), whole: "nodes" },
  ntperboard: { header: "NTASKS_PER_BOARD", cell: always("0") },
  ntpercore: { header: "NTASKS_PER_CORE", cell: always("N/A") },
  ntpernode: { header: "NTASKS_PER_NODE", cell: (job) => `${job.tasksPerNode ?? 0}` },
  ntpersocket: { header: "NTASKS_PER_SOCKET", cell: always("N/A") },
  numcpus: { header: "CPUS", cell: (job) => `${cpuCount(job)}` },
  numnodes: { header: "NODES", cell: (job) => `${nodeCount(job)}` },
  numtasks: { header: "TASKS", cell: (job) => `${job.tasks}` },
  origin: { header: "ORIGIN", cell: always("NA") },
  originraw: { header: "ORIGIN_RAW", cell: always("NA") },
  oversubscribe: OVER_SUBSCRIBE,
  packjobid: HET_JOB_ID,
  packjobidset: HET_JOB_ID_SET,
  packjoboffset: HET_JOB_OFFSET,
  partition: { header: "PARTITION", cell: (job) => job.partition },
  pendingtime: {
    header: "PENDING_TIME",
    cell: (job, context) => `${Math.max(0, seconds(job.startedAt ?? job.endedAt ?? context.nowMs) - seconds(job.submittedAt))}`,
  },
  preempttime: { header: "PREEMPT_TIME", cell: always("N/A") },
  prefer: { header: "PREFER", cell: always("(null)") },
  priority: { header: "PRIORITY", cell: (job) => (job.priority / 0xffffffff).toFixed(14) },
  prioritylong: { header: "PRIORITY", cell: (job) => `${job.priority}` },
  profile: { header: "PROFILE", cell: always("NotSet") },
  qos: { header: "QOS", cell: text((job) => job.qos) },
  reason: { header: "REASON", cell: reasonText },
  reasonlist: { header: "NODELIST(REASON)", cell: reasonListCell, whole: "nodes" },
  reboot: { header: "REBOOT", cell: always("0") },
  reqnodes: { header: "REQ_NODES", cell: (job) => nodesText(job.requestedNodes) },
  reqswitch: { header: "REQ_SWITCH", cell: always("0") },
  requeue: { header: "REQUEUE", cell: (job) => (job.requeue ? "1" : "0") },
  reservation: { header: "RESERVATION", cell: text((job) => job.reservation) },
  resizetime: { header: "RESIZE_TIME", cell: always("N/A") },
  restartcnt: { header: "RESTART_COUNT", cell: (job) => `${job.restarts}` },
  resvports: { header: "RESV_PORTS", cell: always("(null)") },
  runtime: { header: "RUNTIME", cell: always("(null)") },
  schednodes: SCHEDNODES,
  sct: { header: "S:C:T", cell: always("*:*:*") },
  segmentsize: { header: "SEGMENT_SIZE", cell: always("0") },
  shared: OVER_SUBSCRIBE,
  selectjobinfo: { header: "", cell: always("") },
  siblingsactive: { header: "ACTIVE_SIBLINGS", cell: always("NA") },
  siblingsactiveraw: { header: "ACTIVE_SIBLINGS_RAW", cell: always("NA") },
  siblingsviable: { header: "VIABLE_SIBLINGS", cell: always("NA") },
  siblingsviableraw: { header: "VIALBLE_SIBLINGS_RAW", cell: always("NA") },
  sluid: { header: "", cell: always("") },
  sockets: { header: "SOCKETS_PER_NODE", cell: always("*") },
  sperboard: { header: "SOCKETS_PER_BOARD", cell: always("0") },
  starttime: { header: "START_TIME", cell: time((job, context) => startMs(job, context.nowMs)) },
  state: { header: "STATE", cell: stateOf },
  statecompact: { header: "ST", cell: (job) => COMPACT_STATES[stateOf(job)] },
  stderr: { header: "STDERR", cell: (job) => job.stderr ?? job.stdout ?? "" },
  stdin: { header: "STDIN", cell: (job) => job.stdin ?? "" },
  stdout: { header: "STDOUT", cell: (job) => job.stdout ?? "" },
  submittime: { header: "SUBMIT_TIME", cell: time((job) => job.submittedAt) },
  system_comment: { header: "SYSTEM_COMMENT", cell: always("(null)") },
  threads: { header: "THREADS_PER_CORE", cell: always("*") },
  timeleft: { header: "TIME_LEFT", cell: timeLeftCell, whole: "duration" },
  timelimit: { header: "TIME_LIMIT", cell: timeLimitCell, whole: "duration" },
  timeused: { header: "TIME", cell: (job, context) => shortDuration(runSeconds(job, context.nowMs)), whole: "duration" },
  "tres-alloc": {
    header: "TRES_ALLOC",
    cell: (job, context) => tresText(job.allocated ?? job.requested, { ...EXACT, noConvert: context.noConvert }),
  },
  "tres-bind": { header: "TRES_BIND", cell: always("N/A") },
  "tres-freq": { header: "TRES_FREQ", cell: always("N/A") },
  "tres-per-job": { header: "TRES_PER_JOB", cell: (job) => gpusText(job.gpus) ?? "N/A" },
  "tres-per-node": TRES_PER_NODE,
  "tres-per-socket": { header: "TRES_PER_SOCKET", cell: always("N/A") },
  "tres-per-task": { header: "TRES_PER_TASK", cell: always("N/A") },
  userid: { header: "UID", cell: (job) => `${job.userId}` },
  username: { header: "USER", cell: (job) => job.userName },
  wait4switch: { header: "WAIT4SWITCH", cell: always("0:00") },
  wckey: { header: "WCKEY", cell: (job) => orNull(job.wckey) },
  workdir: { header: "WORK_DIR", cell: (job) => job.workDir },
};

/** -o letter → -O name. */
export const JOB_LETTERS: Readonly<Record<string, string>> = {
  a: "account",
  A: "jobid",
  b: "tres-per-node",
  B: "batchhost",
  c: "mincpus",
  C: "numcpus",
  d: "mintmpdisk",
  D: "numnodes",
  e: "endtime",
  E: "dependency",
  f: "feature",
  F: "arrayjobid",
  g: "groupname",
  G: "groupid",
  h: "oversubscribe",
  H: "sockets",
  i: "jobarrayid",
  I: "cores",
  j: "name",
  J: "threads",
  k: "comment",
  K: "arraytaskid",
  l: "timelimit",
  L: "timeleft",
  m: "minmemory",
  M: "timeused",
  n: "reqnodes",
  N: "nodelist",
  o: "command",
  O: "contiguous",
  p: "priority",
  P: "partition",
  q: "qos",
  Q: "prioritylong",
  r: "reason",
  R: "reasonlist",
  s: "sluid",
  S: "starttime",
  t: "statecompact",
  T: "state",
  u: "username",
  U: "userid",
  v: "reservation",
  V: "submittime",
  w: "wckey",
  W: "licenses",
  x: "excnodes",
  X: "corespec",
  y: "nice",
  Y: "schednodes",
  z: "sct",
  Z: "workdir",
};
