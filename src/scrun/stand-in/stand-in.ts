/**
 * What an engine takes for the container's process, when it is the engine that waits for it: a shell of some 200 KiB that does nothing but wait for the
 * anchor to say the exit status. Engines look up more by a container's pid than its end, and the anchor cannot stand for it in all of that:
 *
 *   its cgroup            `podman stats`, `docker stats`, whether it was out of memory. The anchor must not be frozen with it
 *   its namespaces        another container of a pod, `podman top`
 *   a pid namespace       `podman cp` joins it, which rootless podman may only do with one of its own user namespace; rootless dockerd gives another
 *                         container in it (`--pid container:NAME`) the host's /proc, if it is the host's. Not the container's: who is in that one
 *                         is killed with its first process, before anybody knows the exit status. So it is in one of its own
 *
 *   anchor ── exit status, through a FIFO ──► stand-in ── exit status ──► conmon, containerd-shim
 *
 * When the anchor is killed the FIFO ends, and the status is 137. While there is no container yet, because its job waits, see early.ts.
 */
import { closeSync, constants, existsSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { makeFifo } from "#platform/libc.ts";
import { outsideIds, standInNamespacesOf } from "#platform/namespaces.ts";
import { shellCode } from "#job/outcome.ts";
import { identify, isAlive } from "#platform/process-tree.ts";
import { spawnWithFiles } from "#platform/spawn.ts";
import type { ContainerPlace } from "../place.ts";
import { thawStandIn } from "./thaw.ts";

const CGROUPS = "/sys/fs/cgroup";
/**
 * A shell that leaves another one behind, says its pid, and ends: who is left is an orphan, which engines' monitors adopt.
 * Its own signals would come from somebody who means the container: that has to go by the runtime.
 */
const SCRIPT = `trap '' HUP INT TERM
{ read -r status || status=137; exit "$status"; } <&3 >/dev/null 3<&- &
echo "$!"`;
/** The first process that it starts, the shell that stays, is the first of a pid namespace (unshare(1)). */
const UNSHARE = ["/usr/bin/unshare", "/bin/unshare"].find((path) => existsSync(path));

const HEARING_MS = 5000;

/** The anchor's end, for all its life: a FIFO without writers has ended. */
export function makeEnd(place: ContainerPlace): number {
  makeFifo(place.endFifo, 0o600);
  return openEnd(place);
}

function openEnd(place: ContainerPlace): number {
  return openSync(place.endFifo, constants.O_RDWR);
}

/**
 * The last thing that create does: from here on its first thread is in the container's namespaces. Gives its pid; undefined when the container's
 * process has ended already.
 */
export async function startStandIn(
  place: ContainerPlace,
  { initPid, hasPidNamespace }: { readonly initPid: number; readonly hasPidNamespace: boolean },
): Promise<number | undefined> {
  const cgroups = foreignCgroupsOf(initPid);
  if (cgroups === undefined) return undefined;
  const enterNamespaces = () => {
    standInNamespacesOf(initPid);
    return true;
  };
  const pid = await startShell(place, [SCRIPT, "scrun-container", place.dir], { hasPidNamespace, enter: enterNamespaces });
  for (const cgroup of cgroups) if (pid !== undefined) enter(cgroup, pid);
  return pid;
}

/** Undefined when it would not be where it should: `enter` puts our first thread there, or says that it cannot. */
export async function startShell(
  place: ContainerPlace,
  words: readonly string[],
  options: { readonly hasPidNamespace: boolean; readonly enter: () => boolean },
): Promise<number | undefined> {
  // Open for both first, which never waits: the anchor has it open, but may have been killed.
  const both = openEnd(place);
  const end = openSync(place.endFifo, constants.O_RDONLY);
  closeSync(both);
  const pidFile = openSync(place.standInFile, "wx", 0o600);
  if (!options.enter()) {
    rmSync(place.standInFile);
    return undefined;
  }
  const shell = ["/bin/sh", "-c", ...words] as const;
  // Not by unshare(2) in here: a thread that has done so can start no other, and Bun may want one at any moment.
  const argv: [string, ...string[]] =
    options.hasPidNamespace && outsideIds() !== undefined && UNSHARE !== undefined ? [UNSHARE, "--pid", ...shell] : [...shell];
  const start = (command: [string, ...string[]]) =>
    spawnWithFiles(command, { files: ["null", pidFile, "null", end], env: {}, cwd: "/", isDaemon: true }).exited;
  if (shellCode(await start(argv)) !== 0) await start([...shell]); // it may not have one
  return place.standIn();
}

/**
 * The anchor's last words. Over when they have been heard: what cleans the container's cgroup up kills whoever is in it. False when
 * that takes too long.
 */
export async function tellStandIn(place: ContainerPlace, fd: number, code: number): Promise<boolean> {
  thawStandIn(place);
  if (!tellEnd(fd, code)) return true; // It was killed; its engine knows.
  const pid = place.standIn();
  const self = pid === undefined ? undefined : identify(pid);
  for (const deadline = performance.now() + HEARING_MS; self !== undefined && isAlive(self); await Bun.sleep(1)) {
    if (performance.now() > deadline) return false;
  }
  return true;
}

/** The same without waiting. False when nobody hears it. */
export function tellEnd(fd: number, code: number): boolean {
  try {
    writeSync(fd, `${code}\n`);
    closeSync(fd);
    return true;
  } catch {
    return false;
  }
}

/** Cgroups of a process that are not ours; undefined when it has gone. */
export function foreignCgroupsOf(pid: number): readonly string[] | undefined {
  const cgroups = cgroupsOf(pid);
  const own = new Set(cgroupsOf(process.pid));
  return cgroups.length === 0 ? undefined : cgroups.filter((cgroup) => !own.has(cgroup));
}

/** Directories, of all hierarchies but the freezer's and pids': a version 1 hierarchy each, or the one of version 2. */
function cgroupsOf(pid: number): string[] {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/cgroup`, "latin1");
  } catch {
    return [];
  }
  return text
    .trim()
    .split("\n")
    .flatMap((line) => {
      const [, controllers = "", path = ""] = /^[0-9]+:([^:]*):(.*)$/.exec(line) ?? [];
      if (controllers === "freezer" || controllers === "pids") return [];
      return [join(CGROUPS, controllers.replace("name=", ""), path)];
    });
}

function enter(cgroup: string, pid: number): void {
  try {
    writeFileSync(join(cgroup, "cgroup.procs"), String(pid));
  } catch {
    // The engine's figures are its own then.
  }
}
