/** Processes of ours that were started with `NAME=value` in their environment (proc(5), /proc/PID/environ). */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";

export function markedProcesses(name: string, value: string): number[] {
  const wanted = `${name}=${value}`;
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      if (pid === process.pid) return false;
      try {
        return readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(wanted);
      } catch {
        return false; // gone, or another user's
      }
    });
}

/** Processes of ours that run a program of this name and have a file below `dir` open: some overwrite their environment. */
export function processesWithFilesIn(dir: string, program: RegExp): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        if (!program.test(basename(readlinkSync(`/proc/${pid}/exe`)))) return false;
        return readdirSync(`/proc/${pid}/fd`).some((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith(`${dir}/`));
      } catch {
        return false; // gone, or another user's
      }
    });
}
