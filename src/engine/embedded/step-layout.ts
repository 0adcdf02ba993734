/** Where a step's tasks go inside its job's allocation (commands.md §2.4; lifecycle §9). Pure. */
import { slurmError } from "#job/errors.ts";
import type { NodeShare } from "#job/record.ts";
import type { StepRequest } from "../engine.ts";

export interface StepNode {
  readonly name: string;
  readonly ranks: readonly number[];
  readonly cpuIds: readonly number[];
  readonly gres: Readonly<Record<string, readonly number[]>>;
}

export interface StepLayout {
  readonly nodes: readonly StepNode[];
  readonly tasks: number;
  readonly isCyclic: boolean;
}

export interface LayoutFacts {
  readonly shares: readonly NodeShare[];
  /** CPUs that other steps of the job hold, by node. */
  readonly busy: ReadonlyMap<string, ReadonlySet<number>>;
  readonly overlaps: boolean;
  readonly jobTasks: number;
  readonly isJobsOwnStep: boolean;
}

/** Undefined when it has to wait for other steps. @throws BerthError when it can never run in this allocation */
export function layOut(request: StepRequest, facts: LayoutFacts): StepLayout | undefined {
  const { resources, options } = request;
  const cpusPerTask = resources.cpusPerTask ?? 1;
  const shares = chooseShares(request, facts);
  const tasks =
    resources.tasks ??
    (resources.tasksPerNode === null ? undefined : resources.tasksPerNode * shares.length) ??
    (facts.isJobsOwnStep ? facts.jobTasks : shares.length);
  const nodesWanted = Math.min(shares.length, resources.nodesMax ?? shares.length, Math.max(tasks, 1));
  const free = shares.map((share) => {
    const taken = facts.overlaps ? undefined : facts.busy.get(share.node);
    return { share, cpuIds: share.cpuIds.filter((id) => taken?.has(id) !== true) };
  });
  const capacityOf = (cpus: number) =>
    resources.overcommit ? Number.MAX_SAFE_INTEGER : Math.min(Math.floor(cpus / cpusPerTask), resources.tasksPerNode ?? Infinity);
  const roomiest = shares.map((share) => capacityOf(share.cpuIds.length)).sort((a, b) => b - a);
  const total = roomiest.slice(0, nodesWanted).reduce((sum, capacity) => sum + capacity, 0);
  if (total < tasks) throw slurmError("TOO_MANY_CPUS");
  const candidates = free.filter(
    ({ share, cpuIds }) => capacityOf(cpuIds.length) > 0 && (options.exact || cpuIds.length === share.cpuIds.length),
  );
  const first = candidates.slice(0, nodesWanted);
  const room = (found: typeof first) => found.reduce((sum, { cpuIds }) => sum + capacityOf(cpuIds.length), 0);
  // The first nodes, unless only roomier ones will do.
  const chosen =
    room(first) >= tasks
      ? first
      : [...candidates]
          .sort((a, b) => capacityOf(b.cpuIds.length) - capacityOf(a.cpuIds.length))
          .slice(0, nodesWanted)
          .sort((a, b) => shares.indexOf(a.share) - shares.indexOf(b.share));
  const distribution = resources.distribution ?? "block";
  const capacities =
    resources.overcommit && distribution === "block"
      ? overcommittedCounts(
          tasks,
          chosen.map(({ cpuIds }) => Math.floor(cpuIds.length / cpusPerTask)),
        )
      : chosen.map(({ cpuIds }) => capacityOf(cpuIds.length));
  if (chosen.length < nodesWanted || capacities.reduce((sum, capacity) => sum + capacity, 0) < tasks) return undefined;
  const ranks = dealRanks(
    tasks,
    capacities,
    distribution === "cyclic" ? 1 : distribution === "plane" ? (resources.planeSize ?? 1) : undefined,
  );
  return {
    tasks,
    isCyclic: distribution === "cyclic",
    nodes: chosen.map(({ share, cpuIds }, index) => ({
      name: share.node,
      ranks: ranks[index] ?? [],
      cpuIds: options.exact ? cpuIds.slice(0, Math.max(1, (ranks[index]?.length ?? 1) * cpusPerTask)) : cpuIds,
      gres: share.gres,
    })),
  };
}

/**
 * How many tasks each node gets when there may be more than CPUs: one after the other while there are CPUs for them, and
 * again one after the other for the rest.
 */
export function overcommittedCounts(tasks: number, capacities: readonly number[]): number[] {
  const counts = capacities.map(() => 0);
  let left = tasks;
  for (let isFilled = false; left > 0 && counts.length > 0; ) {
    const before = left;
    for (const [index, capacity] of capacities.entries()) {
      const count = counts[index] ?? 0;
      if (left === 0 || (!isFilled && count >= capacity)) continue;
      counts[index] = count + 1;
      left--;
    }
    isFilled = isFilled || left === before;
  }
  return counts;
}

function chooseShares(request: StepRequest, facts: LayoutFacts): readonly NodeShare[] {
  const { resources, options } = request;
  const wanted = resources.nodeList;
  let shares = facts.shares.filter(({ node }) => resources.excludeNodes?.includes(node) !== true);
  if (wanted !== null) {
    if (wanted.some((name) => !facts.shares.some(({ node }) => node === name))) throw slurmError("NODE_CONFIG_UNAVAILABLE");
    shares = shares.filter(({ node }) => wanted.includes(node));
  }
  if (options.relativeNode !== null) shares = shares.slice(options.relativeNode);
  const least = resources.nodesMin ?? 1;
  if (shares.length === 0 || least > shares.length) throw slurmError("NODE_CONFIG_UNAVAILABLE");
  return resources.nodesMin === null ? shares : shares.slice(0, resources.nodesMax ?? resources.nodesMin);
}

/** Ranks of each node. Without `turn` (block) every node gets one and the first ones are filled; else `turn` at a time, round robin. */
function dealRanks(tasks: number, capacities: readonly number[], turn: number | undefined): number[][] {
  const ranks: number[][] = capacities.map(() => []);
  if (turn === undefined) {
    let next = 0;
    for (const [index, capacity] of capacities.entries()) {
      const after = capacities.length - index - 1;
      const count = Math.min(capacity, Math.max(1, tasks - next - after), tasks - next);
      for (let i = 0; i < count; i++) ranks[index]?.push(next++);
    }
    return ranks;
  }
  for (let next = 0; next < tasks; ) {
    for (const [index, capacity] of capacities.entries()) {
      for (let i = 0; i < turn && next < tasks && (ranks[index]?.length ?? 0) < capacity; i++) ranks[index]?.push(next++);
    }
  }
  return ranks;
}
