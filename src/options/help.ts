/** Help and usage of every command; loads all tables, so commands import it only when asked for help. */
import type { OptionRow } from "./getopt.ts";
import { GROUPS } from "./job-option-row.ts";
import { SACCT_ROWS } from "./sacct.ts";
import { SALLOC_ROWS } from "./salloc.ts";
import { SATTACH_ROWS } from "./sattach.ts";
import { SBATCH_ROWS } from "./sbatch.ts";
import { SBCAST_ROWS } from "./sbcast.ts";
import { SCANCEL_ROWS } from "./scancel.ts";
import { SCONTROL_ROWS } from "./scontrol.ts";
import { SINFO_ROWS } from "./sinfo.ts";
import { SQUEUE_ROWS } from "./squeue.ts";
import { SRUN_ROWS } from "./srun.ts";
import { SSTAT_ROWS } from "./sstat.ts";

interface HelpRow extends OptionRow {
  readonly help: string;
  readonly group?: string;
}

const COMMANDS = {
  srun: { rows: SRUN_ROWS, operands: "command [args...]", about: "Run a command as parallel tasks." },
  sbatch: { rows: SBATCH_ROWS, operands: "[script [args...]]", about: "Submit a script for later." },
  salloc: { rows: SALLOC_ROWS, operands: "[command [args...]]", about: "Get resources and run a command with them." },
  scancel: { rows: SCANCEL_ROWS, operands: "[job[_task][.step]...]", about: "End jobs and steps, or signal them." },
  squeue: { rows: SQUEUE_ROWS, operands: "", about: "Show jobs and steps." },
  sinfo: { rows: SINFO_ROWS, operands: "", about: "Show partitions and nodes." },
  sacct: { rows: SACCT_ROWS, operands: "", about: "Show jobs and steps from the accounting records." },
  scontrol: { rows: SCONTROL_ROWS, operands: "[command [args...]]", about: "Show and change jobs and nodes." },
  sattach: { rows: SATTACH_ROWS, operands: "<jobid.stepid>", about: "Join the output and input of a running step." },
  sstat: { rows: SSTAT_ROWS, operands: "", about: "Show what running steps use." },
  sbcast: { rows: SBCAST_ROWS, operands: "source destination", about: "Copy a file to the nodes of a job." },
} as const satisfies Record<string, { rows: readonly HelpRow[]; operands: string; about: string }>;

export type HelpCommand = keyof typeof COMMANDS;

/** Where the descriptions begin; the line ends before column 80. */
const HELP_COLUMN = 35;

/** All options, one line each, in groups where the command has many. Ends in a line end. */
export function helpText(command: HelpCommand): string {
  const { rows, about } = COMMANDS[command];
  const lines = [usageLine(command), "", about];
  const groups = new Map<string, HelpRow[]>();
  for (const row of rows as readonly HelpRow[]) {
    const group = row.group ?? "Options";
    groups.set(group, [...(groups.get(group) ?? []), row]);
  }
  const order = groups.has("Options") ? ["Options"] : GROUPS;
  for (const group of order) {
    const members = groups.get(group) ?? [];
    if (members.length > 0) lines.push("", `${group}:`, ...members.toSorted(byName).map(lineOf));
  }
  return `${lines.join("\n")}\n`;
}

/** A summary in a line or a few. Ends in a line end. */
export function usageText(command: HelpCommand): string {
  return `${usageLine(command)}\n`;
}

function usageLine(command: HelpCommand): string {
  return `Usage: ${command} [options] ${COMMANDS[command].operands}`.trimEnd();
}

function byName(a: HelpRow, b: HelpRow): number {
  return a.name.localeCompare(b.name, "en");
}

function lineOf({ name, short, takes, mayTake, help }: HelpRow): string {
  const value = takes !== undefined ? `=${takes}` : mayTake !== undefined ? `[=${mayTake}]` : "";
  const left = `  ${short === undefined ? "   " : `-${short},`} --${name}${value}`;
  return `${left.padEnd(HELP_COLUMN - 1)} ${help}`;
}
