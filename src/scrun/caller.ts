/** Who called us: an engine's monitor waits for the pid in the pid file, and has ways of its own. */
import { readFileSync, readlinkSync } from "node:fs";
import { identify, parentOf } from "#platform/process-tree.ts";
import type { Monitor } from "./orphans.ts";

/** The engine's, when it is one that called. @param pid of a scrun create */
export function monitorOf(pid: number): Monitor | null {
  const parent = parentOf(pid);
  const process = parent !== undefined && /^(conmon|containerd-shim)/.test(nameOf(parent)) ? identify(parent) : undefined;
  return process === undefined ? null : { process, mountNamespace: readlinkSync("/proc/self/ns/mnt") };
}

/** @param pid of a command of scrun */
export function isCalledByContainerd(pid = process.pid): boolean {
  return nameOf(parentOf(pid)).startsWith("containerd-shim");
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
