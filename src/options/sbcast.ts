/** sbcast's command line (commands.md §12). */
import type { JobTarget } from "#engine/engine.ts";
import { excludedDirs, isSendLibs } from "./bcast.ts";
import { parseJobTarget } from "./job-target.ts";
import { QUIET_INFORMATION_ROWS, isSet, Said, type QueryAction, type QueryRow } from "./said.ts";
import type { Env } from "./site.ts";
import { UsageError } from "./usage-error.ts";

export const SBCAST_ROWS: readonly QueryRow[] = [
  { name: "compress", short: "C", mayTake: "LIBRARY", idle: "nothing is sent over a network", help: "compress on the way" },
  { name: "exclude", takes: "LIST", help: "directories of libraries not to copy" },
  { name: "fanout", short: "F", takes: "N", idle: "nothing is sent over a network", help: "fan-out of messages" },
  { name: "force", short: "f", help: "replace files that exist" },
  { name: "jobid", short: "j", takes: "JOB[.STEP]", help: "the job whose nodes get the file" },
  { name: "preserve", short: "p", help: "keep times and mode" },
  {
    name: "send-libs",
    mayTake: "yes|no",
    help: "copy the program's libraries too",
  },
  { name: "size", short: "s", takes: "SIZE", idle: "nothing is sent over a network", help: "bytes in each message" },
  { name: "timeout", short: "t", takes: "SECONDS", idle: "nothing is sent over a network", help: "wait this long for a node" },
  { name: "treewidth", isLater: true, takes: "N", idle: "nothing is sent over a network", help: "fan-out of messages" },
  ...QUIET_INFORMATION_ROWS,
];

export interface SbcastLine {
  readonly action: QueryAction;
  /** Null only when the action is not "run". */
  readonly source: string | null;
  readonly destination: string | null;
  /** -j, else the job that sbcast runs in. */
  readonly target: JobTarget | null;
  readonly force: boolean;
  readonly preserve: boolean;
  readonly sendLibs: boolean;
  /** Directories whose libraries are not copied. */
  readonly exclude: readonly string[];
  readonly verbose: number;
}

/** @throws UsageError */
export function parseSbcast(argv: readonly string[], env: Env): SbcastLine {
  const said = new Said("sbcast", SBCAST_ROWS, argv);
  const isRun = said.action === "run";
  const [source = null, destination = null] = said.operands;
  if (isRun && said.operands.length !== 2) {
    throw new UsageError([`Need two file names, have ${said.operands.length} names`, 'Try "sbcast --help" for more information'], 1);
  }
  return {
    action: said.action,
    source,
    destination,
    target: isRun ? targetOf(said.value("jobid") ?? env["SLURM_JOB_ID"]) : null,
    force: said.has("force") || isSet(env["SBCAST_FORCE"]),
    preserve: said.has("preserve") || isSet(env["SBCAST_PRESERVE"]),
    sendLibs: isSendLibs(said.value("send-libs") ?? env["SBCAST_SEND_LIBS"] ?? null),
    exclude: excludedDirs(said.value("exclude") ?? env["SBCAST_EXCLUDE"] ?? null),
    verbose: said.count("verbose"),
  };
}

function targetOf(text: string | undefined): JobTarget {
  if (text === undefined || text === "") {
    throw new UsageError(["sbcast: error: Need a job id to run this command.  Run from within a Slurm job or use the --jobid option."], 1);
  }
  const target = parseJobTarget(text);
  if (target === undefined) throw new UsageError([`sbcast: error: Invalid job id ${text}`], 1);
  return target;
}
