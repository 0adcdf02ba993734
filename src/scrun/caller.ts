/** Who called us: an engine's monitor waits for the pid in the pid file, and has ways of its own. */
import { readFileSync, readlinkSync } from "node:fs";
import { identify, parentOf } from "#platform/process-tree.ts";
import type { Monitor } from "./orphans.ts";

/** The engine's, when it is one that called. @param pid of a scrun create */
export function monitorOf(pid: number): Monitor | null {
  const parent = parentOf(pid);
  const isMonitor = /^(conmon|containerd-shim)/.test(nameOf(parent)) || isBuildah(parent);
  const process = parent !== undefined && isMonitor ? identify(parent) : undefined;
  return process === undefined ? null : { process, mountNamespace: readlinkSync("/proc/self/ns/mnt") };
}

/** @param pid of a command of scrun */
export function isCalledByContainerd(pid = process.pid): boolean {
  return nameOf(parentOf(pid)).startsWith("containerd-shim");
}

/** Whether it looks a container's network namespace up by the pid in the pid file, between create and start, to configure a network there. */
export function configuresNetworkOf(creatorPid: number): boolean {
  return isCalledByContainerd(creatorPid) || isBuildah(parentOf(creatorPid));
}

/** `podman build --isolation oci`: a process of buildah's, which adopts the container's and waits for it as conmon does, under buildah's own file name. */
function isBuildah(pid: number | undefined): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").startsWith("buildah-oci-runtime\0");
  } catch {
    return false;
  }
}

/** Those that engines hand on, which are few. */
export function callersVariables(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) found[name] = value;
  return found;
}

function nameOf(pid: number | undefined): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "latin1");
  } catch {
    return ""; // in another pid namespace, or gone
  }
}
