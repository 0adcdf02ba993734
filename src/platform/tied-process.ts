/**
 * A process that does not outlive us, not even when we are killed with -9: its own session, and a small shell beside it that waits for our
 * end of a pipe to close, which the kernel does for us, and then kills the session's process group.
 */
import type { ExitStatus } from "#job/outcome.ts";
import { registerChild } from "./orphans.ts";
import { spawnWithFiles } from "./spawn.ts";

export interface TiedProcess {
  readonly pid: number;
  readonly exited: Promise<ExitStatus>;
  /** SIGKILL to the whole group; one that has gone is no error. */
  killGroup(): void;
}

/** Held here: one that is collected as garbage closes its pipe. As many as living processes. */
const watchers = new Set<object>();

const WATCH = 'read -r _; kill -s KILL -- "-$1"';

/** @throws ErrnoException when it cannot be executed */
export function spawnTied(
  argv: readonly [string, ...string[]],
  options: { readonly files: readonly (number | "null")[]; readonly env: Readonly<Record<string, string>>; readonly cwd: string },
): TiedProcess {
  const { pid, exited } = spawnWithFiles(argv, { ...options, isDaemon: true });
  const watcher = Bun.spawn(["/bin/sh", "-c", WATCH, "berth-watch", String(pid)], {
    stdin: "pipe", // never written to
    stdout: "ignore",
    stderr: "ignore",
    cwd: "/",
    env: {},
    detached: true,
  });
  watcher.unref();
  watchers.add(watcher);
  registerChild(watcher, "tool");
  let hasEnded = false;
  const ended = exited.then((status) => {
    hasEnded = true;
    watchers.delete(watcher);
    watcher.kill("SIGKILL"); // first, so that it never kills a group that has the number after this one
    return status;
  });
  return {
    pid,
    exited: ended,
    killGroup: () => {
      if (hasEnded) return;
      try {
        process.kill(-pid, "SIGKILL");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
      }
    },
  };
}
