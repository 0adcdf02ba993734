/** sattach's command line (commands.md §11). */
import type { JobTarget } from "#engine/engine.ts";
import { parseJobTarget } from "./job-target.ts";
import { QUIET_INFORMATION_ROWS, Said, type QueryAction, type QueryRow } from "./said.ts";
import { UsageError } from "./usage-error.ts";

export const SATTACH_ROWS: readonly QueryRow[] = [
  { name: "debugger-test", refused: "it is there to test debuggers of Slurm", help: "try what a parallel debugger does" },
  { name: "error-filter", takes: "TASK", help: "standard error of this task only" },
  { name: "input-filter", takes: "TASK", help: "standard input goes to this task only" },
  { name: "label", short: "l", help: "put the task number before each line" },
  { name: "layout", help: "print where the tasks are and exit" },
  { name: "output-filter", takes: "TASK", help: "standard output of this task only" },
  { name: "pty", help: "attach to the pseudo-terminal of task 0" },
  { name: "quiet", short: "Q", help: "print errors only" },
  ...QUIET_INFORMATION_ROWS.map((row) =>
    row.name === "help" ? { ...row, short: "h" } : row.name === "usage" ? { ...row, short: "u" } : row,
  ),
];

export interface SattachLine {
  readonly action: QueryAction;
  /** Null only when the action is not "run". */
  readonly target: JobTarget | null;
  readonly label: boolean;
  readonly layout: boolean;
  readonly inputTask: number | null;
  readonly outputTask: number | null;
  readonly errorTask: number | null;
  readonly pty: boolean;
  readonly quiet: boolean;
  readonly verbose: number;
}

/** @throws UsageError */
export function parseSattach(argv: readonly string[]): SattachLine {
  const said = new Said("sattach", SATTACH_ROWS, argv);
  return {
    action: said.action,
    target: said.action === "run" ? targetOf(said.operands) : null,
    label: said.has("label"),
    layout: said.has("layout"),
    inputTask: taskOf(said, "input-filter"),
    outputTask: taskOf(said, "output-filter"),
    errorTask: taskOf(said, "error-filter"),
    pty: said.has("pty"),
    quiet: said.has("quiet"),
    verbose: said.count("verbose"),
  };
}

const USAGE = ["Usage: sattach [options] <jobid.stepid>"];

function targetOf(operands: readonly string[]): JobTarget {
  const [text] = operands;
  if (text === undefined || operands.length > 1) {
    // "too many" is what Slurm says about too few as well.
    throw new UsageError(["sattach: error: too many parameters"], 1, USAGE);
  }
  const target = parseJobTarget(text);
  if (target?.stepKey == null || target.arrayTasks !== null) {
    throw new UsageError(["sattach: error: Failed to parse stepid from command line options"], 1, USAGE);
  }
  return target;
}

function taskOf(said: Said, name: string): number | null {
  const text = said.value(name);
  if (text === null || text.toLowerCase() === "all") return null;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError([`sattach: error: Invalid numeric value "${text}" for ${name}.`], 1);
}
