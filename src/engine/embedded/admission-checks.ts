/** What can never be granted is refused at submission, in Slurm's words (lifecycle §4.1; commands.md §19). */
import { slurmError } from "#job/errors.ts";
import type { JobOptions } from "#job/request.ts";
import { parseLicenses } from "#options/licenses.ts";
import { parseConstraint, wantsTooManyNodes } from "./ask.ts";
import type { ClusterConfig, PartitionConfig } from "./config.ts";
import { gpuWish, gresPerJob, gresPerNode } from "./gres-wishes.ts";
import { place, type Ask, type NodeFree } from "./placement.ts";
import { sizeText, unmetWish } from "./unmet-wish.ts";

/** The first of several that exist, or the default one. */
export function findPartition(config: ClusterConfig, wanted: string | null): PartitionConfig {
  const names = wanted === null ? [] : wanted.split(",");
  const found =
    names.length === 0
      ? config.partitions.find((partition) => partition.isDefault)
      : config.partitions.find((partition) => names.includes(partition.name));
  const unknown = names.find((name) => !config.partitions.some((partition) => partition.name === name));
  if (found === undefined || unknown !== undefined) {
    throw slurmError("INVALID_PARTITION", { before: [`error: invalid partition specified: ${wanted}`] });
  }
  if (found.state === "INACTIVE" || found.state === "DRAIN") throw slurmError("JOB_MISSING_REQUIRED_PARTITION");
  return found;
}

/** Nodes, features, devices and licences that the cluster has not got. */
export function checkNodes(config: ClusterConfig, options: JobOptions): void {
  const names = new Set(config.nodes.map((node) => node.name));
  for (const name of [...(options.nodeList ?? []), ...(options.excludeNodes ?? [])])
    if (!names.has(name)) throw slurmError("INVALID_NODE_NAME");
  if (options.nodeList?.some((name) => options.excludeNodes?.includes(name)) === true) throw slurmError("INVALID_NODE_NAME");
  const features = new Set(config.nodes.flatMap((node) => node.features));
  for (const group of parseConstraint(options.constraint))
    for (const feature of group)
      if (!features.has(feature)) throw slurmError("INVALID_FEATURE", { hint: unknown("feature", feature, features) });
  const known = new Set(config.nodes.flatMap((node) => Object.keys(node.gres)).map((name) => name.split(":")[0]));
  const wishes = { ...gresPerNode(options), ...gresPerJob(options), ...gpuWish(options.gpusPerTask) };
  for (const name of Object.keys(wishes))
    if (!known.has(name.split(":")[0] ?? name)) throw slurmError("INVALID_GRES", { hint: unknown("generic resource", name, known) });
  for (const [name, count] of parseLicenses(options.licenses))
    if (!(count >= 0 && count <= (config.licenses[name] ?? -1))) throw slurmError("INVALID_LICENSES");
  if (options.nodesMin === 0) throw slurmError("BAD_NODE_COUNT");
}

function unknown(kind: string, name: string, known: ReadonlySet<string | undefined>): string {
  return `cannot be met: ${kind} "${name}"; ${known.size === 0 ? "no node has any" : `the nodes have ${[...known].join(", ")}`}`;
}

/** There are no reservations here, so none can be asked for. */
export function checkReservation({ reservation }: JobOptions): void {
  if (reservation !== null && reservation !== "") throw slurmError("INVALID_RESERVATION");
}

/** Sockets, cores, threads and temporary disk that no node of the partition has. What nodes do not say of their disk is not compared. */
export function checkShape(config: ClusterConfig, options: JobOptions, partition: PartitionConfig): void {
  const { unused, tmpDiskMib } = options;
  const [sockets, cores, threads] = (unused["extra-node-info"] ?? "").split(":");
  const most = (...texts: readonly (string | undefined)[]) => Math.max(0, ...texts.map((text) => Number(text ?? 0) || 0));
  const wanted = {
    sockets: most(sockets, unused["sockets-per-node"]),
    cores: most(cores, unused["cores-per-socket"]),
    threads: most(threads, unused["threads-per-core"]),
  };
  const nodes = config.nodes.filter(({ name }) => partition.nodes.includes(name));
  const has = (node: ClusterConfig["nodes"][number]) =>
    node.sockets >= wanted.sockets && node.coresPerSocket >= wanted.cores && node.threadsPerCore >= wanted.threads;
  if (!nodes.some(has)) {
    const before = ["error: Socket, core and/or thread specification can not be satisfied"];
    const wish = `${wanted.sockets || "any"} sockets, ${wanted.cores || "any"} cores per socket, ${wanted.threads || "any"} threads per core`;
    const shapes = new Set(nodes.map((node) => `${node.sockets}:${node.coresPerSocket}:${node.threadsPerCore}`));
    const hint = `cannot be met: ${wish} on a node; partition "${partition.name}" has ${[...shapes].join(" and ")}`;
    throw slurmError("NODE_CONFIG_UNAVAILABLE", { before, hint });
  }
  if (nodes.some((node) => node.tmpDiskMib > 0) && nodes.every((node) => node.tmpDiskMib < (tmpDiskMib ?? 0))) {
    const most = Math.max(...nodes.map((node) => node.tmpDiskMib));
    throw slurmError("NODE_CONFIG_UNAVAILABLE", {
      before: ["error: Temporary disk specification can not be satisfied"],
      hint: `cannot be met: ${sizeText(tmpDiskMib ?? 0)} of temporary disk on a node (--tmp); partition "${partition.name}" has ${sizeText(most)} at most`,
    });
  }
}

/** More nodes than the partition has waits (PartitionConfig); what no node can give is refused. */
export function checkFits(ask: Ask, total: readonly NodeFree[], partition: PartitionConfig): void {
  if (wantsTooManyNodes(ask, partition)) return;
  const nodes = total.filter((node) => partition.nodes.includes(node.name));
  const hint = () => unmetWish(ask, nodes, partition.name);
  const mem = ask.memPerNodeMib ?? 0;
  const memPerCpu = (ask.memPerCpuMib ?? 0) * ask.cpusPerTask;
  if (nodes.every((node) => node.totalMemMib < Math.max(mem, memPerCpu))) {
    throw slurmError("NODE_CONFIG_UNAVAILABLE", { before: ["error: Memory specification can not be satisfied"], hint: hint() });
  }
  const cpus = Math.max(ask.minCpusPerNode, ask.cpusPerTask * (ask.overcommit ? 1 : (ask.tasksPerNode ?? 1)));
  if (nodes.every((node) => node.totalCpus < cpus)) {
    throw slurmError("NODE_CONFIG_UNAVAILABLE", { before: ["error: CPU count per node can not be satisfied"], hint: hint() });
  }
  if (place(ask, nodes) === undefined) throw slurmError("NODE_CONFIG_UNAVAILABLE", { hint: hint() });
}
