/** Reaching the controller, starting it first when nobody listens. */
import { BerthError } from "#job/errors.ts";
import { connectFrames, type FrameConnection } from "#platform/frames.ts";
import { mayStartController } from "#platform/controller-duty.ts";
import { readTextFile } from "#platform/system.ts";
import type { Paths } from "./paths.ts";

/** A controller that finds many jobs to take up needs a while; after this something is wrong. */
const START_MS = 30_000;
/** One that is killed while it starts gets successors; so many that are have a reason, and their log says more. */
const MAX_KILLED = 10;
/** A controller that lost the race for the lock leaves at once. The winner could be killed before it listens. */
const NEXT_START_MS = 1000;

/**
 * A process that may not start one waits for somebody else's: its spare daemons bring a controller back.
 * @throws BerthError CONTROLLER_DOWN with the controller's own last words
 */
export async function connectToController(paths: Paths, onStart: () => Promise<void>): Promise<FrameConnection> {
  const first = await findConnection(paths);
  if (first !== undefined) return first;
  const { logPath, startController } = await import("#platform/start-controller.ts");
  let exitCode: number | undefined;
  let killed = 0;
  let startedAt = performance.now();
  const start = () => {
    exitCode = undefined;
    startedAt = performance.now();
    if (!mayStartController()) return;
    void startController().exited.then((status) => {
      if (status.kind === "exited") exitCode = status.code;
      else if (++killed < MAX_KILLED) start();
      else exitCode = 1;
    });
  };
  start();
  const deadline = startedAt + START_MS;
  for (let waitMs = 2; performance.now() < deadline; waitMs = Math.min(waitMs * 1.5, 50)) {
    await Bun.sleep(waitMs);
    const connection = await findConnection(paths);
    if (connection !== undefined) {
      if (mayStartController()) await onStart();
      return connection;
    }
    if (exitCode !== undefined && exitCode !== 0) break;
    if (exitCode === 0 && performance.now() - startedAt > NEXT_START_MS) start();
  }
  throw new BerthError("CONTROLLER_DOWN", "Unable to contact slurm controller (connect failure)", {
    hint: `Berth's controller did not start: ${lastWords(logPath(paths.state))} (log: ${logPath(paths.state)})`,
  });
}

/** To the controller where it should be, or where it says that it is. Undefined when nobody listens. */
export async function findConnection(paths: Paths): Promise<FrameConnection | undefined> {
  const here = await attempt(paths.socket);
  if (here !== undefined) return here;
  const { publishedSocket } = await import("./controller-place.ts");
  const elsewhere = publishedSocket(paths);
  return elsewhere === undefined ? undefined : await attempt(elsewhere).catch(() => undefined); // whatever is the matter there: not our place
}

async function attempt(path: string): Promise<FrameConnection | undefined> {
  try {
    return await connectFrames(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // ECONNRESET: it was killed before it could accept us.
    if (code === "ENOENT" || code === "ECONNREFUSED" || code === "ECONNRESET") return undefined;
    throw error;
  }
}

function lastWords(log: string): string {
  try {
    const lines = readTextFile(log).trimEnd().split("\n");
    const at = lines.findLastIndex((line) => line.includes("error: "));
    const [reason, cure] = lines.slice(at); // -1 is the last line
    const next = cure?.startsWith("daemon: ") === true ? `: ${cure.slice("daemon: ".length)}` : "";
    return reason === undefined ? "no reason given" : `${reason.replace(/^daemon: error: /, "")}${next}`;
  } catch {
    return "no reason given";
  }
}
