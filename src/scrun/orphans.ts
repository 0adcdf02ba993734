/**
 * Directories of containers that nobody is going to delete: an engine whose monitor was killed (`kill -9` of conmon) removes the container
 * without calling its runtime. An anchor that ends looks for those of others. What has to be so, all of it, each for itself said by somebody who knows:
 *
 *   ROOT/ID/over                   the container's own anchor has put everything else away, and the real runtime has
 *   its engine's monitor is dead   it was made for an engine, and whoever would have told the engine of the end has gone
 *   its bundle is gone             engines remove it after their last call of the runtime: who still wants `state` or `delete` has it.
 *                                  Looked for where the create was, in the same mount namespace
 *
 * Nobody can take the id while its directory is there, so that nothing new can be removed. A container that was staged, or ran on a node, is left.
 * What a killed create has left (abandoned.ts) goes too.
 */
import { existsSync, rmSync, statSync } from "node:fs";
import { isAlive, type ProcessIdentity } from "#platform/process-tree.ts";
import { sweepAbandoned } from "./abandoned.ts";
import { listPlaces, type ContainerPlace } from "./place.ts";

/** Of an engine: conmon, containerd-shim. */
export interface Monitor {
  readonly process: ProcessIdentity;
  /** Where the engine's files are to be looked for. */
  readonly mountNamespace: string;
}

/** @param own whose mount namespace the caller's files are in */
export function sweepOrphans(root: string, own: Monitor): void {
  try {
    for (const place of listPlaces(root)) {
      if (isOrphan(place, own)) rmSync(place.dir, { recursive: true, force: true });
      else sweepAbandoned(place);
    }
  } catch {
    // somebody else has been faster
  }
}

function isOrphan(place: ContainerPlace, own: Monitor): boolean {
  if (!existsSync(place.overFile) || place.hasRuntimeContainer()) return false;
  const state = place.read();
  if (state?.monitor == null || state.monitor.mountNamespace !== own.mountNamespace) return false;
  return !isAlive(state.anchor) && !isAlive(state.monitor.process) && isGone(state.bundle);
}

/** Not what only cannot be looked at. */
export function isGone(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) === undefined;
  } catch {
    return false;
  }
}
