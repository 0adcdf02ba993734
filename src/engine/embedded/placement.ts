/**
 * Where a job fits: nodes, tasks, CPUs and memory on each. Pure; the scheduler asks it about the present and about
 * the future alike (lifecycle §4.3–4.4: as few nodes as fit, first nodes first).
 */
import { countIn, sumOf, takeFrom, times } from "./gres-pools.ts";

export interface NodeFree {
  readonly name: string;
  readonly totalCpus: number;
  readonly totalMemMib: number;
  readonly features: readonly string[];
  cpus: number;
  memMib: number;
  readonly gres: Record<string, number>;
}

/** A job's demand, with defaults filled in. */
export interface Ask {
  readonly nodesMin: number;
  readonly nodesMax: number | null;
  readonly tasks: number;
  readonly cpusPerTask: number;
  readonly tasksPerNode: number | null;
  readonly minCpusPerNode: number;
  /** 0 is all memory of the node; null is not tracked. */
  readonly memPerNodeMib: number | null;
  readonly memPerCpuMib: number | null;
  readonly gresPerNode: Readonly<Record<string, number>>;
  readonly gresPerTask?: Readonly<Record<string, number>>;
  /** Of all nodes together: each gives one at least. */
  readonly gresPerJob?: Readonly<Record<string, number>>;
  readonly exclusive: boolean;
  readonly overcommit: boolean;
  /** Tasks that each node has to take, of a host file. */
  readonly tasksByNode?: Readonly<Record<string, number>> | null;
  readonly requiredNodes: readonly string[];
  readonly excludedNodes: readonly string[];
  /** Node features: every one of an inner list, of any outer one. */
  readonly features: readonly (readonly string[])[];
  readonly partitionNodes: readonly string[];
}

export interface Placement {
  readonly node: string;
  readonly tasks: number;
  readonly cpus: number;
  readonly memMib: number;
  readonly gres: Readonly<Record<string, number>>;
}

interface Candidate {
  readonly free: NodeFree;
  readonly capacity: number;
}

/** Undefined when it does not fit on what is free. */
export function place(ask: Ask, nodes: readonly NodeFree[]): Placement[] | undefined {
  const candidates = nodes
    .filter((node) => isWanted(ask, node))
    .map((free) => ({ free, capacity: taskCapacity(ask, free) }))
    .filter(({ capacity }) => capacity > 0);
  const required = candidates.filter(({ free }) => ask.requiredNodes.includes(free.name));
  if (required.length < new Set(ask.requiredNodes).size) return undefined;
  const others = candidates.filter(({ free }) => !ask.requiredNodes.includes(free.name));
  const most = Math.min(ask.nodesMax ?? candidates.length, candidates.length);
  const least = Math.max(1, ask.nodesMin, required.length);
  // With a range as many nodes as there are, else as few as do.
  const isRange = ask.nodesMax !== null && ask.nodesMax > ask.nodesMin;
  const highest = isRange ? Math.max(least, Math.min(most, ask.tasks)) : most;
  for (let i = 0; i <= highest - least; i++) {
    const count = isRange ? highest - i : least + i;
    const chosen = choose(ask, required, others, count);
    if (chosen !== undefined) return distribute(ask, inNodeOrder(chosen, nodes));
  }
  return undefined;
}

function isWanted(ask: Ask, node: NodeFree): boolean {
  return (
    ask.partitionNodes.includes(node.name) &&
    !ask.excludedNodes.includes(node.name) &&
    (ask.features.length === 0 || ask.features.some((all) => all.every((feature) => node.features.includes(feature))))
  );
}

