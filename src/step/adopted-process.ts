/**
 * A task whose step daemon was killed, as seen by the daemon that takes over: not our child, so nobody tells us when it
 * ends. It is looked at a few times a second; its exit status comes from the controller, which has inherited and reaped
 * it (a `reaped` line in the journal), else from the kernel (pidfd, Linux 6.15), else it is unknown.
 */
import { closeSync } from "node:fs";
import { parseWaitStatus, type ExitStatus } from "#job/outcome.ts";
import { openPidFd, readExitOfPidFd } from "#platform/libc.ts";
import { isAlive, type ProcessIdentity } from "#platform/process-tree.ts";
import type { RunningProcess } from "#platform/spawn.ts";
import { readJournal } from "./journal.ts";

const LOOK_MS = 100;
/** The controller needs a moment to reap and write. */
const REAP_LOOKS = 20;

export function adoptProcess(identity: ProcessIdentity, spoolDir: string): RunningProcess {
  return { pid: identity.pid, exited: waitForEnd(identity, spoolDir), usage: () => null };
}

async function waitForEnd(identity: ProcessIdentity, spoolDir: string): Promise<ExitStatus> {
  const pidFd = isAlive(identity) ? openPidFd(identity.pid) : undefined;
  try {
    while (isAlive(identity)) await Bun.sleep(LOOK_MS);
    for (let look = 0; look < REAP_LOOKS; look++) {
      const reaped = readJournal(spoolDir).find((entry) => entry.kind === "reaped" && entry.pid === identity.pid);
      if (reaped?.kind === "reaped") return reaped.status;
      const status = pidFd === undefined ? undefined : readExitOfPidFd(pidFd);
      if (status !== undefined) return parseWaitStatus(status);
      await Bun.sleep(LOOK_MS);
    }
    return { kind: "unknown" };
  } finally {
    if (pidFd !== undefined) closeSync(pidFd);
  }
}
