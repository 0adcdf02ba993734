/** Who called us: an engine's monitor waits for the pid in the pid file, and has ways of its own. */
import { readFileSync } from "node:fs";
import { parentOf } from "#platform/process-tree.ts";

/** @param pid of a scrun create */
export function isCalledByEngine(pid: number): boolean {
  return /^(conmon|containerd-shim)/.test(nameOf(parentOf(pid)));
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