/** How many of the job's tasks the node could take now. */
function taskCapacity(ask: Ask, free: NodeFree): number {
  const fixed = ask.tasksByNode?.[free.name];
  if (fixed !== undefined && !ask.overcommit && free.cpus < fixed * ask.cpusPerTask) return 0;
  if (ask.exclusive && free.cpus < free.totalCpus) return 0;
  if (free.cpus < Math.max(1, ask.minCpusPerNode)) return 0;
  if (takeFrom(free.gres, ask.gresPerNode) === undefined) return 0;
  for (const name of Object.keys(ask.gresPerJob ?? {})) if (countIn(free.gres, name) < 1) return 0;
  if (ask.memPerNodeMib !== null && free.memMib < (ask.memPerNodeMib === 0 ? free.totalMemMib : ask.memPerNodeMib)) return 0;
  let capacity = ask.overcommit ? Number.MAX_SAFE_INTEGER : Math.floor(free.cpus / ask.cpusPerTask);
  if (ask.memPerCpuMib !== null && ask.memPerCpuMib > 0) {
    // CPUs beyond what its tasks need bring their memory along.
    const leastCpus = ask.exclusive ? free.totalCpus : Math.max(1, ask.minCpusPerNode);
    if (leastCpus * ask.memPerCpuMib > free.memMib) return 0;
    if (!ask.overcommit) capacity = Math.min(capacity, Math.floor(free.memMib / (ask.memPerCpuMib * ask.cpusPerTask)));
  }
  for (const [name, count] of Object.entries(ask.gresPerTask ?? {}))
    if (count > 0) capacity = Math.min(capacity, Math.floor(countIn(free.gres, name) / count));
  return Math.min(capacity, ask.tasksPerNode ?? capacity);
}

/** The first `count` nodes that can take all tasks together, else the roomiest ones. */
function choose(ask: Ask, required: readonly Candidate[], others: readonly Candidate[], count: number): readonly Candidate[] | undefined {
  const fits = (chosen: readonly Candidate[]) =>
    chosen.length === count &&
    chosen.reduce((sum, { capacity }) => sum + capacity, 0) >= ask.tasks &&
    Object.entries(ask.gresPerJob ?? {}).every(
      ([name, total]) => total >= count && chosen.reduce((sum, { free }) => sum + countIn(free.gres, name), 0) >= total,
    );
  const first = [...required, ...others.slice(0, count - required.length)];
  if (fits(first)) return first;
  const roomiest = [...others].sort((a, b) => b.capacity - a.capacity).slice(0, count - required.length);
  const best = [...required, ...roomiest];
  return fits(best) ? best : undefined;
}

function inNodeOrder(chosen: readonly Candidate[], nodes: readonly NodeFree[]): Candidate[] {
  return [...chosen].sort((a, b) => nodes.indexOf(a.free) - nodes.indexOf(b.free));
}

/** Every node gets a task, then the first ones are filled: `-N2 -n3` is 2,1. */
function distribute(ask: Ask, chosen: readonly Candidate[]): Placement[] {
  let left = ask.tasks;
  const leftOfJob: Record<string, number> = { ...ask.gresPerJob };
  return chosen.map(({ free, capacity }, index) => {
    const nodesAfter = chosen.length - index - 1;
    const tasks = ask.tasksByNode?.[free.name] ?? Math.max(0, Math.min(capacity, Math.max(1, left - nodesAfter), left));
    left -= tasks;
    const wanted = ask.overcommit ? 1 : Math.max(tasks, 1) * ask.cpusPerTask;
    const cpus = ask.exclusive ? free.totalCpus : Math.min(free.cpus, Math.max(wanted, ask.minCpusPerNode));
    const memMib = ask.memPerNodeMib === 0 ? free.totalMemMib : (ask.memPerNodeMib ?? (ask.memPerCpuMib ?? 0) * cpus);
    const ofJob: Record<string, number> = {};
    for (const [name, total] of Object.entries(leftOfJob)) {
      ofJob[name] = Math.max(0, Math.min(countIn(free.gres, name), total - nodesAfter));
      leftOfJob[name] = total - ofJob[name];
    }
    const wish = sumOf(ask.gresPerNode, times(ask.gresPerTask ?? {}, tasks), ofJob);
    // Who has the node for himself has its devices too.
    const gres = ask.exclusive ? { ...free.gres } : (takeFrom(free.gres, wish) ?? {});
    return { node: free.name, tasks, cpus, memMib, gres };
  });
}
