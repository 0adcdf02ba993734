/** Who called us: an engine's monitor waits for the pid in the pid file, and has ways of its own. */
import { readFileSync } from "node:fs";

export function isCalledByEngine(): boolean {
  return /^(conmon|containerd-shim)/.test(callerName());
}

export function isCalledByContainerd(): boolean {
  return callerName().startsWith("containerd-shim");
}

function callerName(): string {
  try {
    return readFileSync(`/proc/${process.ppid}/comm`, "latin1");
  } catch {
    return ""; // in another pid namespace, or gone
  }
}
