/**
 * Which wish of a job no node can meet, and what there is instead: the line after Slurm's "Requested node configuration is not available", which
 * names neither. In words that fit srun's options and a container's settings (scrun) alike. Pure.
 */
import { compressHostlist } from "#options/hostlist.ts";
import { countIn, takeFrom } from "./gres-pools.ts";
import { place, type Ask, type NodeFree } from "./placement.ts";

/** Every hint here begins so. */
const CANNOT = "cannot be met:";

/** @param nodes of the partition, with nothing of them in use. A sentence for BerthErrorOptions.hint. */
export function unmetWish(ask: Ask, nodes: readonly NodeFree[], partition: string): string {
  const where = `partition "${partition}"`;
  if (nodes.length === 0) return `${CANNOT} any wish; ${where} has no nodes`;
  const left = nodes.filter(({ name }) => !ask.excludedNodes.includes(name));
  const excluded = ask.excludedNodes.join(",");
  if (left.length === 0) return `${CANNOT} the exclusion of ${excluded} (--exclude); ${where} has ${namesOf(nodes)} alone`;
  const outside = ask.requiredNodes.filter((name) => !nodes.some((node) => node.name === name));
  if (outside.length > 0) return `${CANNOT} node ${outside.join(",")} (--nodelist); ${where} has ${namesOf(nodes)}`;
  const fitting = left.filter(
    ({ features }) => ask.features.length === 0 || ask.features.some((all) => all.every((one) => features.includes(one))),
  );
  if (fitting.length === 0) {
    const wanted = ask.features.map((all) => all.join("&")).join("|");
    return `${CANNOT} ${wanted} on one node (--constraint); ${listed(left, ({ name, features }) => `${name} has ${features.join(",") || "none"}`)}`;
  }
  return perNode(ask, fitting, where) ?? together(ask, fitting, where);
}

/** What not even one node can give. */
function perNode(ask: Ask, nodes: readonly NodeFree[], where: string): string | undefined {
  const has = (of: (node: NodeFree) => number, words: (most: number) => string) => {
    const [first, ...others] = nodes;
    const best = others.reduce((a, b) => (of(b) > of(a) ? b : a), first as NodeFree);
    return `${where} has ${words(of(best))} on a node${nodes.length === 1 ? "" : " at most"} (${best.name})`;
  };
  const memory = has(({ totalMemMib }) => totalMemMib, sizeText);
  const cpus = has(({ totalCpus }) => totalCpus, String);
  const mostMem = Math.max(...nodes.map(({ totalMemMib }) => totalMemMib));
  const mostCpus = Math.max(...nodes.map(({ totalCpus }) => totalCpus));
  if ((ask.memPerNodeMib ?? 0) > mostMem) return `${CANNOT} ${sizeText(ask.memPerNodeMib ?? 0)} of memory on a node (--mem); ${memory}`;
  if (ask.memPerCpuMib !== null && ask.memPerCpuMib * Math.max(ask.cpusPerTask, ask.minCpusPerNode) > mostMem) {
    const count = Math.max(ask.cpusPerTask, ask.minCpusPerNode);
    return `${CANNOT} ${sizeText(ask.memPerCpuMib)} of memory for each of ${count} CPUs on a node (--mem-per-cpu); ${memory}`;
  }
  const perTask = ask.cpusPerTask;
  if (perTask > mostCpus) return `${CANNOT} ${perTask} CPUs for a task (--cpus-per-task); ${cpus}`;
  if (ask.minCpusPerNode > mostCpus) return `${CANNOT} ${ask.minCpusPerNode} CPUs on a node (--mincpus); ${cpus}`;
  const tasks = ask.tasksPerNode ?? 1;
  if (!ask.overcommit && perTask * tasks > mostCpus)
    return `${CANNOT} ${tasks} tasks of ${perTask} ${perTask === 1 ? "CPU" : "CPUs"} on a node (--ntasks-per-node); ${cpus}`;
  for (const [wishes, option, unit] of [
    [ask.gresPerNode, "--gres", "on a node"],
    [ask.gresPerTask ?? {}, "--gpus-per-task", "for a task"],
  ] as const) {
    for (const [name, count] of Object.entries(wishes)) {
      if (nodes.some(({ gres }) => countIn(gres, name) >= count)) continue;
      return `${CANNOT} ${count} of ${name} ${unit} (${option}); ${has(({ gres }) => countIn(gres, name), String)}`;
    }
  }
  if (nodes.some(({ gres }) => takeFrom(gres, ask.gresPerNode) !== undefined)) return undefined;
  const wanted = Object.entries(ask.gresPerNode).map(([name, count]) => `${name}:${count}`);
  return `${CANNOT} ${wanted.join(" and ")} on one node (--gres); ${listed(nodes, (node) => `${node.name} has ${poolsText(node)}`)}`;
}

