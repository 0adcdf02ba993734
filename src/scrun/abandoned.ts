/**
 * A container's directory that a killed `create` has left: the id is taken, and nobody will ever make the container or delete it. So it is when
 *
 *   ROOT/ID/state.json is not there    nobody was told of a container; what the real runtime has, or a script has staged in, is for `delete`
 *   ROOT/ID/creator names the dead     or is not there, a while after the directory was made: its create was killed in between
 *   nobody holds ROOT/ID/creator       its anchor does, for its life (ContainerPlace.hold)
 *
 * Whoever removes it holds the file meanwhile, so that an anchor that is just about to begin in there gives up.
 */
import { closeSync, existsSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { tryLock } from "#platform/libc.ts";
import { isAlive } from "#platform/process-tree.ts";
import type { ContainerPlace } from "./place.ts";

/** From a create's mkdir(2) to its write(2). */
const UNSIGNED_MS = 10_000;

/** Whether the id is free now. */
export function sweepAbandoned(place: ContainerPlace): boolean {
  if (existsSync(place.stateFile) || existsSync(join(place.dir, "staged.json")) || place.hasRuntimeContainer()) return false;
  let fd: number;
  try {
    fd = openSync(place.creatorFile, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || !isOld(place.dir)) return false;
    place.remove();
    return true;
  }
  try {
    if (!tryLock(fd)) return false;
    const [pid = 0, startTicks = 0] = readFileSync(fd, "latin1").split(":").map(Number);
    // Another one's by now, whose state was not there when we looked.
    if (pid > 0 && isAlive({ pid, startTicks })) return false;
    if (existsSync(place.stateFile)) return false;
    place.remove();
    return true;
  } finally {
    closeSync(fd);
  }
}

function isOld(dir: string): boolean {
  const stat = statSync(dir, { throwIfNoEntry: false });
  return stat !== undefined && Date.now() - stat.mtimeMs > UNSIGNED_MS;
}
