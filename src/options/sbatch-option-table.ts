/** The options that only sbatch has (commands.md §3.4). */
import type { JobOptionRow } from "./job-option-row.ts";

export const SBATCH_OPTIONS: readonly JobOptionRow[] = [
  {
    name: "array",
    short: "a",
    takes: "INDICES[%N]",
    group: "Job",
    help: "one task for each index, N at a time",
    env: { sbatch: ["SBATCH_ARRAY_INX"] },
  },
  {
    name: "batch",
    takes: "FEATURES",
    group: "Accepted without effect",
    idle: "all nodes are this machine",
    help: "features of the node that runs the script",
    env: { sbatch: ["SBATCH_BATCH"] },
  },
  { name: "export-file", takes: "FILE|FD", group: "Files and environment", help: "variables to pass on, from a file" },
  {
    name: "ignore-pbs",
    group: "Accepted without effect",
    idle: "such lines are never read",
    help: "do not read #PBS and #BSUB lines",
    env: { sbatch: ["SBATCH_IGNORE_PBS"] },
  },
  { name: "no-requeue", group: "Job", help: "never start the job a second time", env: { sbatch: ["SBATCH_NO_REQUEUE"] } },
  { name: "parsable", group: "Information", help: "print the job id alone" },
  { name: "requeue", group: "Job", help: "the job may be started again", env: { sbatch: ["SBATCH_REQUEUE"] } },
  {
    name: "wait",
    short: "W",
    group: "Information",
    help: "return when it has ended, with its exit code",
    env: { sbatch: ["SBATCH_WAIT"] },
  },
  { name: "wrap", takes: "COMMAND", group: "Job", help: "the script is this command line" },
];