/** Each wish can be met by a node, but not all of them at once, or not by as many nodes as there are. */
function together(ask: Ask, nodes: readonly NodeFree[], where: string): string {
  for (const [name, count] of Object.entries(ask.gresPerJob ?? {})) {
    const sum = nodes.reduce((total, { gres }) => total + countIn(gres, name), 0);
    if (sum < count) return `${CANNOT} ${count} of ${name} for the job (--gpus); ${where} has ${sum} on its nodes together`;
  }
  if (ask.tasks > 1 && place({ ...ask, tasks: 1, nodesMin: 1, tasksByNode: null }, nodes) !== undefined) {
    const wanted = [
      `${ask.tasks} tasks`,
      ...(ask.cpusPerTask > 1 ? [`of ${ask.cpusPerTask} CPUs`] : []),
      ...(ask.memPerCpuMib === null ? [] : [`with ${sizeText(ask.memPerCpuMib)} of memory for each CPU`]),
      `on ${ask.nodesMax ?? ask.nodesMin} ${(ask.nodesMax ?? ask.nodesMin) === 1 ? "node" : "nodes"}`,
    ];
    return `${CANNOT} ${wanted.join(" ")}; ${where} has ${listed(nodes, nodeText)}`;
  }
  const wishes = [
    `${Math.max(ask.cpusPerTask, ask.minCpusPerNode)} CPUs`,
    ...(ask.memPerNodeMib === null ? [] : [`${sizeText(ask.memPerNodeMib)} of memory`]),
    ...Object.entries({ ...ask.gresPerNode, ...ask.gresPerTask, ...ask.gresPerJob }).map(([name, count]) => `${name}:${count}`),
    ...(ask.features.length === 0 ? [] : [ask.features.map((all) => all.join("&")).join("|")]),
  ];
  const count = Math.max(1, ask.nodesMin);
  return `${CANNOT} ${wishes.join(" with ")} on ${count === 1 ? "one node" : `each of ${count} nodes`}; ${where} has ${listed(nodes, nodeText)}`;
}

function nodeText(node: NodeFree): string {
  const gres = poolsText(node);
  return `${node.name} with ${node.totalCpus} CPUs and ${sizeText(node.totalMemMib)}${gres === NOTHING ? "" : ` and ${gres}`}`;
}

/** A cluster may have hundreds of them, mostly alike. */
function listed(nodes: readonly NodeFree[], text: (node: NodeFree) => string): string {
  const words = nodes.slice(0, MOST_LISTED).map(text);
  return nodes.length <= MOST_LISTED ? words.join(", ") : `${words.join(", ")} and ${nodes.length - MOST_LISTED} more`;
}

const MOST_LISTED = 4;
const NOTHING = "no devices";

function poolsText({ gres }: NodeFree): string {
  const pools = Object.entries(gres).map(([name, count]) => `${name}:${count}`);
  return pools.length === 0 ? NOTHING : pools.join(",");
}

function namesOf(nodes: readonly { readonly name: string }[]): string {
  return compressHostlist(nodes.map(({ name }) => name));
}

/** As --mem takes it, exact. */
export function sizeText(mib: number): string {
  return mib > 0 && mib % 1024 === 0 ? `${mib / 1024}G` : `${mib}M`;
}
