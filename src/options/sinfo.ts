/** sinfo's command line (commands.md §7). */
import { expandHostlist } from "./hostlist.ts";
import {
  formatOf,
  INFORMATION_ROWS,
  isSet,
  iterateOf,
  listOf,
  MACHINE_ROWS,
  machineOutputOf,
  Said,
  type FormatText,
  type MachineOutput,
  type QueryAction,
  type QueryRow,
} from "./said.ts";
import type { Env } from "./site.ts";
import { UsageError } from "./usage-error.ts";

export const SINFO_ROWS: readonly QueryRow[] = [
  { name: "all", short: "a", help: "show hidden partitions too" },
  { name: "clusters", short: "M", aliases: ["cluster"], takes: "NAMES", help: "clusters to ask" },
  { name: "dead", short: "d", help: "nodes that do not answer" },
  { name: "exact", short: "e", help: "do not group nodes of different size" },
  { name: "federation", idle: "there is no federation", help: "all clusters of the federation" },
  { name: "format", short: "o", takes: "TEXT", help: "columns by letter, %[.][WIDTH]LETTER" },
  { name: "Format", short: "O", takes: "LIST", help: "columns by name, NAME[:[.]WIDTH[SUFFIX]],…" },
  { name: "future", isLater: true, short: "F", idle: "every node exists", help: "nodes that are yet to come" },
  { name: "hide", help: "do not show hidden partitions" },
  { name: "iterate", short: "i", takes: "SECONDS", help: "print again and again" },
  { name: "list-reasons", short: "R", help: "why nodes are down, drained or failing" },
  { name: "local", idle: "there is no federation", help: "this cluster only" },
  { name: "long", short: "l", help: "more columns" },
  { name: "noconvert", idle: "sizes are printed in MiB", help: "keep the units of sizes" },
  { name: "Node", short: "N", help: "one line for each node" },
  { name: "nodes", short: "n", takes: "HOSTS", help: "these nodes" },
  { name: "noheader", short: "h", help: "no line of titles" },
  { name: "partition", short: "p", takes: "LIST", help: "these partitions" },
  { name: "reservation", short: "T", help: "reservations instead of partitions" },
  { name: "responding", short: "r", help: "nodes that answer" },
  { name: "sort", short: "S", takes: "LIST", help: "order by these letters, - reverses" },
  { name: "states", short: "t", aliases: ["state"], takes: "LIST", help: "nodes in these states" },
  { name: "summarize", short: "s", help: "one line for each partition" },
  ...MACHINE_ROWS,
  ...INFORMATION_ROWS,
];

export interface SinfoLine {
  readonly action: QueryAction;
  readonly partitions: readonly string[] | null;
  readonly nodes: readonly string[] | null;
  /** Lower case, each one of Slurm's node states; `&` joins states that must all hold. */
  readonly states: readonly string[] | null;
  readonly dead: boolean;
  readonly responding: boolean;
  readonly exact: boolean;
  readonly all: boolean;
  readonly future: boolean;
  readonly long: boolean;
  readonly summarize: boolean;
  readonly byNode: boolean;
  readonly reasons: boolean;
  readonly reservations: boolean;
  readonly noHeader: boolean;
  readonly format: FormatText | null;
  readonly sort: string | null;
  readonly iterateSeconds: number | null;
  readonly noConvert: boolean;
  readonly machine: MachineOutput | null;
  readonly clusters: string | null;
  readonly verbose: number;
}

/** @throws UsageError; BerthError INVALID_NODE_NAME for an unreadable host list */
export function parseSinfo(argv: readonly string[], env: Env): SinfoLine {
  const said = new Said("sinfo", SINFO_ROWS, argv);
  const nodes = said.value("nodes");
  // The views have formats of their own, which the environment does not replace.
  const hasView = said.has("summarize") || said.has("Node") || said.has("list-reasons");
  return {
    action: said.action,
    partitions: listOf(said.value("partition") ?? env["SINFO_PARTITION"]),
    nodes: nodes === null ? null : expandHostlist(nodes),
    states: statesOf(said.value("states")),
    dead: said.has("dead"),
    responding: said.has("responding"),
    exact: said.has("exact"),
    all: said.lastOf("all", "hide") === "all" || (isSet(env["SINFO_ALL"]) && !said.has("hide")),
    future: said.has("future"),
    long: said.has("long"),
    summarize: said.has("summarize"),
    byNode: said.has("Node"),
    reasons: said.has("list-reasons"),
    reservations: said.has("reservation"),
    noHeader: said.has("noheader"),
    format: formatOf(said, hasView ? undefined : env["SINFO_FORMAT"], undefined),
    sort: said.value("sort") ?? env["SINFO_SORT"] ?? null,
    iterateSeconds: iterateOf("sinfo", said),
    noConvert: said.has("noconvert"),
    machine: machineOutputOf(said),
    clusters: said.value("clusters") ?? env["SLURM_CLUSTERS"] ?? null,
    verbose: said.count("verbose"),
  };
}

/** Words that -t takes, with the short forms that sinfo prints. */
const NODE_STATES: ReadonlyMap<string, string> = new Map(
  Object.entries({
    unknown: "unknown",
    unk: "unknown",
    down: "down",
    idle: "idle",
    allocated: "allocated",
    alloc: "allocated",
    mixed: "mixed",
    mix: "mixed",
    future: "future",
    futr: "future",
    drain: "drain",
    drained: "drained",
    draining: "draining",
    drng: "draining",
    no_respond: "no_respond",
    not_responding: "no_respond",
    reserved: "reserved",
    resv: "reserved",
    perfctrs: "perfctrs",
    npc: "perfctrs",
    cloud: "cloud",
    completing: "completing",
    comp: "completing",
    cg: "completing",
    powering_down: "powering_down",
    pow_dn: "powering_down",
    powered_down: "powered_down",
    power_down: "power_down",
    powering_up: "powering_up",
    pow_up: "powering_up",
    fail: "fail",
    failing: "failing",
    maint: "maint",
    reboot: "reboot",
    planned: "planned",
    plnd: "planned",
    blocked: "blocked",
    "reboot^": "reboot^",
    inval: "inval",
  }),
);
/** As 22.05 lists them (transcript sinfo-01-default). */
const SHOWN_STATES =
  "unknown,down,idle,allocated,?,mixed,future,drain,drained,draining,no_respond,reserved,perfctrs," +
  "cloud,completing,powering_down,powered_down,power_down,powering_up,fail,maint,reboot,reboot^,unknown";

function statesOf(text: string | null): string[] | null {
  if (text === null || text.toLowerCase() === "all") return null;
  return text
    .toLowerCase()
    .split(",")
    .filter((word) => word !== "")
    .map((word) => {
      const states = word.split("&").map((part) => NODE_STATES.get(part));
      if (states.every((state) => state !== undefined)) return states.join("&");
      throw new UsageError([`sinfo: error: Bad state string: "${text}"`, `sinfo: error: valid states: ${SHOWN_STATES}`], 1);
    });
}
