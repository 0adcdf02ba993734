/**
 * The SLURM_* variables of jobs, batch scripts and tasks (commands.md §15). Pure: records in, variables out.
 * A variable that Slurm leaves out is left out here too.
 */
import { foldPerNode } from "#options/tasks-per-node.ts";
import type { Binding } from "./cpu-binding.ts";
import { stepNumber, type JobId, type StepKey } from "./id.ts";
import type { JobRecord } from "./record.ts";

export type Variables = Record<string, string>;

export interface ClusterFacts {
  readonly clusterName: string;
  readonly configFile: string;
}

export interface JobFacts {
  readonly cluster: ClusterFacts;
  readonly job: JobRecord;
  readonly submitDir: string;
  /** Compressed node list; compressing is options/'s. */
  readonly nodeList: string;
  /** Tasks that the job's own layout puts on each node. */
  readonly tasksPerNode: readonly number[];
  /** Which counts the user gave himself: the others are not exported. */
  readonly given: { readonly tasks: boolean; readonly cpusPerTask: boolean };
  readonly planeSize: number | null;
  readonly gpuOptions: Readonly<Record<string, string | null>>;
}

/** §15.4: what salloc's command sees, and the ground of everything else. */
export function allocationVariables(facts: JobFacts): Variables {
  const { job, cluster, nodeList } = facts;
  const perNode = foldPerNode(job.shares.map((share) => share.cpuIds.length));
  const variables: Variables = {
    SLURM_CLUSTER_NAME: cluster.clusterName,
    SLURM_CONF: cluster.configFile,
    SLURM_JOBID: String(job.jobId),
    SLURM_JOB_CPUS_PER_NODE: perNode,
    SLURM_JOB_ID: String(job.jobId),
    SLURM_JOB_NAME: job.name,
    SLURM_JOB_NODELIST: nodeList,
    SLURM_JOB_NUM_NODES: String(job.nodes.length),
    SLURM_JOB_PARTITION: job.partition,
    SLURM_NNODES: String(job.nodes.length),
    SLURM_NODELIST: nodeList,
    SLURM_NODE_ALIASES: "(null)",
    SLURM_SUBMIT_DIR: facts.submitDir,
    SLURM_SUBMIT_HOST: job.submitHost,
    SLURM_TASKS_PER_NODE: foldPerNode(facts.tasksPerNode),
  };
  const optional: Record<string, string | number | null> = {
    SLURM_JOB_QOS: job.qos,
    SLURM_JOB_ACCOUNT: job.account,
    SLURM_JOB_RESERVATION: job.reservation,
    SLURM_NTASKS: facts.given.tasks ? job.tasks : null,
    SLURM_NPROCS: facts.given.tasks ? job.tasks : null,
    SLURM_CPUS_PER_TASK: facts.given.cpusPerTask ? job.cpusPerTask : null,
    SLURM_NTASKS_PER_NODE: job.tasksPerNode,
    SLURM_MEM_PER_NODE: job.memPerNodeMib,
    SLURM_MEM_PER_CPU: job.memPerCpuMib,
    SLURM_DISTRIBUTION: job.distribution,
    SLURM_DIST_PLANESIZE: job.distribution === "plane" ? facts.planeSize : null,
    SLURM_CONTAINER: job.container,
    SLURM_CONTAINER_ID: job.containerId,
    ...facts.gpuOptions,
    ...arrayVariables(job),
  };
  addKnown(variables, optional);
  return variables;
}

function arrayVariables(job: JobRecord): Record<string, number | null> {
  const { array } = job;
  if (array?.taskId == null) return {};
  return {
    SLURM_ARRAY_JOB_ID: array.jobId,
    SLURM_ARRAY_TASK_ID: array.taskId,
    SLURM_ARRAY_TASK_COUNT: array.count,
    SLURM_ARRAY_TASK_MIN: array.min,
    SLURM_ARRAY_TASK_MAX: array.max,
    SLURM_ARRAY_TASK_STEP: array.step,
  };
}

function addKnown(variables: Variables, optional: Readonly<Record<string, string | number | null>>): void {
  for (const [name, value] of Object.entries(optional)) if (value !== null) variables[name] = String(value);
}

/** What every process that an engine starts for a job sees, batch script and tasks alike. */
function launchedVariables(job: JobRecord): Variables {
  const variables: Variables = {
    SLURM_JOB_UID: String(job.userId),
    SLURM_JOB_GID: String(job.groupId),
    SLURM_JOB_USER: job.userName,
    SLURM_PRIO_PROCESS: "0",
  };
  if (job.restarts > 0) variables["SLURM_RESTART_COUNT"] = String(job.restarts);
  return variables;
}

const VISIBLE_GPUS = ["CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ZE_AFFINITY_MASK"];
/** Those that differ from step to step and from task to task. */
export const GPU_VARIABLES: ReadonlySet<string> = new Set([...VISIBLE_GPUS, "SLURM_GPUS_ON_NODE", "SLURM_STEP_GPUS"]);

/** GPUs among a node's devices, whatever their type, ascending. */
export function gpusOf(devices: Readonly<Record<string, readonly number[]>>): number[] {
  return Object.entries(devices)
    .flatMap(([pool, ids]) => (pool === "gpu" || pool.startsWith("gpu:") ? ids : []))
    .sort((a, b) => a - b);
}

