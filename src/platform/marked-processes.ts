/** Processes of ours that were started with `NAME=value` in their environment (proc(5), /proc/PID/environ). */
import { readdirSync, readFileSync } from "node:fs";

export function markedProcesses(name: string, value: string): number[] {
  const wanted = `${name}=${value}`;
  return readdirSync("/proc").filter((entry) => /^\d+$/.test(entry)).map(Number).filter((pid) => {
    if (pid === process.pid) return false;
    try {
      return readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(wanted);
    } catch {
      return false; // gone, or another user's
    }
  });
}
