/**
 * `berth.conf`: the cluster that this machine plays, in slurm.conf's syntax (slurm.conf(5)). Without the file there
 * is one node, this host, and one partition. Keys that mean something only to a real cluster are kept for
 * `scontrol show config` and change nothing; what is one letter off a key of ours is refused; what nobody knows is warned of.
 */
import { availableParallelism, totalmem } from "node:os";
import { BerthError } from "#job/errors.ts";
import { readConfLines, type Pairs } from "#options/conf-lines.ts";
import { parseDuration } from "#options/duration.ts";
import { expandHostlist } from "#options/hostlist.ts";
import { findBerthConf } from "#platform/berth-conf.ts";
import { shortHostName } from "#platform/directories.ts";
import { judgeKey } from "./known-keys.ts";

export interface NodeConfig {
  readonly name: string;
  readonly cpus: number;
  readonly sockets: number;
  readonly coresPerSocket: number;
  readonly threadsPerCore: number;
  readonly memMib: number;
  readonly tmpDiskMib: number;
  readonly weight: number;
  readonly features: readonly string[];
  /** Counts by name, `gpu` or `gpu:a100`. */
  readonly gres: Readonly<Record<string, number>>;
  /** May be changed while the controller runs (cluster-control.ts). */
  state: "UP" | "DOWN" | "DRAIN";
}

export interface PartitionConfig {
  readonly name: string;
  readonly isDefault: boolean;
  readonly nodes: readonly string[];
  // These may be changed while the controller runs (cluster-control.ts).
  state: "UP" | "DOWN" | "DRAIN" | "INACTIVE";
  maxTimeMinutes: number | null;
  defaultTimeMinutes: number | null;
  readonly minNodes: number;
  readonly maxNodes: number | null;
  readonly priorityTier: number;
  /** Hidden=YES: not listed unless it is asked for. */
  readonly isHidden: boolean;
}

const MPI_DEFAULTS = ["pmi2", "pmix", "pmix_v4"] as const;
export type MpiDefault = (typeof MPI_DEFAULTS)[number];

export interface ClusterConfig {
  readonly file: string;
  readonly clusterName: string;
  readonly killWaitSeconds: number;
  readonly minJobAgeSeconds: number;
  readonly maxArraySize: number;
  readonly firstJobId: number;
  readonly jobRequeue: boolean;
  /** TaskPlugin=task/affinity: tasks are bound to CPUs without being asked. */
  readonly bindsTasks: boolean;
  /** For steps that name none. */
  readonly mpiDefault: MpiDefault | null;
  /** Programs around each task, and those that srun itself runs around each step. */
  readonly taskProlog: string | null;
  readonly taskEpilog: string | null;
  readonly srunProlog: string | null;
  readonly srunEpilog: string | null;
  readonly licenses: Readonly<Record<string, number>>;
  readonly nodes: readonly NodeConfig[];
  readonly partitions: readonly PartitionConfig[];
  /** Everything else that the file says, in its own words. */
  readonly others: Readonly<Record<string, string>>;
  /** What is wrong with the file and may stay so, with its place. */
  readonly warnings: readonly string[];
}

/** @throws BerthError CONFIG with file and line */
export function readConfig(): ClusterConfig {
  const { file, text } = findBerthConf();
  return parseConfig(text, file);
}

