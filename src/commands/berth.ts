/** `berth` itself: help and version. */
import { VERSION } from "#job/version.ts";
import { LINK_NAMES } from "./dispatch.ts";
import { complain, printLines } from "./terminal.ts";

const USAGE = `Usage: berth [--engine embedded|slurm|auto] COMMAND [ARGUMENTS]
Containers as batch jobs, with Slurm's own commands.

Slurm's commands, each with --help of its own:
  ${LINK_NAMES.join(" ")}

Berth's own:
  info [JOB]         which engine is in use and why; or what a job waits for
  cluster COMMAND    up, down, status of a private real Slurm, to try things on
  daemon COMMAND     start, stop, restart, status, logs of the embedded engine's controller
  scrun …            an OCI runtime for podman and docker: each container is a job
  generate ENGINE    make podman or docker use scrun; --undo takes it back
  doctor [--json]    whether container jobs will run here, and what is in the way
  oci COMMAND        make, try and explain an oci.conf
  bundle COMMAND     make and check bundles for --container
  link [--all] DIR   links to this executable, named after Slurm's commands

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
