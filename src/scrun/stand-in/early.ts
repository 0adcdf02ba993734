/**
 * Who stands for a container whose job has to wait: the engine wants a pid when create ends, and looks up the same things by it (stand-in.ts),
 * hours before there is a container. What it must not find is what the anchor would show it: our own files, which `podman cp` would take for the
 * container's, and all processes of the host.
 *
 *   create ─► a shell, in a mount namespace that has only the container's root file system, a pid namespace of its own, and, where the engine is
 *             going to configure one, the network namespace that is going to be the container's (WaitingNetwork)
 *   anchor ─ cgroup DIR, join NSENTER … ─► the shell enters them when the container is made, and becomes one in its namespaces
 *   anchor ─ exit status ──► …  at any time, as in stand-in.ts
 *
 * A process can only enter namespaces itself, for which a shell has nsenter(1). Without that it stays where it is. The namespaces are given as files that
 * the anchor has open: they are there even when the container has ended meanwhile, so that nsenter, which the shell becomes, does not fail.
 */
import { existsSync, writeSync } from "node:fs";
import { BerthError } from "#job/errors.ts";
import { enterNetworkNamespace, openForeignNamespaces, standInRoot } from "#platform/namespaces.ts";
import type { ContainerPlace } from "../place.ts";
import { foreignCgroupsOf, startShell } from "./stand-in.ts";

const NSENTER = ["/usr/bin/nsenter", "/bin/nsenter"].find((path) => existsSync(path));
/** Gets itself as $2, for the shell that it becomes. nsenter is tried first: it takes the place of who knows what to do. */
const LISTEN = `while read -r word rest; do
  case $word in
    cgroup) echo 0 >"$rest/cgroup.procs" ;;
    join) $rest /bin/sh -c : && exec $rest /bin/sh -c "$2" "$0" "$1" "$2" ;;
    *) exit "$word" ;;
  esac
done
exit 137`;
const SCRIPT = `trap '' HUP INT TERM
/bin/sh -c "$2" "$0" "$1" "$2" <&3 >/dev/null 2>&1 3<&- &
echo "$!"`;

/** The last thing that create does. Its pid; undefined when there may be none, and the anchor stands for itself. @throws BerthError NAMESPACE */
export async function startEarlyStandIn(
  place: ContainerPlace,
  { rootfs, hasPidNamespace, network }: { readonly rootfs: string; readonly hasPidNamespace: boolean; readonly network: string | null },
): Promise<number | undefined> {
  const pid = await startShell(place, [SCRIPT, "scrun-container", place.dir, LISTEN], {
    hasPidNamespace,
    enter: () => (network === null || enterNetworkNamespace(network)) && standInRoot(rootfs),
  });
  // It would be another network that the engine configures.
  if (pid === undefined && network !== null) throw new BerthError("NAMESPACE", `Cannot enter the container's network namespace ${network}`);
  return pid;
}

/** When the container is made; by the anchor, into the FIFO that it has open. */
export function bringIn(fd: number, initPid: number): void {
  try {
    for (const cgroup of foreignCgroupsOf(initPid) ?? []) writeSync(fd, `cgroup ${cgroup}\n`);
    if (NSENTER === undefined) return;
    // They stay open: nobody says when they have been entered, and they end with us.
    const options = openForeignNamespaces(initPid).map((found) => `--${found.option}=/proc/${process.pid}/fd/${found.fd}`);
    if (options.length > 0) writeSync(fd, `join ${[NSENTER, "--root=/", ...options].join(" ")}\n`);
  } catch {
    // The container has ended already, or the shell was killed: the engine knows, or hears of it.
  }
}