export function parseConfig(text: string, file: string): ClusterConfig {
  const globals: Pairs = new Map();
  const nodes: NodeConfig[] = [];
  const partitions: PartitionConfig[] = [];
  let nodeDefaults: Pairs = new Map();
  let partitionDefaults: Pairs = new Map();
  const warnings: string[] = [];
  for (const { line, pairs, rest } of readConfLines(text)) {
    const fail = (message: string): never => {
      throw new BerthError("CONFIG", `${file}:${line}: ${message}`);
    };
    if (rest !== "")
      throw new BerthError("CONFIG", `${file}:${line}: cannot read "${rest}"`, { hint: "write Key=Value pairs, as in slurm.conf" });
    const [[kind = ""] = []] = pairs;
    for (const key of pairs.keys()) {
      const judged = judgeKey(kind, key);
      if (judged.kind === "misspelt") fail(`unknown key "${key}": ${judged.meant} is one`);
      if (judged.kind === "unknown") warnings.push(`${file}:${line}: unknown key "${key}" changes nothing: ${judged.known}`);
    }
    if (kind === "nodename") {
      const name = pairs.get("nodename") ?? "";
      if (name.toUpperCase() === "DEFAULT") nodeDefaults = new Map([...nodeDefaults, ...pairs]);
      else
        for (const node of expandHostlist(name)) {
          if (nodes.some((other) => other.name === node)) fail(`node ${node} is defined twice`);
          nodes.push(parseNode(node, new Map([...nodeDefaults, ...pairs]), fail));
        }
    } else if (kind === "partitionname") {
      const name = pairs.get("partitionname") ?? "";
      if (name.toUpperCase() === "DEFAULT") partitionDefaults = new Map([...partitionDefaults, ...pairs]);
      else {
        if (partitions.some((other) => other.name === name)) fail(`partition ${name} is defined twice`);
        partitions.push(parsePartition(name, new Map([...partitionDefaults, ...pairs]), fail));
      }
    } else for (const [key, value] of pairs) globals.set(key, value);
  }
  if (nodes.length === 0)
    nodes.push(
      parseNode(shortHostName(), nodeDefaults, () => {
        throw new Error("defaults are sound");
      }),
    );
  if (partitions.length === 0)
    partitions.push(
      parsePartition(
        "debug",
        new Map([
          ["default", "YES"],
          ["nodes", "ALL"],
        ]),
        () => {
          throw new Error("defaults are sound");
        },
      ),
    );
  return { ...finish({ file, globals, nodes, partitions }), warnings };
}

function finish(parsed: {
  readonly file: string;
  readonly globals: Pairs;
  readonly nodes: readonly NodeConfig[];
  readonly partitions: readonly PartitionConfig[];
}): Omit<ClusterConfig, "warnings"> {
  const { globals, nodes, file } = parsed;
  const names = nodes.map((node) => node.name);
  const partitions = parsed.partitions.map((partition) => {
    const wanted = partition.nodes.flatMap((name) => (name.toUpperCase() === "ALL" ? names : [name]));
    const unknown = wanted.find((name) => !names.includes(name));
    if (unknown !== undefined)
      throw new BerthError("CONFIG", `${file}: partition ${partition.name} names node ${unknown}, which no NodeName line defines`);
    return { ...partition, nodes: names.filter((name) => wanted.includes(name)) };
  });
  if (!partitions.some((partition) => partition.isDefault) && partitions[0] !== undefined)
    partitions[0] = { ...partitions[0], isDefault: true };
  const number = (key: string, fallback: number) => {
    const value = globals.get(key);
    if (value === undefined) return fallback;
    if (!/^\d{1,9}$/.test(value)) throw new BerthError("CONFIG", `${file}: ${key} wants a number, not "${value}"`);
    return Number(value);
  };
  const program = (key: string) => {
    const value = globals.get(key) ?? "";
    if (value !== "" && !value.startsWith("/")) throw new BerthError("CONFIG", `${file}: ${key} wants an absolute path, not "${value}"`);
    return value === "" ? null : value;
  };
  const licenses: Record<string, number> = {};
  for (const entry of (globals.get("licenses") ?? "").split(",").filter(Boolean)) {
    const [name = "", count = "1"] = entry.split(/[:*]/);
    licenses[name] = Number(count);
  }
  return {
    file,
    nodes,
    partitions,
    licenses,
    clusterName: globals.get("clustername") ?? "berth",
    killWaitSeconds: number("killwait", 30),
    minJobAgeSeconds: number("minjobage", 300),
    maxArraySize: number("maxarraysize", 1001),
    firstJobId: number("firstjobid", 1),
    jobRequeue: number("jobrequeue", 1) !== 0,
    bindsTasks: /\baffinity\b/.test(globals.get("taskplugin") ?? ""),
    taskProlog: program("taskprolog"),
    taskEpilog: program("taskepilog"),
    srunProlog: program("srunprolog"),
    srunEpilog: program("srunepilog"),
    mpiDefault: parseMpiDefault(globals.get("mpidefault") ?? "none", file),
    others: Object.fromEntries(globals),
  };
}

