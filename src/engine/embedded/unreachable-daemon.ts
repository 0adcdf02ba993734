/** A step's daemon that lives, and that a controller cannot reach: it listened in a runtime directory that is gone, or will listen in a moment. */
import { connectFrames, type FrameConnection } from "#platform/frames.ts";
import { isAlive, type ProcessIdentity } from "#platform/process-tree.ts";
import { readJournal } from "#step/journal.ts";
import { isLocked } from "#step/step-lock.ts";

/** How often it is looked for. */
const LOOK_MS = 640;

/** Who has the step, when he lives. A daemon that lives may have another step by now, and then it has not this one's lock. */
export function findHolder(spool: string, { isOwned }: { readonly isOwned: boolean }): ProcessIdentity | undefined {
  const daemon = readJournal(spool).findLast((entry) => entry.kind === "daemon")?.process;
  return daemon !== undefined && isAlive(daemon) && (isOwned || isLocked(spool)) ? daemon : undefined;
}

/**
 * Resolves when `connect` says that it is done, or nobody has the step any more. Told so (SIGHUP) a daemon listens again (step/step-daemon.ts); the
 * owner of a step does that by itself.
 */
export async function findAgain(
  spool: string,
  how: { readonly isOwned: boolean; readonly connect: () => Promise<boolean> },
): Promise<void> {
  for (let waitMs = 10; ; waitMs = Math.min(waitMs * 2, LOOK_MS)) {
    const holder = findHolder(spool, how);
    if (holder === undefined || (await how.connect())) return;
    if (waitMs === LOOK_MS && !how.isOwned) tellToListen(holder);
    await Bun.sleep(waitMs);
  }
}

function tellToListen({ pid }: ProcessIdentity): void {
  try {
    process.kill(pid, "SIGHUP");
  } catch {
    // gone meanwhile
  }
}

/** Undefined when nobody listens at any of them. */
export async function connectToFirst(paths: Iterable<string>): Promise<FrameConnection | undefined> {
  for (const path of paths) {
    try {
      return await connectFrames(path);
    } catch {
      // the next one
    }
  }
  return undefined;
}
