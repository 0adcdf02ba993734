/** Where a step's tasks go inside its job's allocation (commands.md §2.4; lifecycle §9). Pure. */
import { slurmError } from "#job/errors.ts";
import type { NodeShare } from "#job/record.ts";
import { compressHostlist } from "#options/hostlist.ts";
import { asksForDevices, chooseDevices, type Devices } from "./step-gres.ts";
import type { StepRequest } from "../engine.ts";

export interface StepNode {
  readonly name: string;
  readonly ranks: readonly number[];
  readonly cpuIds: readonly number[];
  readonly gres: Devices;
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
  /** Devices that other steps of the job hold, by node and pool. */
  readonly busyGres: ReadonlyMap<string, Devices>;
  readonly overlaps: boolean;
  readonly jobTasks: number;
  readonly isJobsOwnStep: boolean;
}

/** Undefined when it has to wait for other steps. @throws BerthError when it can never run in this allocation */
export function layOut(request: StepRequest, facts: LayoutFacts): StepLayout | undefined {
  const { resources, options } = request;
  if (resources.distribution === "arbitrary" && resources.nodeList !== null) return layOutByHost(request, resources.nodeList, facts);
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
    capacities.map((capacity, index) =>
      resources.overcommit && distribution !== "block" ? (chosen[index]?.cpuIds.length ?? 1) : capacity,
    ),
    distribution === "cyclic" ? 1 : distribution === "plane" ? (resources.planeSize ?? 1) : undefined,
  );
  const devices = devicesOf(
    request,
    facts,
    chosen.map(({ share }, index) => ({ share, tasks: ranks[index]?.length ?? 0 })),
  );
  if (devices === undefined) return undefined;
  return {
    tasks,
    isCyclic: distribution === "cyclic",
    nodes: chosen.map(({ share, cpuIds }, index) => ({
      name: share.node,
      ranks: ranks[index] ?? [],
      cpuIds: options.exact ? cpuIds.slice(0, Math.max(1, (ranks[index]?.length ?? 1) * cpusPerTask)) : cpuIds,
      gres: devices[index] ?? {},
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

/** Undefined when other steps hold them. A job's own step has all that is the job's. */
function devicesOf(
  { resources }: StepRequest,
  { busyGres, overlaps, isJobsOwnStep }: LayoutFacts,
  places: readonly { readonly share: NodeShare; readonly tasks: number }[],
): readonly Devices[] | undefined {
  if (isJobsOwnStep || !asksForDevices(resources)) return places.map(({ share }) => share.gres);
  return chooseDevices(
    resources,
    places.map((place) => ({ ...place, busy: overlaps ? {} : (busyGres.get(place.share.node) ?? {}) })),
  );
}

/** The first nodes, those of -w among them. */
function chooseShares(request: StepRequest, facts: LayoutFacts): readonly NodeShare[] {
  const { resources, options } = request;
  const wanted = resources.nodeList ?? [];
  let shares = facts.shares.filter(({ node }) => resources.excludeNodes?.includes(node) !== true);
  const held = compressHostlist(shares.map(({ node }) => node));
  const unmet = (wish: string) =>
    slurmError("NODE_CONFIG_UNAVAILABLE", { hint: `cannot be met: ${wish}; the job has ${held || "none left"}` });
  const missing = wanted.filter((name) => !shares.some(({ node }) => node === name));
  if (missing.length > 0) throw unmet(`node ${compressHostlist(missing)} (--nodelist)`);
  if (options.relativeNode !== null) shares = shares.slice(options.relativeNode);
  const least = resources.nodesMin ?? 1;
  if (shares.length === 0 || least > shares.length) throw unmet(`${least} ${least === 1 ? "node" : "nodes"} for the step`);
  const named = new Set(wanted);
  if (resources.nodesMin === null) return named.size === 0 ? shares : shares.filter(({ node }) => named.has(node));
  const count = Math.max(named.size, resources.nodesMax ?? resources.nodesMin);
  const others = shares.filter(({ node }) => !named.has(node)).slice(0, count - named.size);
  return shares.filter((share) => named.has(share.node) || others.includes(share));
}

/** A host file names the node of each task in turn. */
function layOutByHost(request: StepRequest, hosts: readonly string[], facts: LayoutFacts): StepLayout | undefined {
  const { resources, options } = request;
  const tasks = resources.tasks ?? hosts.length;
  const byNode = new Map<string, number[]>();
  for (let rank = 0; rank < tasks; rank++) {
    const host = hosts[rank] ?? "";
    byNode.set(host, [...(byNode.get(host) ?? []), rank]);
  }
  const shares = facts.shares.filter(({ node }) => byNode.has(node));
  if (shares.length < byNode.size) {
    const hint = `cannot be met: the nodes of the host list; the job has ${compressHostlist(facts.shares.map(({ node }) => node))}`;
    throw slurmError("NODE_CONFIG_UNAVAILABLE", { hint });
  }
  const places = shares.map((share) => ({ share, ranks: byNode.get(share.node) ?? [] }));
  const cpusPerTask = resources.cpusPerTask ?? 1;
  const free = places.map(({ share, ranks }) => {
    const wanted = resources.overcommit ? 1 : ranks.length * cpusPerTask;
    if (share.cpuIds.length < wanted) throw slurmError("TOO_MANY_CPUS");
    const taken = facts.overlaps ? undefined : facts.busy.get(share.node);
    const cpuIds = share.cpuIds.filter((id) => taken?.has(id) !== true);
    if (cpuIds.length < wanted || (!options.exact && cpuIds.length < share.cpuIds.length)) return undefined;
    return options.exact ? cpuIds.slice(0, Math.max(1, wanted)) : cpuIds;
  });
  const devices = devicesOf(
    request,
    facts,
    places.map(({ share, ranks }) => ({ share, tasks: ranks.length })),
  );
  if (devices === undefined || free.includes(undefined)) return undefined;
  return {
    tasks,
    isCyclic: false,
    nodes: places.map(({ share, ranks }, index) => ({ name: share.node, ranks, cpuIds: free[index] ?? [], gres: devices[index] ?? {} })),
  };
}

/**
 * Ranks of each node. Without `turn` (block) the numbers on each node are as if they were dealt one by one, and the ranks
 * follow each other; else they are dealt, `turn` at a time. Who is full is passed by, until all are: then they go on all the
 * same (--overcommit).
 */
function dealRanks(tasks: number, capacities: readonly number[], turn: number | undefined): number[][] {
  const ranks: number[][] = capacities.map(() => []);
  const hasRoom = () => capacities.some((capacity, index) => (ranks[index]?.length ?? 0) < capacity);
  for (let next = 0; next < tasks; ) {
    const isFull = !hasRoom();
    for (const [index, capacity] of capacities.entries()) {
      for (let i = 0; i < (turn ?? 1) && next < tasks && (isFull || (ranks[index]?.length ?? 0) < capacity); i++)
        ranks[index]?.push(next++);
    }
  }
  if (turn !== undefined) return ranks;
  let next = 0;
  return ranks.map((dealt) => dealt.map(() => next++));
}