function parseMpiDefault(value: string, file: string): MpiDefault | null {
  if (value === "none") return null;
  const known = MPI_DEFAULTS.find((type) => type === value);
  if (known === undefined) throw new BerthError("CONFIG", `${file}: MpiDefault wants none, ${MPI_DEFAULTS.join(", ")}, not "${value}"`);
  return known;
}

type Fail = (message: string) => never;

function count(pairs: Pairs, key: string, fail: Fail): number | undefined {
  const value = pairs.get(key);
  if (value === undefined) return undefined;
  return /^\d{1,9}$/.test(value) ? Number(value) : fail(`${key} wants a number, not "${value}"`);
}

function parseNode(name: string, pairs: Pairs, fail: Fail): NodeConfig {
  const sockets = count(pairs, "sockets", fail);
  const cores = count(pairs, "corespersocket", fail);
  const threads = count(pairs, "threadspercore", fail) ?? 1;
  const described = sockets === undefined && cores === undefined ? undefined : (sockets ?? 1) * (cores ?? 1) * threads;
  const cpus = count(pairs, "cpus", fail) ?? count(pairs, "procs", fail) ?? described ?? availableParallelism();
  if (cpus === 0) fail("a node needs at least one CPU");
  const gres: Record<string, number> = {};
  for (const entry of (pairs.get("gres") ?? "").split(",").filter((text) => text !== "" && text !== "(null)")) {
    const words = entry.split(":");
    const last = words.at(-1) ?? "";
    const hasCount = words.length > 1 && /^\d+$/.test(last);
    gres[(hasCount ? words.slice(0, -1) : words).join(":")] = hasCount ? Number(last) : 1;
  }
  const state = (pairs.get("state") ?? "UNKNOWN").toUpperCase();
  return {
    name,
    cpus,
    gres,
    sockets: sockets ?? (cores === undefined ? cpus : 1),
    coresPerSocket: cores ?? 1,
    threadsPerCore: threads,
    memMib: count(pairs, "realmemory", fail) ?? Math.floor(totalmem() / 2 ** 20),
    tmpDiskMib: count(pairs, "tmpdisk", fail) ?? 0,
    weight: count(pairs, "weight", fail) ?? 1,
    features: (pairs.get("features") ?? pairs.get("feature") ?? "").split(",").filter(Boolean),
    state: state.startsWith("DOWN") ? "DOWN" : state.startsWith("DRAIN") ? "DRAIN" : "UP",
  };
}

function isYes(pairs: Pairs, key: string): boolean {
  return (pairs.get(key) ?? "NO").toUpperCase() === "YES";
}

function parsePartition(name: string, pairs: Pairs, fail: Fail): PartitionConfig {
  const minutes = (key: string): number | null => {
    const value = pairs.get(key);
    if (value === undefined || /^(unlimited|infinite|none)$/i.test(value)) return null;
    const parsed = parseDuration(value);
    if (parsed === undefined) return fail(`${key} wants a time, not "${value}"`);
    return parsed === "unlimited" ? null : parsed;
  };
  const state = (pairs.get("state") ?? "UP").toUpperCase();
  if (state !== "UP" && state !== "DOWN" && state !== "DRAIN" && state !== "INACTIVE")
    return fail(`State of a partition is UP, DOWN, DRAIN or INACTIVE, not "${state}"`);
  const maxNodes = pairs.get("maxnodes");
  return {
    name,
    state,
    isDefault: isYes(pairs, "default"),
    isHidden: isYes(pairs, "hidden"),
    nodes: expandHostlist(pairs.get("nodes") ?? "ALL"),
    maxTimeMinutes: minutes("maxtime"),
    defaultTimeMinutes: minutes("defaulttime"),
    minNodes: count(pairs, "minnodes", fail) ?? 0,
    maxNodes: maxNodes === undefined || /^unlimited$/i.test(maxNodes) ? null : (count(pairs, "maxnodes", fail) ?? null),
    priorityTier: count(pairs, "prioritytier", fail) ?? 1,
  };
}

/** A partition that the configuration has lost since counts as the first one. */
export function partitionOf(config: ClusterConfig, name: string): PartitionConfig {
  const found = config.partitions.find((partition) => partition.name === name) ?? config.partitions[0];
  if (found === undefined) throw new Error("a cluster has partitions");
  return found;
}
