/** scontrol's options; the words that follow are its own language (commands.md §8). */
import {
  QUIET_INFORMATION_ROWS,
  isSet,
  MACHINE_ROWS,
  machineOutputOf,
  Said,
  type MachineOutput,
  type QueryAction,
  type QueryRow,
} from "./said.ts";
import type { Env } from "./site.ts";

export const SCONTROL_ROWS: readonly QueryRow[] = [
  { name: "all", short: "a", help: "show hidden partitions too" },
  { name: "clusters", short: "M", aliases: ["cluster"], takes: "NAMES", help: "cluster to talk to" },
  { name: "details", short: "d", help: "show more of each record" },
  { name: "federation", idle: "there is no federation", help: "all clusters of the federation" },
  { name: "future", short: "F", idle: "every node exists", help: "nodes that are yet to come" },
  { name: "hide", help: "do not show hidden partitions" },
  { name: "local", idle: "there is no federation", help: "this cluster only" },
  { name: "oneliner", short: "o", help: "one line for each record" },
  { name: "quiet", short: "Q", help: "print errors only" },
  { name: "sibling", idle: "there is no federation", help: "each cluster's view of federated jobs" },
  { name: "uid", short: "u", takes: "USER", refused: "all jobs of an engine are one user's", help: "act as this user" },
  ...MACHINE_ROWS,
  ...QUIET_INFORMATION_ROWS.map((row) => (row.name === "help" ? { ...row, short: "h" } : row)),
];

export interface ScontrolLine {
  readonly action: QueryAction;
  /** Sub-command and its arguments; empty means interactive. */
  readonly words: readonly string[];
  readonly all: boolean;
  readonly details: boolean;
  readonly future: boolean;
  readonly oneLine: boolean;
  readonly quiet: boolean;
  readonly uid: string | null;
  readonly machine: MachineOutput | null;
  readonly clusters: string | null;
  readonly verbose: number;
}

/** @throws UsageError */
export function parseScontrol(argv: readonly string[], env: Env): ScontrolLine {
  const said = new Said("scontrol", SCONTROL_ROWS, argv);
  return {
    action: said.action,
    words: said.operands,
    all: said.lastOf("all", "hide") === "all" || (isSet(env["SCONTROL_ALL"]) && !said.has("hide")),
    details: said.has("details"),
    future: said.has("future"),
    oneLine: said.has("oneliner"),
    quiet: said.has("quiet"),
    uid: said.value("uid"),
    machine: machineOutputOf(said),
    clusters: said.value("clusters") ?? env["SLURM_CLUSTERS"] ?? null,
    verbose: said.count("verbose"),
  };
}
