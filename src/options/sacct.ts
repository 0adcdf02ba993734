/** sacct's command line (commands.md §9). */
import type { JobTarget } from "#engine/engine.ts";
import type { EpochMs } from "#job/id.ts";
import type { AnyState } from "#job/state.ts";
import { expandHostlist } from "./hostlist.ts";
import {
  PATTERN_IDLE,
  QUIET_INFORMATION_ROWS,
  listOf,
  MACHINE_ROWS,
  machineOutputOf,
  parsableOf,
  parseStates,
  Said,
  targetsOf,
  type MachineOutput,
  type Parsable,
  type QueryAction,
  type QueryRow,
} from "./said.ts";
import { sacctFiltersOf, type SacctFilters } from "./sacct-filters.ts";
import type { Env } from "./site.ts";
import { parseTimePoint } from "./time-point.ts";
import { UsageError } from "./usage-error.ts";

export const SACCT_ROWS: readonly QueryRow[] = [
  { name: "accounts", short: "A", takes: "LIST", help: "jobs of these accounts" },
  { name: "allclusters", short: "L", help: "all clusters" },
  { name: "allocations", short: "X", help: "jobs without their steps" },
  { name: "allusers", short: "a", help: "jobs of all users" },
  { name: "array", isLater: true, help: "one line for each pending array task" },
  { name: "associations", short: "x", takes: "LIST", refused: "there are no associations", help: "jobs of these associations" },
  { name: "batch-script", short: "B", help: "print the stored script" },
  { name: "brief", short: "b", help: "id, state and exit code" },
  { name: "clusters", short: "M", aliases: ["cluster"], takes: "NAMES", help: "clusters to ask" },
  { name: "completion", short: "c", refused: "there is no job completion plugin", help: "records of the completion plugin" },
  { name: "constraints", short: "C", takes: "LIST", help: "jobs with these constraints" },
  { name: "delimiter", takes: "TEXT", help: "what separates columns with -p and -P" },
  { name: "duplicates", short: "D", help: "earlier runs of requeued jobs too" },
  { name: "endtime", short: "E", takes: "TIME", help: "jobs of the time before" },
  { name: "env-vars", help: "print the stored environment" },
  { name: "expand-patterns", isLater: true, idle: PATTERN_IDLE, help: "fill in the letters of file names" },
  { name: "federation", idle: "there is no federation", help: "all clusters of the federation" },
  {
    name: "file",
    short: "f",
    takes: "FILE",
    refused: "records are in the controller's store, not in files",
    help: "read records from a file",
  },
  { name: "flags", short: "F", takes: "LIST", help: "jobs with these flags" },
  { name: "format", short: "o", aliases: ["fields"], takes: "LIST", help: "columns, NAME[%[-]WIDTH],…" },
  { name: "gid", short: "g", aliases: ["group"], takes: "LIST", help: "jobs of these groups" },
  { name: "helpformat", short: "e", aliases: ["help-fields"], help: "list the columns" },
  { name: "jobs", short: "j", takes: "LIST", help: "these jobs or steps" },
  { name: "local", idle: "there is no federation", help: "this cluster only" },
  { name: "long", short: "l", help: "many columns" },
  { name: "name", takes: "LIST", help: "jobs of these names" },
  { name: "ncpus", short: "I", takes: "MIN[-MAX]", help: "jobs with so many CPUs" },
  { name: "nnodes", short: "i", takes: "MIN[-MAX]", help: "jobs on so many nodes" },
  { name: "noconvert", help: "keep the units of sizes" },
  { name: "nodelist", short: "N", takes: "HOSTS", help: "jobs on these nodes" },
  { name: "noheader", short: "n", help: "no lines of titles" },
  { name: "parsable", short: "p", help: "columns with | behind each" },
  { name: "parsable2", short: "P", help: "columns with | between them" },
  { name: "partition", short: "r", takes: "LIST", help: "jobs in these partitions" },
  { name: "qos", short: "q", takes: "LIST", help: "jobs of these qualities of service" },
  { name: "reason", short: "R", takes: "LIST", help: "jobs that waited for these reasons" },
  { name: "starttime", short: "S", takes: "TIME", help: "jobs of the time after" },
  { name: "state", short: "s", takes: "LIST", help: "jobs that were in these states" },
  { name: "timelimit-max", short: "K", takes: "DURATION", help: "jobs with at most this limit" },
  { name: "timelimit-min", short: "k", takes: "DURATION", help: "jobs with at least this limit" },
  { name: "truncate", short: "T", help: "cut start and end to the window" },
  { name: "units", takes: "K|M|G|T", help: "unit of sizes" },
  { name: "use-local-uid", idle: "names are always this machine's", help: "ask this machine for user names" },
  { name: "user", short: "u", aliases: ["uid"], takes: "LIST", help: "jobs of these users" },
  { name: "whole-hetjob", mayTake: "yes|no", idle: "there are no heterogeneous jobs", help: "all components of heterogeneous jobs" },
  { name: "wckeys", short: "W", takes: "LIST", help: "jobs of these workload keys" },
  ...MACHINE_ROWS,
  ...QUIET_INFORMATION_ROWS.map((row) =>
    row.name === "help" ? { ...row, short: "h" } : row.name === "usage" ? { ...row, short: "U" } : row,
  ),
];

