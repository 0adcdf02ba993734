/** Starting the controller of the embedded engine in the background. Any number may be started: one wins the lock. */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { mayStartController } from "./controller-duty.ts";
import { directories } from "./directories.ts";
import { ensurePrivateDir } from "./private-directory.ts";
import { selfCommand } from "./self.ts";
import { spawnDaemon, type RunningProcess } from "./spawn.ts";

export function logPath(stateDir: string): string {
  return join(stateDir, "berthd.log");
}

/** Environment of our daemons: nothing of the user's session but what says where things are. */
export function daemonEnvironment(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of [
    "HOME",
    "USER",
    "LOGNAME",
    "PATH",
    "LANG",
    "TZ",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
    "BERTH_CONF",
    "BERTH_CDI_DIRS",
  ]) {
    const value = process.env[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}

function openLog(path: string): number {
  try {
    return openSync(path, "a", 0o600);
  } catch (error) {
    throw new BerthError("DIRECTORY", `Cannot write ${path}: ${(error as Error).message}`, { cause: error });
  }
}

export function startController(): RunningProcess {
  if (!mayStartController()) throw new Error("a controller must not be started by a container's anchor");
  const { state } = directories();
  ensurePrivateDir(state);
  const logFd = openLog(logPath(state));
  try {
    return spawnDaemon(selfCommand("daemon", "run"), { logFd, env: daemonEnvironment(), argv0: "berthd" });
  } finally {
    closeSync(logFd);
  }
}
