/** Berth's own commands, as its help, its manual and completion have them. */

export interface OwnCommand {
  readonly name: string;
  readonly operands: string;
  readonly help: string;
  /** What may come first behind the name. */
  readonly words?: readonly string[];
  readonly options?: readonly string[];
  /** Operands that are files or directories. */
  readonly takes?: "files" | "dirs" | "jobs";
}

export const OWN_COMMANDS: readonly OwnCommand[] = [
  {
    name: "info",
    operands: "[JOB]",
    help: "which engine is in use and why; or what a job waits for",
    options: ["--json"],
    takes: "jobs",
  },
  {
    name: "cluster",
    operands: "COMMAND",
    help: "up, down, status of a private real Slurm, to try things on",
    words: ["up", "down", "status"],
    options: ["--nodes", "--cpus", "--jwt", "--json"],
  },
  {
    name: "daemon",
    operands: "COMMAND",
    help: "start, stop, restart, status, logs of the embedded engine's controller",
    words: ["start", "stop", "restart", "status", "logs", "run"],
    options: ["--jobs", "--json", "-n"],
  },
  { name: "scrun", operands: "…", help: "an OCI runtime for podman and docker: each container is a job" },
  {
    name: "generate",
    operands: "ENGINE",
    help: "make podman or docker use scrun; --undo takes it back",
    words: ["podman", "docker"],
    options: ["--user", "--system", "--scrun", "--dry-run", "--force", "--undo"],
  },
  { name: "doctor", operands: "[--json]", help: "whether container jobs will run here, and what is in the way", options: ["--json"] },
  {
    name: "oci",
    operands: "COMMAND",
    help: "make, try and explain an oci.conf",
    words: ["init", "check", "show"],
    options: ["--runtime", "--flow", "--force", "--stdout", "--bundle", "--json"],
    takes: "files",
  },
  {
    name: "bundle",
    operands: "COMMAND",
    help: "make and check bundles for --container",
    words: ["create", "check"],
    options: ["--mmdebstrap", "--debootstrap", "--include", "--mirror", "--shared", "--json"],
    takes: "files",
  },
  {
    name: "link",
    operands: "[--all] DIR",
    help: "links to this executable, named after Slurm's commands",
    options: ["--all"],
    takes: "dirs",
  },
  {
    name: "completion",
    operands: "SHELL",
    help: "completion of all these commands for bash, zsh or fish",
    words: ["bash", "zsh", "fish"],
  },
  { name: "man", operands: "[--dir DIR | NAME]", help: "manual pages of all these commands", options: ["--dir"] },
];
