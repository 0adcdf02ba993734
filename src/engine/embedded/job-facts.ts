/** What a job's environment is made of (job/environment.ts), out of its record and its request. */
import type { JobFacts } from "#job/environment.ts";
import type { JobRecord, Tres } from "#job/record.ts";
import type { JobRequest } from "#job/request.ts";
import { compressHostlist } from "#options/hostlist.ts";
import type { ClusterConfig } from "./config.ts";
import type { LiveJob } from "./live-job.ts";
import { overcommittedCounts } from "./step-layout.ts";

export function jobFacts(job: LiveJob, request: JobRequest, config: ClusterConfig): JobFacts {
  const { options } = request;
  const isCounted = options.tasks !== null || options.tasksPerNode !== null;
  return {
    cluster: { clusterName: config.clusterName, configFile: config.file },
    job: job.record,
    submitDir: request.submit.submitDir,
    nodeList: compressHostlist(job.record.nodes),
    tasksPerNode: tasksPerNode(job.record, { overcommit: job.ask.overcommit, isCounted }),
    given: { tasks: isCounted, cpusPerTask: options.cpusPerTask !== null },
    planeSize: options.planeSize,
    gpuOptions: {
      SLURM_GPUS: options.gpus,
      SLURM_GPUS_PER_NODE: options.gpusPerNode,
      SLURM_GPUS_PER_TASK: options.gpusPerTask,
      SLURM_GPUS_PER_SOCKET: options.gpusPerSocket,
      SLURM_CPUS_PER_GPU: options.cpusPerGpu === null ? null : String(options.cpusPerGpu),
      SLURM_OVERCOMMIT: options.overcommit ? "1" : null,
      SLURM_HINT: options.unused["hint"] ?? null,
      SLURM_THREADS_PER_CORE: options.unused["threads-per-core"] ?? (options.unused["hint"] === "nomultithread" ? "1" : null),
    },
  };
}

export function allocatedTres(shares: JobRecord["shares"], job: JobRecord): Tres {
  const gres: Record<string, number> = {};
  for (const share of shares) for (const [name, ids] of Object.entries(share.gres)) gres[name] = (gres[name] ?? 0) + ids.length;
  const isMemoryTracked = job.memPerNodeMib !== null || job.memPerCpuMib !== null;
  return {
    cpus: shares.reduce((sum, share) => sum + share.cpuIds.length, 0),
    memMib: isMemoryTracked ? shares.reduce((sum, share) => sum + share.memMib, 0) : null,
    nodes: shares.length,
    gres,
  };
}

/** Tasks on each allocated node, as the job's own layout has them. Who gave no count has as many as the CPUs are for: mpirun reads it. */
function tasksPerNode(job: JobRecord, { overcommit, isCounted }: { readonly overcommit: boolean; readonly isCounted: boolean }): number[] {
  const roomOf = (share: JobRecord["shares"][number]) => Math.floor(share.cpuIds.length / job.cpusPerTask);
  if (!isCounted) return job.shares.map((share) => Math.max(1, roomOf(share)));
  if (overcommit) return overcommittedCounts(job.tasks, job.shares.map(roomOf));
  let left = job.tasks;
  return job.shares.map((share, index) => {
    const after = job.shares.length - index - 1;
    const capacity = Math.min(roomOf(share), job.tasksPerNode ?? Infinity);
    const tasks = Math.max(0, Math.min(Math.max(capacity, 1), Math.max(1, left - after), left));
    left -= tasks;
    return tasks;
  });
}
