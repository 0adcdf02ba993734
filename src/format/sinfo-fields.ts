/** The columns of sinfo (commands.md §7): names, letters, headers, and what decides whether nodes share a row. */
import type { NodeRecord, PartitionRecord } from "#job/record.ts";
import { compactNodeState, longNodeState, nodeBase } from "./node-state.ts";
import { nodesText } from "./nodes-text.ts";
import { shortDuration, type FormatTime } from "./times.ts";

export interface SinfoContext {
  readonly formatTime: FormatTime;
  /** With -M only; else N/A. */
  readonly clusterName: string | null;
}

/** Nodes shown in one row. `nodes` is empty for a partition of which no node is left. */
export interface SinfoRow {
  readonly partition: PartitionRecord;
  readonly nodes: readonly NodeRecord[];
}

export interface SinfoField {
  readonly header: string;
  /** The title is not cut at the right side of a narrow column; values are. */
  readonly isTitleWhole?: boolean;
  readonly cell: (row: SinfoRow, context: SinfoContext) => string;
  /** Rows are split by this text when the field is shown. */
  readonly partitionKey?: (partition: PartitionRecord) => string;
  readonly nodeKey?: (node: NodeRecord) => string;
  /** Split only with -e; otherwise shown as `2+`. */
  readonly sizeKey?: (node: NodeRecord) => string;
}

function always(header: string, text: string): SinfoField {
  return { header, cell: () => text };
}
/** A partition's property. */
function ofPartition(header: string, text: (partition: PartitionRecord) => string): SinfoField {
  return { header, cell: (row) => text(row.partition), partitionKey: text };
}
/** A property that all nodes of a row share. */
function shared(header: string, text: (node: NodeRecord) => string, missing: string): SinfoField {
  return { header, cell: ({ nodes }) => (nodes[0] === undefined ? missing : text(nodes[0])), nodeKey: text };
}
/** A number that may differ inside a row: `2`, `2+`. */
function atLeast(header: string, value: (node: NodeRecord) => number): SinfoField {
  return { header, cell: ({ nodes }) => minimum(nodes.map(value)), sizeKey: (node) => `${value(node)}` };
}
function minimum(values: readonly number[]): string {
  if (values.length === 0) return "0";
  const least = Math.min(...values);
  return Math.max(...values) > least ? `${least}+` : `${least}`;
}
/** A measurement: `5`, `5-9`, `N/A`. */
function range(header: string, value: (node: NodeRecord) => number | null, text: (value: number) => string): SinfoField {
  const cell = ({ nodes }: SinfoRow) => {
    const values = nodes.map(value).filter((known) => known !== null);
    if (values.length === 0) return "N/A";
    const least = text(Math.min(...values));
    const most = text(Math.max(...values));
    return least === most ? least : `${least}-${most}`;
  };
  return { header, cell, sizeKey: (node) => `${value(node)}` };
}

/** Allocated, idle, other, total; a drained node is "other", whatever it still runs. */
export function nodeCounts(nodes: readonly NodeRecord[]): { allocated: number; idle: number; other: number; total: number } {
  const counts = { allocated: 0, idle: 0, other: 0, total: nodes.length };
  for (const node of nodes) {
    const base = nodeBase(node);
    if (node.state === "DRAIN" || base === "down") counts.other++;
    else if (base === "idle" && !node.isCompleting) counts.idle++;
    else counts.allocated++;
  }
  return counts;
}

export function cpuCounts(nodes: readonly NodeRecord[]): { allocated: number; idle: number; other: number; total: number } {
  const counts = { allocated: 0, idle: 0, other: 0, total: 0 };
  for (const node of nodes) {
    const free = node.cpus - node.allocatedCpus;
    counts.total += node.cpus;
    counts.allocated += node.allocatedCpus;
    if (node.state === "UP") counts.idle += free;
    else counts.other += free;
  }
  return counts;
}

export function isUnavailable(node: NodeRecord): boolean {
  return node.state !== "UP";
}
/** A reason is shown as long as it stands, also for a node that is up again. */
function reasonOf(node: NodeRecord): string {
  return node.reason ?? "none";
}

