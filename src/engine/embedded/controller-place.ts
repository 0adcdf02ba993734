/**
 * Where the controller of a state directory is. XDG_RUNTIME_DIR differs between a session, cron(8) and su(1), and goes with the last session of a
 * user, but the jobs are the same ones and have one controller. So it leaves a link to its socket beside the jobs, for commands that look
 * elsewhere; and one whose socket was taken away makes way for the next.
 */
import { closeSync, openSync, readFileSync, readlinkSync, renameSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { tryLock } from "#platform/libc.ts";
import type { Paths } from "./paths.ts";

/** How long a controller that is asked to make way may take to end. */
const MAKE_WAY_MS = 5000;

function linkPath(paths: Paths): string {
  return join(paths.state, "berthd.sock");
}

/** Tells commands with another XDG_RUNTIME_DIR. On a full disk they do without. */
export function publishSocket(paths: Paths): void {
  const fresh = `${linkPath(paths)}.${process.pid}`;
  try {
    symlinkSync(paths.socket, fresh);
    renameSync(fresh, linkPath(paths));
  } catch {
    rmSync(fresh, { force: true });
  }
}

/** Where the controller of these jobs listens, or has listened, when that is not where we look first. */
export function publishedSocket(paths: Paths): string | undefined {
  try {
    const target = readlinkSync(linkPath(paths));
    return target === paths.socket ? undefined : target;
  } catch {
    return undefined;
  }
}

/**
 * The right to keep these jobs. The directory itself is locked: nothing has to be written on a disk that may be full. A controller that has it,
 * but that nobody can reach any more, is asked to give it up.
 * @throws BerthError CONTROLLER_ELSEWHERE
 */
export async function lockState(paths: Paths): Promise<Disposable> {
  const fd = openSync(paths.state, "r");
  const lock = { [Symbol.dispose]: () => closeSync(fd) };
  if (tryLock(fd)) return lock;
  const holder = findStateHolder(paths);
  if (holder !== undefined) {
    process.kill(holder, "SIGHUP");
    for (const deadline = performance.now() + MAKE_WAY_MS; performance.now() < deadline; await Bun.sleep(20)) if (tryLock(fd)) return lock;
  }
  throw new BerthError(
    "CONTROLLER_ELSEWHERE",
    `another controller${holder === undefined ? "" : `, process ${holder},`} keeps the jobs in ${paths.state}, and does not answer ` +
      `commands whose sockets are in ${paths.runtime}: stop it (its jobs go on)${holder === undefined ? "" : `: kill ${holder}`}`,
  );
}

/** The controller that keeps these jobs, by proc_locks(5). Undefined when there is none, or in another pid namespace. */
export function findStateHolder(paths: Paths): number | undefined {
  let inode: number;
  try {
    inode = statSync(paths.state).ino;
  } catch {
    return undefined; // no directory, no jobs
  }
  const pattern = new RegExp(`FLOCK .* (\\d+) [0-9a-f]+:[0-9a-f]+:${inode} `);
  const pid = Number(readFileSync("/proc/locks", "utf8").match(pattern)?.[1] ?? 0);
  return pid > 1 && isController(pid) ? pid : undefined;
}

/** Inode numbers are unique per file system only: a signal must not reach somebody else's lock. */
function isController(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("\0daemon\0run\0");
  } catch {
    return false;
  }
}
