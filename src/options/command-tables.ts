/** Every command's options, with what help and completion say of them; loads all tables. */
import { SACCTMGR_ROWS, SSHARE_ROWS } from "./accounts.ts";
import type { OptionRow } from "./getopt.ts";
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

export interface HelpRow extends OptionRow {
  readonly help: string;
  readonly group?: string;
}

export const COMMANDS = {
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
  sacctmgr: {
    rows: SACCTMGR_ROWS,
    operands: "list entity [format=columns]",
    about: "Show accounts and their like, as far as there are any.",
  },
  sshare: { rows: SSHARE_ROWS, operands: "", about: "Show the shares of accounts: none are kept." },
  sbcast: { rows: SBCAST_ROWS, operands: "source destination", about: "Copy a file to the nodes of a job." },
} as const satisfies Record<string, { rows: readonly HelpRow[]; operands: string; about: string }>;

/** A command with Slurm's name and tables of its own. */
export type HelpCommand = keyof typeof COMMANDS;
