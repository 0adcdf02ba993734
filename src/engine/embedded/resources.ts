/** What is free on each node now: which CPUs, how much memory, which devices. */
import type { JobRecord, NodeShare } from "#job/record.ts";
import { numberPools } from "./gres-pools.ts";
import type { NodeConfig } from "./config.ts";
import type { NodeFree, Placement } from "./placement.ts";

interface NodeState {
  readonly config: NodeConfig;
  readonly freeCpus: Set<number>;
  /** How many hold each CPU: a job that resumes has its own back, even where another one started meanwhile. */
  readonly cpuHolders: number[];
  freeMemMib: number;
  readonly freeGres: Map<string, Set<number>>;
}

export class Resources {
  readonly #nodes: readonly NodeState[];

  constructor(nodes: readonly NodeConfig[]) {
    this.#nodes = nodes.map((config) => ({
      config,
      freeCpus: new Set(Array.from({ length: config.cpus }, (_, id) => id)),
      cpuHolders: new Array<number>(config.cpus).fill(0),
      freeMemMib: config.memMib,
      freeGres: numberPools(config.gres),
    }));
  }

  /** Nodes that take new jobs. */
  free(): NodeFree[] {
    return this.#nodes
      .filter(({ config }) => config.state === "UP")
      .map((node) => ({
        name: node.config.name,
        totalCpus: node.config.cpus,
        totalMemMib: node.config.memMib,
        features: node.config.features,
        cpus: node.freeCpus.size,
        memMib: node.freeMemMib,
        gres: Object.fromEntries([...node.freeGres].map(([name, ids]) => [name, ids.size])),
      }));
  }

  /** The same nodes with nothing taken: what could ever be free. */
  total(): NodeFree[] {
    return this.#nodes.map(({ config }) => ({
      name: config.name,
      totalCpus: config.cpus,
      totalMemMib: config.memMib,
      features: config.features,
      cpus: config.cpus,
      memMib: config.memMib,
      gres: { ...config.gres },
    }));
  }

  /** Takes what a placement asks for, lowest CPU and device numbers first. */
  take(placement: Placement): NodeShare {
    const node = this.#get(placement.node);
    const pick = (free: Set<number>, count: number) => [...free].sort((a, b) => a - b).slice(0, count);
    const cpuIds = pick(node.freeCpus, placement.cpus);
    const gres: Record<string, number[]> = {};
    for (const [name, count] of Object.entries(placement.gres)) gres[name] = pick(node.freeGres.get(name) ?? new Set(), count);
    const share = { node: placement.node, cpuIds, memMib: placement.memMib, gres };
    this.hold(share);
    return share;
  }

  /** Takes exactly this share: after a restart, for jobs that run already. */
  hold(share: NodeShare): void {
    const node = this.#find(share.node);
    if (node === undefined) return; // the node is no longer configured; the job runs to its end all the same
    for (const id of share.cpuIds) {
      node.freeCpus.delete(id);
      node.cpuHolders[id] = (node.cpuHolders[id] ?? 0) + 1;
    }
    node.freeMemMib -= share.memMib;
    for (const [name, ids] of Object.entries(share.gres)) for (const id of ids) node.freeGres.get(name)?.delete(id);
  }

  giveBack(share: NodeShare): void {
    const node = this.#find(share.node);
    if (node === undefined) return;
    for (const id of share.cpuIds) {
      const left = Math.max(0, (node.cpuHolders[id] ?? 0) - 1);
      node.cpuHolders[id] = left;
      if (left === 0 && id < node.config.cpus) node.freeCpus.add(id);
    }
    node.freeMemMib += share.memMib;
    for (const [name, ids] of Object.entries(share.gres)) for (const id of ids) node.freeGres.get(name)?.add(id);
  }

  #find(name: string): NodeState | undefined {
    return this.#nodes.find(({ config }) => config.name === name);
  }

  #get(name: string): NodeState {
    const node = this.#find(name);
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }
}

/** A suspended job keeps its memory and devices, and leaves its CPUs to others. */
export function heldShare(job: JobRecord, share: NodeShare): NodeShare {
  return job.state === "SUSPENDED" ? { ...share, cpuIds: [] } : share;
}
