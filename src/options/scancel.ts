/** scancel's command line (commands.md §5). */
import type { JobTarget } from "#engine/engine.ts";
import { STATES, type BaseState } from "#job/state.ts";
import { expandHostlist } from "./hostlist.ts";
import { INFORMATION_ROWS, isSet, listOf, Said, targetsOf, type QueryAction, type QueryRow } from "./said.ts";
import { parseSignal } from "./signals.ts";
import type { Env } from "./site.ts";
import { UsageError } from "./usage-error.ts";

export const SCANCEL_ROWS: readonly QueryRow[] = [
  { name: "account", short: "A", takes: "NAME", help: "only jobs of this account" },
  { name: "batch", short: "b", help: "signal the batch script alone" },
  { name: "clusters", short: "M", aliases: ["cluster"], takes: "NAMES", help: "cluster to talk to" },
  { name: "cron", isLater: true, short: "c", idle: "there is no scrontab", help: "end scrontab jobs too" },
  { name: "ctld", idle: "signals always go through the controller", help: "let the controller send the signal" },
  { name: "full", short: "f", help: "signal the batch script and all steps" },
  { name: "hurry", short: "H", idle: "there are no burst buffers to stage out", help: "skip staging out" },
  { name: "interactive", short: "i", help: "ask about each job" },
  { name: "me", help: "only your own jobs" },
  { name: "name", short: "n", aliases: ["jobname"], takes: "NAME", help: "only jobs of this name" },
  { name: "nodelist", short: "w", takes: "HOSTS", help: "only jobs on these nodes" },
  { name: "partition", short: "p", takes: "NAME", help: "only jobs in this partition" },
  { name: "qos", short: "q", takes: "NAME", help: "only jobs of this quality of service" },
  { name: "quiet", short: "Q", help: "print errors only" },
  { name: "reservation", short: "R", takes: "NAME", help: "only jobs in this reservation" },
  { name: "sibling", takes: "NAME", refused: "there is no federation", help: "take the job off one federated cluster" },
  { name: "signal", short: "s", takes: "SIGNAL", help: "send this signal instead of ending the job" },
  { name: "state", short: "t", takes: "STATES", help: "only PENDING, RUNNING or SUSPENDED jobs" },
  { name: "user", short: "u", takes: "NAME", help: "only jobs of this user" },
  { name: "wckey", takes: "KEY", help: "only jobs of this workload key" },
  ...INFORMATION_ROWS,
];

export interface ScancelLine {
  readonly action: QueryAction;
  readonly targets: readonly JobTarget[];
  /** Null ends the job. */
  readonly signal: number | null;
  readonly batch: boolean;
  readonly full: boolean;
  readonly user: string | null;
  readonly me: boolean;
  readonly name: string | null;
  readonly partition: string | null;
  readonly account: string | null;
  readonly qos: string | null;
  readonly reservation: string | null;
  readonly wckey: string | null;
  readonly nodes: readonly string[] | null;
  readonly states: readonly BaseState[] | null;
  /** Any of user … states was given: errors about single jobs count then. */
  readonly hasFilter: boolean;
  readonly interactive: boolean;
  readonly hurry: boolean;
  readonly ctld: boolean;
  readonly clusters: string | null;
  readonly quiet: boolean;
  readonly verbose: number;
}

/** @throws UsageError; BerthError INVALID_NODE_NAME for an unreadable host list */
export function parseScancel(argv: readonly string[], env: Env): ScancelLine {
  const said = new Said("scancel", SCANCEL_ROWS, argv);
  const nodes = said.value("nodelist");
  const filters = {
    user: said.value("user") ?? env["SCANCEL_USER"] ?? null,
    name: said.value("name") ?? env["SCANCEL_NAME"] ?? null,
    partition: said.value("partition") ?? env["SCANCEL_PARTITION"] ?? null,
    account: said.value("account") ?? env["SCANCEL_ACCOUNT"] ?? null,
    qos: said.value("qos") ?? env["SCANCEL_QOS"] ?? null,
    reservation: said.value("reservation"),
    wckey: said.value("wckey") ?? env["SCANCEL_WCKEY"] ?? null,
    nodes: nodes === null ? null : expandHostlist(nodes),
    states: statesOf(said.value("state") ?? env["SCANCEL_STATE"]),
  };
  const targets = said.operands.flatMap((text) => targetsOf(text, (bad) => `scancel: error: Invalid job id ${bad}`));
  const hasFilter = said.has("me") || Object.values(filters).some((value) => value !== null);
  if (said.action === "run" && targets.length === 0 && !hasFilter) {
    throw new UsageError(["scancel: error: No job identification provided"], 1);
  }
  return {
    action: said.action,
    targets,
    ...filters,
    hasFilter,
    me: said.has("me"),
    signal: signalOf(said.value("signal")),
    batch: said.has("batch") || isSet(env["SCANCEL_BATCH"]),
    full: said.has("full") || isSet(env["SCANCEL_FULL"]),
    interactive: said.has("interactive") || isSet(env["SCANCEL_INTERACTIVE"]),
    hurry: said.has("hurry") || isSet(env["SCANCEL_HURRY"]),
    ctld: said.has("ctld") || isSet(env["SCANCEL_CTLD"]),
    clusters: said.value("clusters") ?? env["SLURM_CLUSTERS"] ?? null,
    quiet: said.has("quiet"),
    verbose: said.has("verbose") ? said.count("verbose") : Number(/^\d$/.exec(env["SCANCEL_VERBOSE"] ?? "")?.[0] ?? 0),
  };
}

function signalOf(text: string | null): number | null {
  if (text === null) return null;
  const signal = parseSignal(text);
  if (signal === undefined) throw new UsageError([`Unknown job signal: ${text}`], 1);
  return signal;
}

const CANCELLABLE: readonly BaseState[] = ["PENDING", "RUNNING", "SUSPENDED"];

function statesOf(text: string | undefined): BaseState[] | null {
  const words = listOf(text);
  return (
    words?.map((word) => {
      const upper = word.toUpperCase();
      const state = CANCELLABLE.find((name) => name === upper || STATES[name] === upper);
      if (state !== undefined) return state;
      throw new UsageError(
        [`scancel: error: Invalid job state specified: ${word}`, "scancel: error: Valid job states are PENDING, RUNNING, and SUSPENDED"],
        1,
      );
    }) ?? null
  );
}