export interface SacctLine {
  readonly action: QueryAction;
  readonly jobs: readonly JobTarget[] | null;
  /** The window with the defaults of §9.3; -S after -E is the command's to refuse, which prints both. */
  readonly from: EpochMs;
  readonly to: EpochMs;
  readonly states: readonly AnyState[] | null;
  readonly users: readonly string[] | null;
  readonly allUsers: boolean;
  readonly groups: readonly string[] | null;
  readonly accounts: readonly string[] | null;
  readonly names: readonly string[] | null;
  readonly nodes: readonly string[] | null;
  readonly partitions: readonly string[] | null;
  readonly qos: readonly string[] | null;
  readonly wckeys: readonly string[] | null;
  readonly clusters: string | null;
  readonly filters: SacctFilters;
  /** One line for each task of an array that waits. */
  readonly array: boolean;
  readonly allocations: boolean;
  readonly duplicates: boolean;
  readonly truncate: boolean;
  /** `-o` as typed; several add up, and brief and long add theirs. SACCT_FORMAT when none of the three was given. */
  readonly format: string | null;
  readonly brief: boolean;
  readonly long: boolean;
  readonly noHeader: boolean;
  readonly parsable: Parsable;
  readonly delimiter: string | null;
  readonly units: "K" | "M" | "G" | "T" | null;
  readonly noConvert: boolean;
  readonly helpFormat: boolean;
  readonly batchScript: boolean;
  readonly envVars: boolean;
  readonly machine: MachineOutput | null;
  readonly verbose: number;
}

/** @throws UsageError; BerthError INVALID_NODE_NAME for an unreadable host list */
export function parseSacct(argv: readonly string[], env: Env, { now }: { readonly now: EpochMs }): SacctLine {
  const said = new Said("sacct", SACCT_ROWS, argv);
  if (said.action === "run" && said.operands.length > 0) {
    const words = said.operands.map((word) => `sacct: error:  ${word}`);
    throw new UsageError(["sacct: error: Unknown arguments:", ...words], 1);
  }
  const jobs = said.has("jobs") ? targetsOf(said.values("jobs").join(","), (bad) => `sacct: fatal: Bad job/step specified: ${bad}`) : null;
  const states = statesOf(said.values("state").join(","));
  const nodes = said.value("nodelist");
  const units = said.value("units")?.toUpperCase() ?? null;
  if (units !== null && units !== "K" && units !== "M" && units !== "G" && units !== "T") {
    throw new UsageError(["Invalid unit type"], 1);
  }
  const hasCanned = said.has("brief") || said.has("long");
  return {
    action: said.action,
    jobs,
    states,
    units,
    ...windowOf(said, { now, hasJobs: jobs !== null, hasStates: states !== null }),
    users: listOf(said.value("user")),
    allUsers: said.has("allusers"),
    groups: listOf(said.value("gid")),
    accounts: listOf(said.value("accounts")),
    names: listOf(said.value("name")),
    nodes: nodes === null ? null : expandHostlist(nodes),
    partitions: listOf(said.value("partition")),
    qos: listOf(said.value("qos")),
    wckeys: listOf(said.value("wckeys")),
    clusters: said.has("allclusters") ? "all" : said.value("clusters"),
    filters: sacctFiltersOf(said),
    array: said.has("array"),
    allocations: said.has("allocations"),
    duplicates: said.has("duplicates"),
    truncate: said.has("truncate"),
    format: said.has("format") ? said.values("format").join(",") : hasCanned ? null : (env["SACCT_FORMAT"] ?? null),
    brief: said.has("brief"),
    long: said.has("long"),
    noHeader: said.has("noheader"),
    parsable: parsableOf(said),
    delimiter: said.value("delimiter"),
    noConvert: said.has("noconvert"),
    helpFormat: said.has("helpformat"),
    batchScript: said.has("batch-script"),
    envVars: said.has("env-vars"),
    machine: machineOutputOf(said),
    verbose: said.count("verbose"),
  };
}

function statesOf(text: string): AnyState[] | null {
  const parsed = parseStates(text);
  if ("bad" in parsed) throw new UsageError([`sacct: fatal: unrecognized job state value '${parsed.bad}'`], 1);
  return parsed.states === "all" || parsed.states.length === 0 ? null : parsed.states;
}

function windowOf(
  said: Said,
  { now, hasJobs, hasStates }: { now: EpochMs; hasJobs: boolean; hasStates: boolean },
): { from: EpochMs; to: EpochMs } {
  const start = timeOf(said.value("starttime"), now);
  const end = timeOf(said.value("endtime"), now);
  const midnight = new Date(now).setHours(0, 0, 0, 0) as EpochMs;
  const from = start ?? (hasJobs ? (0 as EpochMs) : hasStates ? now : midnight);
  // With states, sacct looks at one moment unless an end was given.
  return { from, to: end ?? (hasStates && start !== null ? start : now) };
}

function timeOf(text: string | null, now: EpochMs): EpochMs | null {
  if (text === null) return null;
  const point = parseTimePoint(text, { now, isPast: true });
  if (point.kind === "invalid") throw new UsageError([point.message], 1);
  return point.at;
}