const AVAILABILITY = { UP: "up", DOWN: "down", DRAIN: "drain", INACTIVE: "inact" } as const;
function duration(minutes: number | null, missing: string): string {
  return minutes === null ? missing : shortDuration(minutes * 60);
}
function jobSize(partition: PartitionRecord): string {
  const least = Math.max(1, partition.minNodes);
  if (partition.maxNodes === null) return `${least}-infinite`;
  return partition.maxNodes === least ? `${least}` : `${least}-${partition.maxNodes}`;
}
function userLong(user: string): string {
  return user === "root" ? "root(0)" : user;
}
function features(node: NodeRecord): string {
  return node.features.length === 0 ? "(null)" : node.features.join(",");
}

/** `gpu:2` with one in use → `gpu:1`; every kind that the node has, also at 0. */
export function usedGres(node: NodeRecord): string {
  if (node.gres === null) return "(null)";
  return node.gres
    .split(",")
    .map((part) => {
      const name = part.replace(/:[0-9]+(\(.*\))?$/, "");
      return `${name}:${node.allocatedGres[name] ?? 0}`;
    })
    .join(",");
}

const OVERSUBSCRIBE = ofPartition("OVERSUBSCRIBE", (partition) => partition.oversubscribe);
const FEATURES = (header: string) => shared(header, features, "(null)");
const PARTITION_KEY = (partition: PartitionRecord) => partition.name;

