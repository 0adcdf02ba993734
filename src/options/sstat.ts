/** sstat's command line (commands.md §10). */
import type { JobTarget } from "#engine/engine.ts";
import { QUIET_INFORMATION_ROWS, parsableOf, Said, targetsOf, type Parsable, type QueryAction, type QueryRow } from "./said.ts";
import { UsageError } from "./usage-error.ts";

export const SSTAT_ROWS: readonly QueryRow[] = [
  { name: "allsteps", short: "a", help: "all running steps of the jobs" },
  { name: "format", short: "o", aliases: ["fields"], takes: "LIST", help: "columns, NAME[%[-]WIDTH],…" },
  { name: "helpformat", short: "e", help: "list the columns" },
  { name: "jobs", short: "j", takes: "LIST", help: "these jobs or steps" },
  { name: "noconvert", help: "keep the units of sizes" },
  { name: "noheader", short: "n", help: "no lines of titles" },
  { name: "parsable", short: "p", help: "columns with | behind each" },
  { name: "parsable2", short: "P", help: "columns with | between them" },
  { name: "pidformat", short: "i", help: "nodes and process ids of the steps" },
  ...QUIET_INFORMATION_ROWS.map((row) => (row.name === "help" ? { ...row, short: "h" } : row)),
];

export interface SstatLine {
  readonly action: QueryAction;
  readonly jobs: readonly JobTarget[];
  readonly allSteps: boolean;
  readonly format: string | null;
  readonly pids: boolean;
  readonly noHeader: boolean;
  readonly parsable: Parsable;
  readonly noConvert: boolean;
  readonly helpFormat: boolean;
  readonly verbose: number;
}

/** @throws UsageError */
export function parseSstat(argv: readonly string[]): SstatLine {
  const said = new Said("sstat", SSTAT_ROWS, argv);
  const text = [...said.values("jobs"), ...said.operands].join(",");
  const jobs = targetsOf(text, (bad) => `sstat: fatal: Bad job/step specified: ${bad}`);
  if (said.action === "run" && !said.has("helpformat") && jobs.length === 0) {
    throw new UsageError(["sstat: error: You didn't give me any jobs to stat."], 1);
  }
  return {
    action: said.action,
    jobs,
    allSteps: said.has("allsteps"),
    format: said.has("format") ? said.values("format").join(",") : null,
    pids: said.has("pidformat"),
    noHeader: said.has("noheader"),
    parsable: parsableOf(said),
    noConvert: said.has("noconvert"),
    helpFormat: said.has("helpformat"),
    verbose: said.count("verbose"),
  };
}
