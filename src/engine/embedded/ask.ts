/** What a job asks the scheduler for: its options as one number for everything that has to be found (placement.ts). */
import type { JobOptions } from "#job/request.ts";
import type { ClusterConfig, PartitionConfig } from "./config.ts";
import { gpuWish, gresPerJob, gresPerNode, gpusIn } from "./gres-wishes.ts";
import type { Ask } from "./placement.ts";

/** With the defaults that follow from each other: nodes from tasks, tasks from nodes, CPUs from GPUs. */
export function askOf(options: JobOptions, partition: PartitionConfig, config: ClusterConfig): Ask {
  const hosts = options.distribution === "arbitrary" ? options.nodeList?.slice(0, options.tasks ?? options.nodeList.length) : undefined;
  const named = new Set(hosts ?? options.nodeList);
  const nodesMin = hosts === undefined ? Math.max(options.nodesMin ?? 1, named.size, nodesBeyond(options, partition, config)) : named.size;
  const tasks = options.tasks ?? (options.tasksPerNode === null ? nodesMin : nodesMin * options.tasksPerNode);
  const gres = {
    gresPerNode: gresPerNode(options),
    gresPerTask: gpuWish(options.gpusPerTask),
    // With a number for each task the number for the job follows from it.
    gresPerJob: options.gpusPerTask === null ? gresPerJob(options) : {},
  };
  const gpus = Math.max(gpusIn(gres.gresPerNode) * nodesMin, gpusIn(gres.gresPerTask) * tasks, gpusIn(gres.gresPerJob));
  return {
    nodesMin,
    nodesMax: hosts !== undefined ? named.size : (options.nodesMax ?? (options.nodesMin === null ? null : nodesMin)),
    tasks: Math.max(tasks, 1),
    cpusPerTask: Math.max(options.cpusPerTask ?? Math.ceil(((options.cpusPerGpu ?? 0) * gpus) / Math.max(tasks, 1)), 1),
    tasksPerNode: options.tasksPerNode,
    minCpusPerNode: options.minCpusPerNode ?? 1,
    memPerNodeMib:
      options.memPerNodeMib ?? (options.memPerGpuMib === null || gpus === 0 ? null : options.memPerGpuMib * Math.ceil(gpus / nodesMin)),
    memPerCpuMib: options.memPerCpuMib,
    ...gres,
    exclusive: options.exclusive,
    overcommit: options.overcommit,
    tasksByNode: hosts === undefined ? null : countEach(hosts),
    requiredNodes: [...named],
    excludedNodes: options.excludeNodes ?? [],
    features: parseConstraint(options.constraint),
    partitionNodes: partition.nodes,
  };
}

function countEach(hosts: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const host of hosts) counts[host] = (counts[host] ?? 0) + 1;
  return counts;
}

/** Tasks that would need more nodes than the partition has make the job wait for them, when it did not count nodes itself; else 1. */
function nodesBeyond(options: JobOptions, partition: PartitionConfig, config: ClusterConfig): number {
  if (options.nodesMin !== null || options.tasks === null || options.overcommit) return 1;
  const cpus = config.nodes.filter(({ name }) => partition.nodes.includes(name)).map((node) => node.cpus);
  const perNode = Math.min(Math.floor(Math.max(0, ...cpus) / Math.max(options.cpusPerTask ?? 1, 1)), options.tasksPerNode ?? Infinity);
  const needed = perNode < 1 ? 1 : Math.ceil(options.tasks / perNode);
  return needed > partition.nodes.length ? needed : 1;
}

/** `a&b`, `a|b`, `[a|b]`, `a*2` (counts are not looked at) as alternatives of what is needed together. */
export function parseConstraint(text: string | null): string[][] {
  if (text === null || text === "") return [];
  return text
    .replace(/[[\]()]/g, "")
    .split("|")
    .map((all) =>
      all
        .split(/[&,]/)
        .map((feature) => feature.replace(/\*\d+$/, ""))
        .filter(Boolean),
    );
}

/** The reason PartitionConfig, and srun's "Requested partition configuration not available now". */
export function wantsTooManyNodes(ask: Ask, partition: PartitionConfig): boolean {
  return ask.nodesMin > Math.min(partition.nodes.length, partition.maxNodes ?? Infinity);
}