/** By lower-case -O name. */
export const SINFO_FIELDS: Readonly<Record<string, SinfoField>> = {
  allocmem: range("ALLOCMEM", (node) => node.allocatedMemMib, String),
  allocnodes: always("ALLOCNODES", "all"),
  available: ofPartition("AVAIL", (partition) => AVAILABILITY[partition.state]),
  cluster: { header: "CLUSTER", cell: (_row, context) => context.clusterName ?? "N/A" },
  comment: always("COMMENT", "(null)"),
  cores: atLeast("CORES", (node) => node.coresPerSocket),
  cpus: atLeast("CPUS", (node) => node.cpus),
  cpusload: range(
    "CPU_LOAD",
    (node) => node.load,
    (load) => load.toFixed(2),
  ),
  cpusstate: {
    header: "CPUS(A/I/O/T)",
    cell: ({ nodes }) => {
      const { allocated, idle, other, total } = cpuCounts(nodes);
      return `${allocated}/${idle}/${other}/${total}`;
    },
  },
  defaulttime: ofPartition("DEFAULTTIME", (partition) => duration(partition.defaultTimeMinutes, "n/a")),
  disk: atLeast("TMP_DISK", (node) => node.tmpDiskMib),
  extra: always("EXTRA", "(null)"),
  features: FEATURES("AVAIL_FEATURES"),
  features_act: FEATURES("ACTIVE_FEATURES"),
  freemem: range("FREE_MEM", (node) => node.freeMemMib, String),
  gres: shared("GRES", (node) => node.gres ?? "(null)", "(null)"),
  gresused: shared("GRES_USED", usedGres, "(null)"),
  groups: ofPartition("GROUPS", (partition) => (partition.allowGroups === null ? "all" : partition.allowGroups.join(","))),
  maxcpuspernode: ofPartition("MAX_CPUS_PER_NODE", (partition) => `${partition.maxCpusPerNode ?? "UNLIMITED"}`),
  memory: atLeast("MEMORY", (node) => node.memMib),
  nodeaddr: { ...shared("NODE_ADDR", (node) => node.address, ""), isTitleWhole: true },
  nodeai: { header: "NODES(A/I)", cell: ({ nodes }) => `${nodeCounts(nodes).allocated}/${nodeCounts(nodes).idle}` },
  nodeaiot: {
    header: "NODES(A/I/O/T)",
    cell: ({ nodes }) => {
      const { allocated, idle, other, total } = nodeCounts(nodes);
      return `${allocated}/${idle}/${other}/${total}`;
    },
  },
  nodehost: {
    ...shared("HOSTNAMES", (node) => node.hostName, ""),
    isTitleWhole: true,
    cell: ({ nodes }) => nodesText([...new Set(nodes.map((node) => node.hostName))]),
  },
  nodelist: { header: "NODELIST", isTitleWhole: true, cell: ({ nodes }) => nodesText(nodes.map((node) => node.name)) },
  nodes: { header: "NODES", cell: ({ nodes }) => `${nodes.length}` },
  oversubscribe: OVERSUBSCRIBE,
  partition: {
    header: "PARTITION",
    cell: ({ partition }) => (partition.isDefault ? `${partition.name}*` : partition.name),
    partitionKey: PARTITION_KEY,
  },
  partitionname: { header: "PARTITION", cell: ({ partition }) => partition.name, partitionKey: PARTITION_KEY },
  port: always("PORT", "0"),
  preemptmode: always("PREEMPT_MODE", "OFF"),
  priorityjobfactor: ofPartition("PRIO_JOB_FACTOR", (partition) => `${partition.priorityJobFactor}`),
  prioritytier: ofPartition("PRIO_TIER", (partition) => `${partition.priorityTier}`),
  reason: shared("REASON", reasonOf, "none"),
  reservation: always("RESERVATION", ""),
  root: ofPartition("ROOT", (partition) => (partition.isRootOnly ? "yes" : "no")),
  share: OVERSUBSCRIBE,
  size: ofPartition("JOB_SIZE", jobSize),
  socketcorethread: {
    header: "S:C:T",
    cell: ({ nodes }) =>
      [
        minimum(nodes.map((node) => node.sockets)),
        minimum(nodes.map((node) => node.coresPerSocket)),
        minimum(nodes.map((node) => node.threadsPerCore)),
      ].join(":"),
    sizeKey: (node) => `${node.sockets}:${node.coresPerSocket}:${node.threadsPerCore}`,
  },
  sockets: atLeast("SOCKETS", (node) => node.sockets),
  statecompact: shared("STATE", compactNodeState, "n/a"),
  statecomplete: shared("STATECOMPLETE", longNodeState, "n/a"),
  statelong: shared("STATE", longNodeState, "n/a"),
  threads: atLeast("THREADS", (node) => node.threadsPerCore),
  time: ofPartition("TIMELIMIT", (partition) => duration(partition.maxTimeMinutes, "infinite")),
  timestamp: {
    header: "TIMESTAMP",
    cell: ({ nodes }, context) => {
      const reasonAt = nodes[0]?.reasonAt ?? null;
      return reasonAt === null ? "Unknown" : context.formatTime(reasonAt);
    },
    nodeKey: (node) => `${node.reasonAt}`,
  },
  user: shared("USER", (node) => node.reasonUser ?? "Unknown", "Unknown"),
  userlong: shared("USER", (node) => userLong(node.reasonUser ?? "Unknown"), "Unknown"),
  version: shared("VERSION", (node) => node.version, "N/A"),
  weight: atLeast("WEIGHT", (node) => node.weight),
};

/** -o letter → -O name. */
export const SINFO_LETTERS: Readonly<Record<string, string>> = {
  a: "available",
  A: "nodeai",
  b: "features_act",
  B: "maxcpuspernode",
  c: "cpus",
  C: "cpusstate",
  d: "disk",
  D: "nodes",
  e: "freemem",
  E: "reason",
  f: "features",
  F: "nodeaiot",
  g: "groups",
  G: "gres",
  h: "oversubscribe",
  H: "timestamp",
  i: "reservation",
  I: "priorityjobfactor",
  l: "time",
  L: "defaulttime",
  m: "memory",
  M: "preemptmode",
  n: "nodehost",
  N: "nodelist",
  o: "nodeaddr",
  O: "cpusload",
  p: "prioritytier",
  P: "partition",
  r: "root",
  R: "partitionname",
  s: "size",
  S: "allocnodes",
  t: "statecompact",
  T: "statelong",
  u: "user",
  U: "userlong",
  v: "version",
  V: "cluster",
  w: "weight",
  X: "sockets",
  Y: "cores",
  z: "socketcorethread",
  Z: "threads",
};
