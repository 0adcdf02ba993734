/** The columns of `squeue -s` (commands.md §6.3, §6.4). */
import type { JobRecord, StepRecord } from "#job/record.ts";
import { shownStepId } from "./array-ids.ts";
import { stepRunSeconds } from "./job-facts.ts";
import { nodesText } from "./nodes-text.ts";
import type { Whole } from "./columns.ts";
import type { SqueueContext } from "./squeue-job-fields.ts";
import { gpusText, gresText } from "./sizes.ts";
import { shortDuration } from "./times.ts";

/** `job` is the step's job when the caller has it; it gives array ids and GRES. */
export type StepCell = (step: StepRecord, context: SqueueContext, job: JobRecord | undefined) => string;
export interface StepField {
  readonly header: string;
  readonly whole?: Whole;
  /** The title stands at the left whatever the column says, as in 22.05. */
  readonly isTitleLeft?: boolean;
  readonly cell: StepCell;
}

function always(text: string): StepCell {
  return () => text;
}
const nodes: StepCell = (step) => nodesText(step.nodes);

/** By lower-case -O name. */
export const STEP_FIELDS: Readonly<Record<string, StepField>> = {
  arrayjobid: { header: "ARRAY_JOB_ID", cell: (_step, _context, job) => `${job?.array?.jobId ?? 0}` },
  arraytaskid: { header: "ARRAY_TASK_ID", cell: (_step, _context, job) => `${job?.array?.taskId ?? "N/A"}` },
  cluster: { header: "CLUSTER", cell: (_step, context) => context.clusterName },
  container: { header: "CONTAINER", cell: (step) => step.container ?? "(null)" },
  containerid: { header: "CONTAINERID", cell: (step) => step.containerId ?? "(null)" },
  cpufreq: { header: "CPU_FREQ", cell: ({ stepKey }) => (stepKey === "batch" ? "0-0:0" : "Unknown-Unknown:Unknown") },
  "cpus-per-tres": { header: "CPUS_PER_TRES", cell: always("(null)") },
  gres: { header: "TRES_PER_NODE", cell: (_step, _context, job) => gresText(job?.gresPerNode ?? null) ?? "(null)" },
  jobid: { header: "JOB_ID", cell: (step) => `${step.jobId}` },
  "mem-per-tres": { header: "MEM_PER_TRES", cell: always("(null)") },
  network: { header: "NETWORK", cell: always("(null)") },
  nodelist: { header: "NODELIST", cell: nodes, whole: "nodes" },
  nodes: { header: "NODELIST", cell: nodes, whole: "nodes" },
  numcpus: { header: "NUM_CPUS", cell: (step) => (step.stepKey === "batch" ? "0" : `${step.cpus}`) },
  numtasks: { header: "TASKS", cell: (step) => `${step.tasks}` },
  partition: { header: "PARTITION", cell: (step) => step.partition },
  resvports: { header: "RESV_PORTS", cell: always("(null)") },
  starttime: { header: "START_TIME", cell: (step, context) => context.formatTime(step.startedAt), isTitleLeft: true },
  stepid: { header: "STEPID", cell: (step, _context, job) => shownStepId(step, job) },
  stepname: { header: "NAME", cell: (step) => step.name },
  stepstate: { header: "STATE", cell: (step) => step.state },
  timelimit: {
    header: "TIME_LIMIT",
    cell: (step) => (step.timeLimitMinutes === null ? "UNLIMITED" : shortDuration(step.timeLimitMinutes * 60)),
    whole: "duration",
  },
  timeused: { header: "TIME", cell: (step, context) => shortDuration(stepRunSeconds(step, context.nowMs)), whole: "duration" },
  "tres-bind": { header: "TRES_BIND", cell: always("(null)") },
  "tres-freq": { header: "TRES_FREQ", cell: always("(null)") },
  // The titles of the next four are 22.05's own.
  "tres-per-job": { header: "TRES_PER_STEP", cell: (_step, _context, job) => gpusText(job?.gpus ?? null) ?? "(null)" },
  "tres-per-node": { header: "TRES_PER_JOB", cell: (_step, _context, job) => gresText(job?.gresPerNode ?? null) ?? "(null)" },
  "tres-per-socket": { header: "TRES_PER_SOCKET", cell: always("(null)") },
  "tres-per-step": { header: "TRES_PER_STEP", cell: always("(null)") },
  "tres-per-task": { header: "TRES_PER_TASK", cell: always("(null)") },
  userid: { header: "UID", cell: (step) => `${step.userId}` },
  username: { header: "USER", cell: (step) => step.userName },
};

/** -o letter → -O name. */
export const STEP_LETTERS: Readonly<Record<string, string>> = {
  A: "numtasks",
  b: "tres-per-node",
  C: "numcpus",
  i: "stepid",
  j: "stepname",
  l: "timelimit",
  M: "timeused",
  N: "nodelist",
  P: "partition",
  S: "starttime",
  T: "stepstate",
  u: "username",
  U: "userid",
};
