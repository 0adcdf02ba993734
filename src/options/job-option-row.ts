import type { OptionRow } from "./getopt.ts";

export type JobCommand = "srun" | "sbatch" | "salloc";

/** Headings of the help text, in its order. */
export const GROUPS = [
  "Job",
  "Size",
  "Nodes",
  "Time and order",
  "Files and environment",
  "Containers",
  "Steps and tasks",
  "Information",
  "Accepted without effect",
  "Refused",
] as const;
export type Group = (typeof GROUPS)[number];

/** One option of srun, sbatch or salloc. */
export interface JobOptionRow extends OptionRow {
  readonly group: Group;
  readonly help: string;
  /** The commands that have it, when not all three. */
  readonly on?: readonly JobCommand[];
  /** Environment variables that stand for it; the first one that is set counts. */
  readonly env?: Readonly<Partial<Record<JobCommand, readonly string[]>>>;
}

/** An option that no setter takes is recorded in JobOptions.unused; `idle` says why it changes nothing. */
export function unused(rows: readonly (Omit<JobOptionRow, "group"> & { readonly idle: string })[]): JobOptionRow[] {
  return rows.map((row) => ({ ...row, group: "Accepted without effect" }));
}

export function rowsOf(command: JobCommand, rows: readonly JobOptionRow[]): JobOptionRow[] {
  return rows.filter(({ on }) => on === undefined || on.includes(command));
}

/** The variables of one option, where all three commands spell them alike after their own prefix. */
export function envOfAll(name: string): NonNullable<JobOptionRow["env"]> {
  return { srun: [`SLURM_${name}`], sbatch: [`SBATCH_${name}`], salloc: [`SALLOC_${name}`] };
}
