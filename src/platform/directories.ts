/**
 * Where Berth keeps things, after the XDG base directory specification. State is per host, because a home
 * directory is often shared by many hosts and SQLite's locks are not.
 */
import { findStatus, hostName, inDirectory } from "./system.ts";
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
  return hostName().split(".", 1)[0] ?? "localhost";
}

export function directories(env: Readonly<Record<string, string | undefined>> = process.env): Directories {
  // Container engines start programs without HOME, in a user namespace where getpwuid(3) says root. An empty or relative one would be another
  // place in every working directory.
  const home = env["HOME"]?.startsWith("/") === true ? env["HOME"] : ownAccount().home;
  const base = (name: string, fallback: string) => {
    const value = env[name];
    return value?.startsWith("/") === true ? value : inDirectory(home, fallback);
  };
  const confFile = env["BERTH_CONF"];
  const uid = process.getuid?.() ?? 0;
  return {
    config: confFile?.startsWith("/") === true ? directoryOf(confFile) : inDirectory(base("XDG_CONFIG_HOME", ".config"), "berth"),
    state: inDirectory(base("XDG_STATE_HOME", ".local/state"), `berth/${shortHostName()}`),
    runtime: runtimeDirectory(env["XDG_RUNTIME_DIR"], uid),
  };
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

/** Commands of cron, su and the like have no XDG_RUNTIME_DIR, and are to find the same controller as those of the user's session. */
function runtimeDirectory(given: string | undefined, uid: number): string {
  const real = realUserId();
  const base = given ?? `/run/user/${real}`;
  return isUsableRuntimeDir(base, uid) ? inDirectory(base, "berth") : `/tmp/berth-${real}`;
}

/**
 * It must exist, belong to the user, and nobody else may write to it; otherwise another place is used. The specification asks for
 * mode 0700, but podman lets others pass through it (0711) on its first `run`. What is ours in it has mode 0700 itself.
 */
export function isUsableRuntimeDir(path: string | undefined, uid: number): path is string {
  if (path?.startsWith("/") !== true) return false;
  const status = findStatus(path, { ofLink: true });
  return status?.kind === "directory" && status.uid === uid && (status.mode & 0o022) === 0;
}
