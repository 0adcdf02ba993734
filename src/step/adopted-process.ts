/**
 * Processes that are not our children, so that nobody tells us when they end: they are looked at several times a second.
 *
 * - A task whose step daemon was killed, as seen by the daemon that takes over. Its exit status comes from the controller,
 *   which has inherited and reaped it (a `reaped` line in the journal), else from the kernel (pidfd, Linux 6.15).
 * - A container whose runtime keeps it as a child of its own (create and start flow). Only the kernel can tell its status.
 */
import { closeSync } from "node:fs";
import { join } from "node:path";
import { parseWaitStatus, type ExitStatus } from "#job/outcome.ts";
import { openPidFd, readExitOfPidFd } from "#platform/libc.ts";
import { findProcess, isAlive, type ProcessIdentity } from "#platform/process-tree.ts";
import type { RunningProcess } from "#platform/spawn.ts";
import { readJournal } from "./journal.ts";
import { SCRIPT_FILE } from "./plan.ts";
import type { TaskPlace } from "./task-place.ts";

const ADOPTED_LOOK_MS = 100;
/** A look costs about 30 µs of a core, so this is a tenth of a percent. */
const FOREIGN_LOOK_MS = 30;
/** Who reaps it needs a moment to do so, and to write it down. */
const REAP_LOOKS = 20;

export function adoptProcess(identity: ProcessIdentity, spoolDir: string): RunningProcess {
  const reaped = () => {
    const found = readJournal(spoolDir).find((entry) => entry.kind === "reaped" && entry.pid === identity.pid);
    return found?.kind === "reaped" ? found.status : undefined;
  };
  return { pid: identity.pid, exited: waitForEnd(identity, { lookMs: ADOPTED_LOOK_MS, reaped }), usage: () => null };
}

/** @param signal ends the wait; the status is unknown then */
export function watchForeign(identity: ProcessIdentity, { signal }: { readonly signal: AbortSignal }): RunningProcess {
  return {
    pid: identity.pid,
    exited: waitForEnd(identity, { lookMs: FOREIGN_LOOK_MS, reaped: () => undefined, signal }),
    usage: () => null,
  };
}

async function waitForEnd(
  identity: ProcessIdentity,
  options: {
    readonly lookMs: number;
    readonly reaped: () => ExitStatus | undefined;
    readonly signal?: AbortSignal;
  },
): Promise<ExitStatus> {
  const { lookMs } = options;
  const pidFd = isAlive(identity) ? openPidFd(identity.pid) : undefined;
  try {
    while (isAlive(identity)) {
      if (options.signal?.aborted === true) return { kind: "unknown" };
      await Bun.sleep(lookMs);
    }
    for (let look = 0; look < REAP_LOOKS; look++) {
      const reaped = options.reaped();
      if (reaped !== undefined) return reaped;
      const status = pidFd === undefined ? undefined : readExitOfPidFd(pidFd);
      if (status !== undefined) return parseWaitStatus(status);
      await Bun.sleep(lookMs);
    }
    return { kind: "unknown" };
  } finally {
    if (pidFd !== undefined) closeSync(pidFd);
  }
}

const OUTPUT = /\.(out|err)\.fifo$/;

/** The process of a task whose daemon was killed between making it and writing it down. */
export function findUnwritten({ rank, localId }: TaskPlace, spoolDir: string): ProcessIdentity | undefined {
  return findProcess({
    // A batch script's own path, or the task's configuration that the runtime was given.
    argument: (text) =>
      text === join(spoolDir, SCRIPT_FILE) || (text.includes(`${spoolDir}/`) && new RegExp(`/task-${localId}(?![0-9])`).test(text)),
    // Its streams. Who only reads its output is the controller, which keeps it for us (held-output.ts): never to be taken for the task, and ended for it.
    openFile: (path, isReadOnly) => path.startsWith(join(spoolDir, `${rank}.`)) && !(OUTPUT.test(path) && isReadOnly()),
  });
}
