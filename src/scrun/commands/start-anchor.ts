/**
 * The first thing that `create` does: an executable needs about 10 ms to start, and the anchor's start can pass while `create` loads
 * and reads what it needs. Everything that can fail before is here: the id, and whether it is free.
 */
import { identify } from "#platform/process-tree.ts";
import { selfCommand } from "#platform/self.ts";
import { spawnWithFiles, type RunningProcess } from "#platform/spawn.ts";
import { lastValue, type Given } from "./command-line.ts";
import { checkId, ContainerPlace } from "../place.ts";
import { openStandInPipe, type StandInPipe } from "../stand-in/stand-in.ts";

const FIRST_PRESERVED = 3;

export interface StartedAnchor {
  readonly place: ContainerPlace;
  readonly anchor: RunningProcess;
  readonly preserved: number;
  /** From the anchor to who stands for the container; this end is ours, and that one too until create ends. */
  readonly standInPipe: StandInPipe | undefined;
}

/** @throws BerthError CONTAINER_ID, CONTAINER_EXISTS, DIRECTORY */
export function takeIdAndStartAnchor(call: {
  readonly root: string;
  readonly id: string | undefined;
  readonly given: readonly Given[];
}): StartedAnchor {
  const place = new ContainerPlace(call.root, checkId(call.id));
  place.make();
  try {
    const preserved = Number(lastValue(call.given, "preserve-fds") || "0");
    const standInPipe = openStandInPipe();
    return { place, preserved, standInPipe, anchor: startAnchor(place, preserved, standInPipe) };
  } catch (error) {
    place.remove();
    throw error;
  }
}

/** It inherits our streams, which are the container's; everything else it hears at its socket. */
function startAnchor(place: ContainerPlace, preserved: number, pipe: StandInPipe | undefined): RunningProcess {
  const creator = identify(process.pid);
  if (creator === undefined) throw new Error("no /proc");
  const extra = Array.from({ length: preserved }, (_, index) => FIRST_PRESERVED + index);
  const standIn = pipe === undefined ? [] : [pipe.writeFd];
  const words = [String(preserved), `${creator.pid}:${creator.startTicks}`, ...standIn.map(() => "stand-in")];
  return spawnWithFiles(selfCommand("scrun", "anchor", place.dir, ...words), {
    files: [0, 1, 2, ...extra, ...standIn],
    env: definedVariables(process.env),
    cwd: "/",
    argv0: "scrun-anchor",
    isDaemon: true,
  });
}

export function definedVariables(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) if (value !== undefined) found[name] = value;
  return found;
}
