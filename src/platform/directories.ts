/**
 * Where Berth keeps things, after the XDG base directory specification. State is per host, because a home
 * directory is often shared by many hosts and SQLite's locks are not.
 */
import { accessSync, lstatSync, mkdirSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { ownAccount, realUserId } from "./users.ts";

export interface Directories {
  /** berth.conf and oci.conf of the user. */
  readonly config: string;
  /** Database, spool, logs: survives a reboot. */
  readonly state: string;
  /** Sockets and runtime roots: gone after a reboot. */
  readonly runtime: string;
}

export const SITE_CONFIG_DIR = "/etc/berth";

export function shortHostName(): string {
  return hostname().split(".", 1)[0] ?? "localhost";
}

export function directories(env: Readonly<Record<string, string | undefined>> = process.env): Directories {
  // Container engines start programs without HOME, in a user namespace where getpwuid(3) says root. An empty or relative one would be another
  // place in every working directory.
  const home = env["HOME"]?.startsWith("/") === true ? env["HOME"] : ownAccount().home;
  const base = (name: string, fallback: string) => {
    const value = env[name];
    return value?.startsWith("/") === true ? value : join(home, fallback);
  };
  const confFile = env["BERTH_CONF"];
  const uid = process.getuid?.() ?? 0;
  return {
    config: confFile?.startsWith("/") === true ? join(confFile, "..") : join(base("XDG_CONFIG_HOME", ".config"), "berth"),
    state: join(base("XDG_STATE_HOME", ".local/state"), "berth", shortHostName()),
    runtime: runtimeDirectory(env["XDG_RUNTIME_DIR"], uid),
  };
}

/** Commands of cron, su and the like have no XDG_RUNTIME_DIR, and are to find the same controller as those of the user's session. */
function runtimeDirectory(given: string | undefined, uid: number): string {
  const real = realUserId();
  const base = given ?? `/run/user/${real}`;
  return isUsableRuntimeDir(base, uid) ? join(base, "berth") : `/tmp/berth-${real}`;
}

/**
 * It must exist, belong to the user, and nobody else may write to it; otherwise another place is used. The specification asks for
 * mode 0700, but podman lets others pass through it (0711) on its first `run`. What is ours in it has mode 0700 itself.
 */
export function isUsableRuntimeDir(path: string | undefined, uid: number): path is string {
  if (path?.startsWith("/") !== true) return false;
  try {
    const stat = lstatSync(path);
    return stat.isDirectory() && stat.uid === uid && (stat.mode & 0o022) === 0;
  } catch {
    return false;
  }
}

/** access(2), with constants of node:fs; false when there is no such file, too. */
export function canAccess(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

/**
 * Makes a directory that only the user may enter, or proves that the one there is such a one: somebody else could
 * have made it first under /tmp.
 * @throws BerthError DIRECTORY_UNSAFE
 */
export function ensurePrivateDir(path: string): string {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new BerthError("DIRECTORY", `Cannot make directory ${path}: ${(error as Error).message}`, {
      hint: "Berth's records need a place that can be written: set XDG_STATE_HOME, and XDG_RUNTIME_DIR for its sockets, to one",
      cause: error,
    });
  }
  const stat = lstatSync(path);
  const uid = process.getuid?.() ?? 0;
  if (stat.uid !== uid) {
    throw new BerthError("DIRECTORY_UNSAFE", `${path} belongs to uid ${stat.uid}, not to ${uid}`, {
      hint: "have it removed, or set XDG_STATE_HOME and XDG_RUNTIME_DIR to directories of your own",
    });
  }
  if (!stat.isDirectory() || (stat.mode & 0o077) !== 0) {
    throw new BerthError("DIRECTORY_UNSAFE", `${path} is not a directory that only uid ${uid} can enter`, {
      hint: `remove it, or run: chmod 700 ${path}`,
    });
  }
  return path;
}
