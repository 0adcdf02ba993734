/**
 * The first thing that `create` does: an executable needs about 10 ms to start, and the anchor's start can pass while `create` loads
 * and reads what it needs. Everything that can fail before is here: the id, and whether it is free. The launcher (launcher/) is faster
 * still: it has started the anchor of this create already.
 */
import { identify, isAlive, sendSignal, type ProcessIdentity } from "#platform/process-tree.ts";
import { selfCommand } from "#platform/self.ts";
import { spawnWithFiles } from "#platform/spawn.ts";
import { shellCode } from "#job/outcome.ts";
import { BerthError } from "#job/errors.ts";
import { sweepAbandoned } from "../abandoned.ts";
import { callersVariables } from "../caller.ts";
import { preservedFds, type Given } from "../command-line.ts";
import { checkId, ContainerPlace } from "../place.ts";

const SIGKILL = 9;
const WATCH_MS = 5;

export interface AnchorProcess {
  readonly pid: number;
  /** Resolves when it has ended, with its exit status as a shell tells it; null when that is not ours to know. */
  readonly exited: Promise<number | null>;
}

export interface StartedAnchor {
  readonly place: ContainerPlace;
  readonly anchor: AnchorProcess;
}

/** @throws BerthError CONTAINER_ID, CONTAINER_EXISTS, DIRECTORY */
export function takeIdAndStartAnchor(call: {
  readonly root: string;
  readonly id: string | undefined;
  readonly given: readonly Given[];
  /** scrun's own, which the anchor reads too. */
  readonly argv: readonly string[];
  /** `PID:DIR`, of the anchor that the launcher has started. */
  readonly launched?: string | undefined;
}): StartedAnchor {
  const place = new ContainerPlace(call.root, checkId(call.id));
  const creator = identify(process.pid);
  if (creator === undefined) throw new Error("no /proc");
  takeId(place, creator);
  try {
    return { place, anchor: findLaunched(place, call.launched) ?? startAnchor(place, call, creator) };
  } catch (error) {
    place.remove();
    throw error;
  }
}

/** Also one that a killed create has left. @throws BerthError CONTAINER_EXISTS, DIRECTORY */
function takeId(place: ContainerPlace, creator: ProcessIdentity): void {
  try {
    place.make(creator);
  } catch (error) {
    if (!(error instanceof BerthError) || error.code !== "CONTAINER_EXISTS" || !sweepAbandoned(place)) throw error;
    place.make(creator);
  }
}

/** It inherits our streams, which are the container's; everything else it hears by its place. */
function startAnchor(
  place: ContainerPlace,
  { given, argv }: { readonly given: readonly Given[]; readonly argv: readonly string[] },
  creator: ProcessIdentity,
): AnchorProcess {
  const { pid, exited } = spawnWithFiles(selfCommand("scrun", "anchor", place.dir, String(creator.pid), ...argv), {
    files: [0, 1, 2, ...preservedFds(given)],
    env: callersVariables(),
    cwd: process.cwd(),
    argv0: "scrun-anchor",
  });
  return { pid, exited: exited.then(shellCode) };
}

/** Undefined when it is for another place: that one gives up by itself, when this create has ended. */
function findLaunched(place: ContainerPlace, launched: string | undefined): AnchorProcess | undefined {
  const [, pidText = "", dir] = /^(\d+):(.*)$/s.exec(launched ?? "") ?? [];
  const self = identify(Number(pidText));
  if (dir !== place.dir || self === undefined) return undefined;
  return { pid: self.pid, exited: endOf(self) };
}

/** The shell's child, which Bun does not know as its own. */
async function endOf(self: ProcessIdentity): Promise<null> {
  while (isAlive(self)) await Bun.sleep(WATCH_MS);
  return null;
}

/** Whatever it does: for one that has nothing to take back. */
export async function killAnchor({ pid, exited }: AnchorProcess): Promise<void> {
  sendSignal(pid, SIGKILL);
  await exited;
}
