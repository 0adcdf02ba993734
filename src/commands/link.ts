/** `berth link [--all] DIR`: links with the names of Slurm's commands. */
import { chmodSync, lstatSync, mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { BerthError } from "#job/errors.ts";
import { programsNamed } from "#platform/find-program.ts";
import { selfPath } from "#platform/self.ts";
import { launcherFor, targetOfLauncher } from "#scrun/launcher/launcher.ts";
import { LINK_NAMES } from "./dispatch.ts";
import { complain, printLines } from "./terminal.ts";

const USAGE = `Usage: berth link [--all] DIR
Makes links to this executable in DIR, named after Slurm's commands (${LINK_NAMES.join(" ")}); scrun, the
OCI runtime for podman and docker, is a small shell script in front of it.
Where Slurm's own commands are installed only scrun is made, so that they are not hidden; --all links them all the same.`;

export function link(argv: readonly string[]): number {
  if (argv.includes("--help") || argv.includes("-h")) {
    printLines([USAGE]);
    return 0;
  }
  const isAll = argv.includes("--all");
  const [dir, ...extra] = argv.filter((word) => word !== "--all");
  if (dir === undefined || extra.length > 0 || dir.startsWith("-")) {
    complain("berth: error: link wants one directory", 'Try "berth link --help" for more information');
    return 255;
  }
  const target = selfPath();
  if (target === undefined) throw new BerthError("NOT_COMPILED", "Only the built executable can be linked", { hint: "run: npm run build" });
  const directory = resolve(dir);
  const installed = isAll ? undefined : findSlurm(directory, target);
  const names = installed === undefined ? LINK_NAMES : ["scrun"];
  if (installed !== undefined) {
    complain(
      `berth: Slurm's own commands are installed (${installed}): only scrun is linked`,
      "berth: run berth link --all DIR to link all the same",
    );
  }
  mkdirSync(directory, { recursive: true });
  for (const name of names) (name === "scrun" ? writeLauncher : makeLink)(join(directory, name), target);
  printLines([`Linked ${names.join(" ")} in ${directory}`]);
  return 0;
}

function makeLink(path: string, target: string): void {
  checkOurs(path);
  rmSync(path, { force: true });
  symlinkSync(target, path);
}

/** A shell script instead of a link: an engine calls it three times for each container, and waits. */
function writeLauncher(path: string, target: string): void {
  checkOurs(path);
  const part = `${path}.${process.pid}.part`;
  writeFileSync(part, launcherFor(target), { mode: 0o755 });
  chmodSync(part, 0o755); // whatever the umask: an engine of another user may have to read it
  renameSync(part, path);
}

/** A link may be replaced, and a launcher, but no file of somebody else's. @throws BerthError LINK_EXISTS */
function checkOurs(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat !== undefined && !stat.isSymbolicLink() && targetOfLauncher(path) === undefined)
    throw new BerthError("LINK_EXISTS", `${path} exists and is no link`, { hint: "choose another directory, or move the file away" });
}

/** The first sbatch in PATH that is not ours. */
function findSlurm(ownDir: string, target: string): string | undefined {
  for (const path of programsNamed("sbatch", process.env["PATH"] ?? "")) {
    if (dirname(path) === ownDir) continue;
    const isOurs = lstatSync(path).isSymbolicLink() && readlinkSync(path) === target;
    if (!isOurs) return path;
  }
  return undefined;
}
