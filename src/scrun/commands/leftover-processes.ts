/**
 * A container whose anchor was killed while the real runtime was making it: nobody knows its first process yet, neither the controller nor a record
 * that `delete` could go by. It waits for a start that never comes.
 */
import { readFileSync, rmdirSync } from "node:fs";
import { processesWithFilesIn } from "#platform/marked-processes.ts";
import { isAlive, identify, sendSignal } from "#platform/process-tree.ts";
import type { ContainerPlace } from "../place.ts";
import { foreignCgroupsOf } from "../stand-in/stand-in.ts";

const SIGKILL = 9;
const ROUNDS = 50;
const ROUND_MS = 20;

/**
 * Before the place is removed. The runtime and the first process have its log or its FIFO open in there; what comes later finds no directory. runc's
 * first process hides its files from an ordinary user, and ends with a runtime that is killed, or is in the pid file.
 */
export async function killLeftovers(place: ContainerPlace): Promise<void> {
  const cgroups = new Set<string>();
  for (let round = 0; round < ROUNDS; round++) {
    const found = [...processesWithFilesIn(place.dir, /./), ...initOf(place)].filter((pid) => pid !== process.pid);
    for (const pid of found) {
      for (const cgroup of foreignCgroupsOf(pid) ?? []) cgroups.add(cgroup);
      sendSignal(pid, SIGKILL);
    }
    if (found.length === 0) break;
    await Bun.sleep(ROUND_MS);
  }
  for (const cgroup of cgroups) removeIfEmpty(cgroup);
}

function initOf(place: ContainerPlace): number[] {
  try {
    const pid = Number(readFileSync(place.initPidFile, "latin1"));
    const self = identify(pid);
    const isRuntimes = /\binit\b/.test(readFileSync(`/proc/${pid}/cmdline`, "latin1")); // crun's has our files open, runc's is called so
    return self !== undefined && isRuntimes && isAlive(self) ? [pid] : [];
  } catch {
    return []; // not made, or gone
  }
}

function removeIfEmpty(cgroup: string): void {
  try {
    rmdirSync(cgroup);
  } catch {
    // somebody else's too, or not ours to remove
  }
}
