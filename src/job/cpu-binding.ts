/**
 * Which CPUs each task of a node gets (srun(1), --cpu-bind; slurm.conf(5), TaskPlugin=task/affinity). Pure. CPUs are the
 * node's own numbers; a virtual node's are mapped to this host's when a task is started.
 */
export type BindType =
  | "none"
  | "rank"
  | "map_cpu"
  | "mask_cpu"
  | "map_ldom"
  | "mask_ldom"
  | "rank_ldom"
  | "sockets"
  | "cores"
  | "threads"
  | "ldoms";

export interface BindRequest {
  readonly isVerbose: boolean;
  /** Null: as the cluster does it by itself. */
  readonly type: BindType | null;
  /** Decimal numbers, or hexadecimal masks without 0x; empty for types without one. */
  readonly list: readonly string[];
}

export interface BindPlace {
  /** Of the step on this node, ascending. */
  readonly cpuIds: readonly number[];
  readonly node: { readonly cpus: number; readonly coresPerSocket: number; readonly threadsPerCore: number };
  readonly tasks: number;
  readonly cpusPerTask: number;
  /** The cluster binds without being asked (task/affinity). */
  readonly isAutomatic: boolean;
}

export interface Binding {
  /** As `--cpu-bind=verbose` names it. */
  readonly label: string;
  readonly isVerbose: boolean;
  /** By place on the node, hexadecimal without 0x; null: not bound. */
  readonly masks: readonly string[] | null;
  /** SLURM_CPU_BIND and its parts. */
  readonly variables: Readonly<Record<string, string>>;
}

const LABELS: Readonly<Record<BindType, string>> = {
  none: "NONE",
  rank: "RANK",
  map_cpu: "MAP ",
  mask_cpu: "MASK",
  cores: "MASK",
  threads: "MASK",
  sockets: "MASK",
  ldoms: "MASK",
  rank_ldom: "LDRANK",
  map_ldom: "LDMAP",
  mask_ldom: "LDMASK",
};

/** These count from the node's first CPU. */
const OF_WHOLE_NODES: readonly BindType[] = ["rank", "rank_ldom", "map_ldom", "mask_ldom"];

/** Undefined: nothing was asked, and the cluster does nothing by itself. `refused` is the reason in Slurm's words. */
export function bindTasks(request: BindRequest | null, place: BindPlace): Binding | { readonly refused: string } | undefined {
  const type = request?.type ?? null;
  if (type === null && request?.isVerbose !== true && !place.isAutomatic) return undefined;
  const isVerbose = request?.isVerbose ?? false;
  const chosen = type === null || (type === "none" && place.isAutomatic) ? automaticType(type, place) : type;
  const allocated = maskOf(place.cpuIds);
  if (chosen === "none") return described("none", null, { isVerbose, list: [] });
  if (chosen === "allocation") return described("mask_cpu", [allocated], { isVerbose, list: [`0x${hex(allocated)}`] });
  if (OF_WHOLE_NODES.includes(chosen) && place.cpuIds.length < place.node.cpus)
    return { refused: `Entire node must be allocated for ${chosen}` };
  const masks = masksOf(chosen, request?.list ?? [], place);
  if (masks.some((mask) => mask === 0n || (mask & ~allocated) !== 0n)) {
    return { refused: `CPU binding outside of job step allocation, allocated CPUs are: 0x${hex(allocated)}.` };
  }
  // What was asked in other words than CPUs is told as the masks that came of it.
  if (LABELS[chosen] === "MASK" && chosen !== "mask_cpu")
    return described("mask_cpu", masks, { isVerbose, list: masks.map((mask) => `0x${hex(mask)}`) });
  return described(chosen, masks, { isVerbose, list: request?.list ?? [] });
}

/** Tasks that together have as many CPUs as there are get their own; else they share what the step has. */
function automaticType(asked: BindType | null, place: BindPlace): BindType | "allocation" {
  const { cpuIds, node, tasks, cpusPerTask, isAutomatic } = place;
  if (!isAutomatic) return "none";
  if (asked === null && tasks * cpusPerTask === cpuIds.length) return "cores";
  const sockets = new Set(cpuIds.map((id) => Math.floor(id / (node.coresPerSocket * node.threadsPerCore))));
  if (asked === null && tasks * cpusPerTask === sockets.size && cpuIds.length === node.cpus) return "sockets";
  return cpuIds.length < node.cpus ? "allocation" : "none";
}

function masksOf(type: BindType, list: readonly string[], place: BindPlace): bigint[] {
  const { cpuIds, node, tasks, cpusPerTask } = place;
  const cpusOf = (index: number) =>
    Array.from({ length: Math.min(cpusPerTask, cpuIds.length) }, (_, i) => cpuIds[(index * cpusPerTask + i) % cpuIds.length] ?? 0);
  const cpusPerSocket = node.coresPerSocket * node.threadsPerCore;
  const around = (ids: readonly number[], size: number) =>
    maskOf(cpuIds.filter((id) => ids.some((other) => Math.floor(other / size) === Math.floor(id / size))));
  const domains = [...new Set(cpuIds.map((id) => Math.floor(id / cpusPerSocket)))];
  const domain = (number: number) => maskOf(cpuIds.filter((id) => Math.floor(id / cpusPerSocket) === number));
  const item = (index: number) => list[index % Math.max(1, list.length)] ?? "0";
  const forTask = (index: number): bigint => {
    switch (type) {
      case "none":
        return 0n;
      case "rank":
      case "threads":
        return maskOf(cpusOf(index));
      case "cores":
        return around(cpusOf(index), node.threadsPerCore);
      case "sockets":
      case "ldoms":
        return around(cpusOf(index), cpusPerSocket);
      case "map_cpu":
        return 1n << BigInt(item(index));
      case "mask_cpu":
        return BigInt(`0x${item(index)}`);
      case "rank_ldom":
        return domain(domains[index % Math.max(1, domains.length)] ?? 0);
      case "map_ldom":
        return domain(Number(item(index)));
      case "mask_ldom":
        return domains
          .filter((number) => (BigInt(`0x${item(index)}`) >> BigInt(number)) & 1n)
          .reduce((mask, number) => mask | domain(number), 0n);
    }
  };
  return Array.from({ length: tasks }, (_, index) => forTask(index));
}

function described(
  type: BindType,
  masks: readonly bigint[] | null,
  { isVerbose, list }: { readonly isVerbose: boolean; readonly list: readonly string[] },
): Binding {
  const verbose = isVerbose ? "verbose" : "quiet";
  const name = type.startsWith("map_") || type.startsWith("mask_") ? `${type}:` : type;
  return {
    label: LABELS[type],
    isVerbose,
    masks: masks?.map(hex) ?? null,
    variables: {
      SLURM_CPU_BIND: `${verbose},${name}${list.join(",")}`,
      SLURM_CPU_BIND_LIST: list.join(","),
      SLURM_CPU_BIND_TYPE: name,
      SLURM_CPU_BIND_VERBOSE: verbose,
    },
  };
}

function maskOf(cpus: readonly number[]): bigint {
  return cpus.reduce((mask, cpu) => mask | (1n << BigInt(cpu)), 0n);
}

function hex(mask: bigint): string {
  return mask.toString(16).toUpperCase();
}

/** CPU numbers of a hexadecimal mask, ascending. */
export function cpusOfMask(mask: string): number[] {
  const cpus: number[] = [];
  for (let bits = BigInt(`0x${mask}`), cpu = 0; bits > 0n; bits >>= 1n, cpu++) if (bits & 1n) cpus.push(cpu);
  return cpus;
}
