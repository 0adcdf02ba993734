/** `berth` itself: help and version. */
import { VERSION } from "#job/version.ts";
import { OWN_COMMANDS } from "#options/own-commands.ts";
import { LINK_NAMES } from "./dispatch.ts";
import { complain, printLines } from "./terminal.ts";

const USAGE = `Usage: berth [--engine embedded|slurm|auto] COMMAND [ARGUMENTS]
Containers as batch jobs, with Slurm's own commands.

Slurm's commands, each with --help of its own:
  ${LINK_NAMES.join(" ")}

Berth's own:
${OWN_COMMANDS.map(({ name, operands, help }) => `  ${`${name} ${operands}`.padEnd(24)} ${help}`).join("\n")}

First job:  berth srun --container BUNDLE COMMAND`;

export function berth(argv: readonly string[]): number {
  const [word] = argv;
  if (word === undefined || word === "--help" || word === "-h" || word === "help") {
    printLines([USAGE]);
    return word === undefined ? 255 : 0;
  }
  if (word === "--version" || word === "-V" || word === "version") {
    printLines([`berth ${VERSION}`]);
    return 0;
  }
  complain(`berth: error: there is no command "${word}"`, 'Try "berth --help" for more information');
  return 255;
}
