/**
 * A process that does not outlive us, not even when we are killed with -9, nor does anything below it: its own session, and a small shell beside it
 * that waits for our end of a pipe to close, which the kernel does for us, and then kills the process group, and what has left it. The
 * process is to be a subreaper, or what its children leave behind is not below it any more.
 */
import type { ExitStatus } from "#job/outcome.ts";
import { registerChild } from "./orphans.ts";
import { identify } from "./process-tree.ts";
import { spawnWithFiles } from "./spawn.ts";

export interface TiedProcess {
  readonly pid: number;
  readonly exited: Promise<ExitStatus>;
  /** SIGKILL to the whole group; one that has gone is no error. */
  killGroup(): void;
}

/** Held here: one that is collected as garbage closes its pipe. As many as living processes. */
const watchers = new Set<object>();

/**
 * The process is stopped, so that it starts no more; it goes last, because orphans are given to it. What is being killed may still fork: again, until
 * only the dead are left. `children` has no newline at its end, for which read fails; a process that has gone has none.
 */
const WATCH = `
below() {
  local list pids pid
  for list in "/proc/$1/task/"*/children; do
    pids=
    read -r pids < "$list"
    for pid in $pids; do echo "$pid"; below "$pid"; done
  done
}
lives() {
  local line=
  read -r line < "/proc/$1/stat"
  case \${line##*) } in [ZX]* | "") return 1 ;; esac
}
read -r _
kill -s STOP "$1"
rounds=0
while [ "$rounds" -lt 1000 ]; do
  found=
  for pid in $(below "$1"); do lives "$pid" && kill -s KILL "$pid" && found=1; done
  [ "$found" ] || break
  rounds=$((rounds + 1))
done
kill -s KILL -- "-$1"
`;

/**
 * A child of ours gets a signal when we end without having called `dispose`, even by -9. For one that would otherwise go on for nobody,
 * and knows what to do then.
 */
export function signalAtOurEnd(pid: number, signal: "TERM" | "KILL"): Disposable {
  // Its number is another's only when it has ended and was reaped, which is ours to do while we live, and init's afterwards.
  const started = identify(pid)?.startTicks ?? 0;
  const script = `read -r _; read -r line < "/proc/$1/stat" && set -- "$1" \${line##*) } && [ "\${21}" = ${started} ] && kill -s ${signal} "$1"`;
  return watch(pid, script);
}

/** Runs `script` for sh(1), whose $1 is `pid`, when we end; until it is disposed of. */
function watch(pid: number, script: string): Disposable {
  const watcher = Bun.spawn(["/bin/sh", "-c", script, "berth-watch", String(pid)], {
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
  return {
    [Symbol.dispose]: () => {
      watchers.delete(watcher);
      watcher.kill("SIGKILL");
    },
  };
}

/** @throws ErrnoException when it cannot be executed */
export function spawnTied(
  argv: readonly [string, ...string[]],
  options: { readonly files: readonly (number | "null")[]; readonly env: Readonly<Record<string, string>>; readonly cwd: string },
): TiedProcess {
  const { pid, exited } = spawnWithFiles(argv, { ...options, isDaemon: true });
  const watcher = watch(pid, WATCH);
  let hasEnded = false;
  const ended = exited.then((status) => {
    hasEnded = true;
    watcher[Symbol.dispose](); // first, so that it never kills a group that has the number after this one
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
