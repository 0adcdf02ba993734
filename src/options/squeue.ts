/** squeue's command line (commands.md §6.1). */
import type { JobTarget } from "#engine/engine.ts";
import { type STATE_FLAGS, STATES, type AnyState } from "#job/state.ts";
import { expandHostlist } from "./hostlist.ts";
import {
  PATTERN_IDLE,
  formatOf,
  INFORMATION_ROWS,
  isSet,
  iterateOf,
  listOf,
  MACHINE_ROWS,
  machineOutputOf,
  parseStates,
  Said,
  targetsOf,
  type FormatText,
  type MachineOutput,
  type QueryAction,
  type QueryRow,
} from "./said.ts";
import type { Env } from "./site.ts";
import { UsageError } from "./usage-error.ts";

export const SQUEUE_ROWS: readonly QueryRow[] = [
  { name: "account", short: "A", aliases: ["accounts"], takes: "LIST", help: "jobs of these accounts" },
  { name: "all", short: "a", help: "show hidden partitions too" },
  { name: "array", short: "r", help: "one line for each pending array task" },
  { name: "array-unique", help: "one line for each array task, with its own id" },
  { name: "clusters", short: "M", aliases: ["cluster"], takes: "NAMES", help: "clusters to ask" },
  { name: "expand-patterns", isLater: true, idle: PATTERN_IDLE, help: "fill in the letters of file names" },
  { name: "federation", idle: "there is no federation", help: "all clusters of the federation" },
  { name: "format", short: "o", takes: "TEXT", help: "columns by letter, %[.][WIDTH]LETTER" },
  { name: "Format", short: "O", takes: "LIST", help: "columns by name, NAME[:[.]WIDTH[SUFFIX]],…" },
  { name: "hide", help: "do not show hidden partitions" },
  { name: "iterate", short: "i", takes: "SECONDS", help: "print again and again" },
  { name: "jobs", short: "j", mayTake: "LIST", help: "these jobs" },
  { name: "licenses", short: "L", takes: "LIST", help: "jobs that use these licences" },
  { name: "local", idle: "there is no federation", help: "this cluster only" },
  { name: "long", short: "l", help: "more columns" },
  { name: "me", help: "your own jobs" },
  { name: "name", short: "n", takes: "LIST", help: "jobs of these names" },
  { name: "noconvert", help: "keep the units of sizes" },
  { name: "nodelist", short: "w", aliases: ["nodes", "node"], takes: "HOSTS", help: "jobs on these nodes" },
  { name: "noheader", short: "h", help: "no line of titles" },
  { name: "notme", isLater: true, help: "other people's jobs" },
  { name: "only-job-state", isLater: true, idle: "all of a record comes at once", help: "ids and states, cheaply" },
  { name: "partition", short: "p", aliases: ["partitions"], takes: "LIST", help: "jobs in these partitions" },
  { name: "priority", short: "P", idle: "a job waits for one partition", help: "one line for each partition a job waits for" },
  { name: "qos", short: "q", takes: "LIST", help: "jobs of these qualities of service" },
  { name: "reservation", short: "R", takes: "NAME", help: "jobs in this reservation" },
  { name: "sibling", idle: "there is no federation", help: "each cluster's view of federated jobs" },
  { name: "sort", short: "S", takes: "LIST", help: "order by these letters, - reverses" },
  { name: "start", help: "when pending jobs are expected to start" },
  { name: "states", short: "t", aliases: ["state"], takes: "LIST", help: "jobs in these states, or all" },
  { name: "steps", short: "s", mayTake: "LIST", help: "steps instead of jobs" },
  { name: "user", short: "u", aliases: ["users"], takes: "LIST", help: "jobs of these users" },
  ...MACHINE_ROWS,
  ...INFORMATION_ROWS,
];

export interface SqueueLine {
  readonly action: QueryAction;
  /** Null: any. */
  readonly jobs: readonly JobTarget[] | null;
  /** Show steps; an empty list is all of them, null is "show jobs". */
  readonly steps: readonly JobTarget[] | null;
  readonly users: readonly string[] | null;
  readonly me: boolean;
  readonly notMe: boolean;
  /** Null is squeue's default: what has not ended. */
  readonly states: readonly AnyState[] | "all" | null;
  readonly names: readonly string[] | null;
  readonly partitions: readonly string[] | null;
  readonly accounts: readonly string[] | null;
  readonly qos: readonly string[] | null;
  readonly reservation: string | null;
  readonly licenses: readonly string[] | null;
  readonly nodes: readonly string[] | null;
  readonly noHeader: boolean;
  readonly format: FormatText | null;
  readonly long: boolean;
  readonly sort: string | null;
  readonly array: boolean;
  readonly arrayUnique: boolean;
  readonly all: boolean;
  readonly iterateSeconds: number | null;
  readonly start: boolean;
  readonly priority: boolean;
  readonly noConvert: boolean;
  readonly expandPatterns: boolean;
  readonly onlyJobState: boolean;
  readonly machine: MachineOutput | null;
  readonly clusters: string | null;
  readonly verbose: number;
}

