/** `--help`, `--usage`, `--version` and the lists that options print instead of doing their command's work. */
import type { Action } from "#options/job-draft.ts";
import type { HelpCommand } from "#options/command-tables.ts";
import { SLURM_VERSION } from "#job/version.ts";
import { printLines } from "./terminal.ts";

/** Undefined when the command is to go on. */
export async function informationAction(command: HelpCommand, action: Action): Promise<number | undefined> {
  switch (action) {
    case "run":
      return undefined;
    case "version":
      printLines([`slurm-wlm ${SLURM_VERSION}`]);
      return 0;
    case "help":
    case "usage": {
      const { helpText, usageText } = await import("#options/help.ts");
      printLines([(action === "help" ? helpText(command) : usageText(command)).trimEnd()]);
      return 0;
    }
    case "mpiList":
      printLines((await import("./mpi-types.ts")).mpiTypeLines());
      return 0;
    case "gresHelp":
      printLines(["Valid gres options are:", "gpu"]);
      return 0;
  }
}
