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
 *   anchor ── exit status, through a pipe ──► stand-in ── exit status ──► conmon, containerd-shim
 *
 * When the anchor is killed the pipe ends, and the status is 137. Without a container yet, because its job waits, the anchor stands for itself; where
 * the engine is going to configure a network (WaitingNetwork), somebody in the network namespace that is going to be the container's.
 */
import { closeSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { openPipe } from "#platform/libc.ts";
import { enterNetworkNamespace, outsideIds, standInNamespacesOf } from "#platform/namespaces.ts";
import { identify, isAlive } from "#platform/process-tree.ts";
import { spawnWithFiles } from "#platform/spawn.ts";
import { isCalledByEngine } from "../caller.ts";
import type { ContainerPlace } from "../place.ts";
import { thawStandIn } from "./thaw.ts";

const CGROUPS = "/sys/fs/cgroup";
/** Its own signals would come from somebody who means the container: that has to go by the runtime. */
const SCRIPT = `trap '' HUP INT TERM; read -r status || status=137; exit "$status"`;

/**
 * Makes it the first process of a pid namespace, and records its pid outside. By programs that have one thread each: in ours no thread could be
 * started any more after unshare(2), and the JavaScript engine starts some when it likes, and aborts.
 */
const IN_PID_NAMESPACE = [
  ...["/usr/bin/unshare", "--pid", "--", "/bin/sh", "-c"],
  // The shell gives what runs in the background another standard input.
  'exec 3<&0; /usr/bin/setsid /bin/sh -c "$1" scrun-container "$2" <&3 3<&- & echo "$!" >"$3"',
  "scrun-container",
] as const;

const HEARING_MS = 5000;

export interface StandInPipe {
  readonly readFd: number;
  readonly writeFd: number;
}

/** For engines only: nobody else waits for the pid in a pid file. */
export function openStandInPipe(): StandInPipe | undefined {
  return isCalledByEngine() ? openPipe() : undefined;
}

/** The last thing that create does. Its pid; undefined when the container's process has ended already. */
export async function startStandIn(
  place: ContainerPlace,
  { pipe, initPid, hasPidNamespace }: { readonly pipe: StandInPipe; readonly initPid: number; readonly hasPidNamespace: boolean },
): Promise<number | undefined> {
  const cgroups = cgroupsOf(initPid);
  if (cgroups.length === 0) return undefined;
  const own = new Set(cgroupsOf(process.pid));
  standInNamespacesOf(initPid);
  const pid = await start(place, { pipe, hasPidNamespace });
  for (const cgroup of cgroups) if (!own.has(cgroup)) enter(cgroup, pid);
  return pid;
}

/** The last thing that create does for a container whose job waits. @throws BerthError NAMESPACE */
export async function startStandInOfNetwork(
  place: ContainerPlace,
  { pipe, network, hasPidNamespace }: { readonly pipe: StandInPipe; readonly network: string; readonly hasPidNamespace: boolean },
): Promise<number> {
  if (!enterNetworkNamespace(network)) throw new BerthError("NAMESPACE", `Cannot enter the container's network namespace ${network}`);
  return await start(place, { pipe, hasPidNamespace });
}

async function start(
  place: ContainerPlace,
  { pipe, hasPidNamespace }: { readonly pipe: StandInPipe; readonly hasPidNamespace: boolean },
): Promise<number> {
  const hasOwn = hasPidNamespace && outsideIds() !== undefined;
  return (hasOwn ? await startInPidNamespace(place, pipe) : undefined) ?? startHere(place, pipe);
}

/** Undefined where that is not allowed. */
async function startInPidNamespace(place: ContainerPlace, pipe: StandInPipe): Promise<number | undefined> {
  const argv = [...IN_PID_NAMESPACE, SCRIPT, place.dir, place.standInFile] as const;
  const status = await spawnWithFiles([...argv], { files: [pipe.readFd, "null", "null"], env: {}, cwd: "/" }).exited;
  return shellCode(status) === 0 ? place.standIn() : undefined;
}

function startHere(place: ContainerPlace, pipe: StandInPipe): number {
  const files = [pipe.readFd, "null", "null"] as const;
  const { pid } = spawnWithFiles(["/bin/sh", "-c", SCRIPT, "scrun-container", place.dir], { files, env: {}, cwd: "/", isDaemon: true });
  writeFileSync(place.standInFile, String(pid), { mode: 0o600 });
  return pid;
}

/**
 * The anchor's last words. Over when they have been heard: what cleans the container's cgroup up kills whoever is in it. False when
 * that takes too long.
 */
export async function tellStandIn(place: ContainerPlace, fd: number, code: number): Promise<boolean> {
  thawStandIn(place);
  try {
    writeSync(fd, `${code}\n`);
    closeSync(fd);
  } catch {
    return true; // It was killed; its engine knows.
  }
  const pid = place.standIn();
  const self = pid === undefined ? undefined : identify(pid);
  for (const deadline = performance.now() + HEARING_MS; self !== undefined && isAlive(self); await Bun.sleep(1)) {
    if (performance.now() > deadline) return false;
  }
  return true;
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