/** `seen`: what one task gets of the node's GPUs. */
function nodeVariables(node: string, cpus: number, gpus: readonly number[], seen = gpus): Variables {
  const variables: Variables = {
    SLURMD_NODENAME: node,
    SLURM_CPUS_ON_NODE: String(cpus),
    SLURM_TOPOLOGY_ADDR: node,
    SLURM_TOPOLOGY_ADDR_PATTERN: "node",
  };
  if (gpus.length > 0) variables["SLURM_GPUS_ON_NODE"] = String(gpus.length);
  if (seen.length > 0) {
    const list = seen.join(",");
    for (const name of VISIBLE_GPUS) variables[name] = list;
  }
  return variables;
}

/** §15.2. SLURM_TASK_PID is added by the step daemon, which alone knows it. */
export function batchVariables(facts: JobFacts, options: { readonly hasTmpdir: boolean }): Variables {
  const { job } = facts;
  const [share] = job.shares;
  const node = job.nodes[0] ?? "";
  const gpus = gpusOf(share?.gres ?? {});
  const variables: Variables = {
    ...allocationVariables(facts),
    ...launchedVariables(job),
    ...nodeVariables(node, share?.cpuIds.length ?? 1, gpus),
    ENVIRONMENT: "BATCH",
    HOSTNAME: node,
    SLURM_GTIDS: "0",
    SLURM_LOCALID: "0",
    SLURM_NODEID: "0",
    SLURM_PROCID: "0",
  };
  if (job.startedAt !== null) {
    const start = Math.floor(job.startedAt / 1000);
    variables["SLURM_JOB_START_TIME"] = String(start);
    if (job.timeLimitMinutes !== null) variables["SLURM_JOB_END_TIME"] = String(start + job.timeLimitMinutes * 60);
  }
  if (!options.hasTmpdir) variables["TMPDIR"] = "/tmp";
  if (gpus.length > 0) variables["SLURM_JOB_GPUS"] = gpus.join(",");
  return variables;
}

export interface StepFacts {
  readonly jobId: JobId;
  readonly stepKey: StepKey;
  readonly nodes: readonly {
    readonly name: string;
    readonly ranks: readonly number[];
    readonly cpus: number;
    readonly gpus: readonly number[];
    /** By place of the task; without it every task sees all. */
    readonly gpusByTask?: readonly (readonly number[])[];
    readonly binding?: Binding | undefined;
  }[];
  readonly nodeList: string;
  readonly tasks: number;
  readonly umask: number;
  readonly mpi: string | null;
  /** Inside somebody else's job the step's counts replace the job's (§15.3). */
  readonly distribution: string | null;
  readonly planeSize: number | null;
  /** What the step itself was asked for. */
  readonly cpusPerTask?: number | null;
}

const OF_ALLOCATIONS = ["SLURM_NODE_ALIASES", "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_HINT"];

/** §15.3 without what differs from task to task. */
export function stepVariables(facts: JobFacts, step: StepFacts): Variables {
  const tasksPerNode = foldPerNode(step.nodes.map((node) => node.ranks.length));
  const variables: Variables = {
    ...allocationVariables(facts),
    ...launchedVariables(facts.job),
    SLURM_NNODES: String(step.nodes.length),
    SLURM_NPROCS: String(step.tasks),
    SLURM_NTASKS: String(step.tasks),
    SLURM_STEPID: String(stepNumber(step.stepKey)),
    SLURM_STEP_ID: String(stepNumber(step.stepKey)),
    SLURM_STEP_NODELIST: step.nodeList,
    SLURM_STEP_NUM_NODES: String(step.nodes.length),
    SLURM_STEP_NUM_TASKS: String(step.tasks),
    SLURM_STEP_TASKS_PER_NODE: tasksPerNode,
    SLURM_TASKS_PER_NODE: tasksPerNode,
    SLURM_LAUNCH_NODE_IPADDR: "127.0.0.1",
    SLURM_SRUN_COMM_HOST: "127.0.0.1",
    SLURM_UMASK: step.umask.toString(8).padStart(4, "0"),
  };
  // Slurm tells these the commands of an allocation, whose steps inherit them; an srun without one does not have them.
  if (facts.job.kind === "srun") for (const name of OF_ALLOCATIONS) delete variables[name];
  else variables["SLURM_JOB_CPUS_PER_NODE_PACK_GROUP_0"] = variables["SLURM_JOB_CPUS_PER_NODE"] ?? "";
  addKnown(variables, {
    SLURM_CPUS_PER_TASK: step.cpusPerTask ?? null,
    SLURM_MPI_TYPE: step.mpi,
    SLURM_DISTRIBUTION: step.distribution,
    SLURM_DIST_PLANESIZE: step.planeSize,
  });
  return variables;
}

/** The variables of one task, on top of its step's. */
export function taskVariables(step: StepFacts, task: { readonly rank: number }): Variables {
  const nodeId = step.nodes.findIndex((node) => node.ranks.includes(task.rank));
  const node = step.nodes[nodeId];
  if (node === undefined) throw new Error(`task ${task.rank} is on no node`);
  const localId = node.ranks.indexOf(task.rank);
  const seen = node.gpusByTask?.[localId] ?? node.gpus;
  const variables: Variables = {
    ...nodeVariables(node.name, node.cpus, node.gpus, seen),
    ...node.binding?.variables,
    SLURM_GTIDS: node.ranks.join(","),
    SLURM_LOCALID: String(localId),
    SLURM_NODEID: String(nodeId),
    SLURM_PROCID: String(task.rank),
  };
  if (seen.length > 0) variables["SLURM_STEP_GPUS"] = seen.join(",");
  return variables;
}