/** @throws UsageError; BerthError INVALID_NODE_NAME for an unreadable host list */
export function parseSqueue(argv: readonly string[], env: Env): SqueueLine {
  const said = new Said("squeue", SQUEUE_ROWS, argv);
  const operands = [...said.operands];
  // `-j 12` is an option without value and an operand that belongs to it; the same for -s.
  const take = (name: string) => (said.value(name) === "" ? (operands.shift() ?? "") : said.value(name));
  const jobs = take("jobs");
  const steps = take("steps");
  if (said.action === "run" && operands[0] !== undefined) {
    throw new UsageError([`squeue: error: Unrecognized option: ${operands[0]}`, 'Try "squeue --help" for more information'], 1);
  }
  const targets = (text: string) => targetsOf(text, (bad) => `squeue: error: Invalid job id: ${bad}`);
  const nodes = said.value("nodelist");
  // -l and --start have formats of their own, which the environment does not replace.
  const hasView = said.has("long") || said.has("start");
  return {
    action: said.action,
    jobs: jobs === null || jobs === "" ? null : targets(jobs),
    steps: steps === null ? null : targets(steps),
    users: listOf(said.value("user") ?? env["SQUEUE_USERS"]),
    me: said.has("me"),
    notMe: said.has("notme"),
    states: statesOf(said.value("states") ?? env["SQUEUE_STATES"]),
    names: listOf(said.value("name") ?? env["SQUEUE_NAMES"]),
    partitions: listOf(said.value("partition") ?? env["SQUEUE_PARTITION"]),
    accounts: listOf(said.value("account") ?? env["SQUEUE_ACCOUNT"]),
    qos: listOf(said.value("qos") ?? env["SQUEUE_QOS"]),
    reservation: said.value("reservation"),
    licenses: listOf(said.value("licenses") ?? env["SQUEUE_LICENSES"]),
    nodes: nodes === null ? null : expandHostlist(nodes),
    noHeader: said.has("noheader"),
    format: hasView ? formatOf(said, undefined, undefined) : formatOf(said, env["SQUEUE_FORMAT"], env["SQUEUE_FORMAT2"]),
    long: said.has("long"),
    sort: said.value("sort") ?? env["SQUEUE_SORT"] ?? null,
    array: said.has("array") || isSet(env["SQUEUE_ARRAY"]),
    arrayUnique: said.has("array-unique") || isSet(env["SQUEUE_ARRAY_UNIQUE"]),
    all: said.lastOf("all", "hide") === "all" || (isSet(env["SQUEUE_ALL"]) && !said.has("hide")),
    iterateSeconds: iterateOf("squeue", said),
    start: said.has("start"),
    priority: said.has("priority") || isSet(env["SQUEUE_PRIORITY"]),
    noConvert: said.has("noconvert"),
    expandPatterns: said.has("expand-patterns"),
    onlyJobState: said.has("only-job-state"),
    machine: machineOutputOf(said),
    clusters: said.value("clusters") ?? env["SLURM_CLUSTERS"] ?? null,
    verbose: said.count("verbose"),
  };
}

/** In the order of Slurm's message. */
const SHOWN_FLAGS = [
  "COMPLETING",
  "CONFIGURING",
  "RESIZING",
  "RESV_DEL_HOLD",
  "REQUEUED",
  "REQUEUE_FED",
  "REQUEUE_HOLD",
  "REVOKED",
  "SIGNALING",
  "SPECIAL_EXIT",
  "STAGE_OUT",
  "STOPPED",
] as const satisfies readonly (keyof typeof STATE_FLAGS)[];

function statesOf(text: string | undefined): SqueueLine["states"] {
  if (text === undefined) return null;
  const parsed = parseStates(text);
  if (!("bad" in parsed)) return parsed.states;
  const names = [...Object.keys(STATES), ...SHOWN_FLAGS].join(",");
  throw new UsageError(
    [`squeue: error: Invalid job state specified: ${parsed.bad}`, `squeue: error: Valid job states include: ${names}`, ""],
    1,
  );
}
