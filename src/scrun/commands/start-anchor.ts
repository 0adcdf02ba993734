/**
 * The first thing that `create` does: an executable needs about 10 ms to start, and the anchor's start can pass while `create` loads
 * and reads what it needs. Everything that can fail before is here: the id, and whether it is free. The launcher (launcher/) is faster
 * still: it has started the anchor of this create already.
 */
import { identify, isAlive, sendSignal, type ProcessIdentity } from "#platform/process-tree.ts";
import { selfCommand } from "#platform/self.ts";
import { spawnWithFiles } from "#platform/spawn.ts";
import { shellCode } from "#job/outcome.ts";
import { lastValue, type Given } from "./command-line.ts";
import { checkId, ContainerPlace } from "../place.ts";

const FIRST_PRESERVED = 3;
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
  readonly preserved: number;
  readonly isByLauncher: boolean;
}

/** @throws BerthError CONTAINER_ID, CONTAINER_EXISTS, DIRECTORY */
export function takeIdAndStartAnchor(call: {
  readonly root: string;
  readonly id: string | undefined;
  readonly given: readonly Given[];
  /** `PID:DIR`, of the anchor that the launcher has started. */
  readonly launched?: string | undefined;
}): StartedAnchor {
  const place = new ContainerPlace(call.root, checkId(call.id));
  const creator = identify(process.pid);
  if (creator === undefined) throw new Error("no /proc");
  place.make(creator);
  try {
    const preserved = Number(lastValue(call.given, "preserve-fds") || "0");
    const launched = preserved === 0 ? findLaunched(place, call.launched) : undefined;
    return { place, preserved, isByLauncher: launched !== undefined, anchor: launched ?? startAnchor(place, preserved, creator) };
  } catch (error) {
    place.remove();
    throw error;
  }
}

/** It inherits our streams, which are the container's; everything else it hears by its place. */
function startAnchor(place: ContainerPlace, preserved: number, creator: ProcessIdentity): AnchorProcess {
  const extra = Array.from({ length: preserved }, (_, index) => FIRST_PRESERVED + index);
  const { pid, exited } = spawnWithFiles(selfCommand("scrun", "anchor", place.dir, String(preserved), String(creator.pid)), {
    files: [0, 1, 2, ...extra],
    env: definedVariables(process.env),
    cwd: "/",
    argv0: "scrun-anchor",
    isDaemon: true,
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

export function definedVariables(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) if (value !== undefined) found[name] = value;
  return found;
}
