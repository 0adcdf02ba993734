/**
 * `berth daemon run`: the controller's process. One per user and host: whoever gets the lock is it, and the lock goes
 * with the process. It takes up what its predecessor left, then says `ready` by making its socket.
 */
import { closeSync, existsSync, openSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import { BerthError } from "#job/errors.ts";
import { VERSION } from "#job/version.ts";
import { ensurePrivateDir, shortHostName } from "#platform/directories.ts";
import { failFast } from "#platform/fail-fast.ts";
import { becomeSubreaper, tryLock } from "#platform/libc.ts";
import { outsideIds } from "#platform/namespaces.ts";
import { OrphanReaper } from "#platform/orphans.ts";
import { sendSignal } from "#platform/process-tree.ts";
import { selfCommand } from "#platform/self.ts";
import { spawnDaemon } from "#platform/spawn.ts";
import { daemonEnvironment, logPath } from "#platform/start-controller.ts";
import { readConfig } from "./config.ts";
import { Controller } from "./controller.ts";
import { DaemonPool } from "./daemon-pool.ts";
import { enginePaths, type Paths } from "./paths.ts";
import { Server } from "./server.ts";
import { sweepSpools } from "./step-spools.ts";
import { Store } from "./store.ts";

const SIGHUP = 1;

export async function runController(): Promise<number> {
  const paths = enginePaths();
  for (const dir of [paths.state, paths.spool]) ensurePrivateDir(dir);
  makeRuntimeDirs(paths);
  const lockFd = openSync(paths.lock, "a", 0o600);
  if (!tryLock(lockFd)) return 0; // another one is the controller: whoever started us finds that one
  const stateLockFd = await lockState(paths);
  if (stateLockFd === undefined) return 0;
  const log = openLog();
  failFast((error) => log("controller.failed", { error: error instanceof Error ? (error.stack ?? error.message) : String(error) }));
  log("controller.starting", { pid: process.pid, version: VERSION });
  const store = new Store(paths.database);
  const logFd = openSync(logPath(paths.state), "a", 0o600);
  const pool: DaemonPool = new DaemonPool(() => {
    const daemon = spawnDaemon(selfCommand("stepd", paths.socket), { logFd, env: daemonEnvironment(), argv0: "berth-stepd" });
    void daemon.exited.then(() => pool.lost());
  });
  const config = readConfig(paths.configDirs);
  const outside = outsideIds();
  const controller = new Controller({ config, paths, store, pool, log, isConfined: outside !== undefined });
  becomeSubreaper();
  new OrphanReaper((orphan) => controller.orphanReaped(orphan));
  const done = Promise.withResolvers<void>();
  let isStopping = false;
  const stop = async (options: { readonly cancelJobs: boolean; readonly by: number }): Promise<void> => {
    if (isStopping) return;
    isStopping = true;
    await controller.stop(options);
    rmSync(paths.socket, { force: true }); // step daemons read this as "stopped on purpose"
    setTimeout(() => done.resolve(), 20); // the answer goes out first
  };
  rmSync(paths.socket, { force: true }); // of a controller that was killed
  const recovered = Promise.withResolvers<void>();
  const server = new Server({
    controller,
    recovered: recovered.promise,
    socketPath: paths.socket,
    logFile: logPath(paths.state),
    host: shortHostName(),
    outside,
    onStop: stop,
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const)
    process.on(signal, () => void stop({ cancelJobs: false, by: process.getuid?.() ?? 0 }));
  // Who cannot find us asks (lockState): a user's runtime directory is emptied with his last session.
  process.on("SIGHUP", () => {
    if (isStopping || existsSync(paths.socket)) return;
    makeRuntimeDirs(paths);
    server.listen();
    log("controller.listensAgain", {});
  });
  await controller.recover(isSameBoot(store));
  sweepSpools(paths, controller.book.runningSteps());
  recovered.resolve();
  pool.fill();
  log("controller.ready", { liveJobs: controller.book.liveJobs });
  await done.promise;
  server.stop();
  pool.stop();
  store[Symbol.dispose]();
  log("controller.stopped", {});
  closeSync(stateLockFd);
  closeSync(lockFd);
  return 0;
}

function makeRuntimeDirs(paths: Paths): void {
  for (const dir of [paths.runtime, paths.stepSockets, paths.runtimeRoot]) ensurePrivateDir(dir);
}

/** How long a controller may take to listen again. */
const LISTEN_AGAIN_MS = 500;

/**
 * Two commands that differ in XDG_RUNTIME_DIR look for their controller in two places, but their jobs are the same ones, and
 * have one controller. The directory itself is locked: nothing has to be written on a disk that may be full. Undefined when that one listens
 * where we would: it had lost its socket.
 * @throws BerthError CONTROLLER_ELSEWHERE
 */
async function lockState(paths: Paths): Promise<number | undefined> {
  const fd = openSync(paths.state, "r");
  if (tryLock(fd)) return fd;
  const holder = lockHolder(statSync(paths.state).ino);
  if (holder !== undefined && isController(holder)) {
    sendSignal(Number(holder), SIGHUP);
    for (const end = performance.now() + LISTEN_AGAIN_MS; performance.now() < end; await Bun.sleep(10))
      if (existsSync(paths.socket)) return undefined;
  }
  throw new BerthError(
    "CONTROLLER_ELSEWHERE",
    `another controller${holder === undefined ? "" : `, process ${holder},`} keeps the jobs in ${paths.state}, ` +
      `with another XDG_RUNTIME_DIR than the one that puts sockets in ${paths.runtime}: set the same one, or stop that controller (its jobs go on)` +
      `${holder === undefined ? "" : `: kill ${holder}`}`,
  );
}

/** To any other program the signal could be its end. */
function isController(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").endsWith("\0daemon\0run\0");
  } catch {
    return false; // it has gone, or is somebody else's
  }
}

/** Of a flock(2), by proc_locks(5). */
function lockHolder(inode: number): string | undefined {
  const pattern = new RegExp(`FLOCK .* (\\d+) [0-9a-f]+:[0-9a-f]+:${inode} `);
  return readFileSync("/proc/locks", "utf8").match(pattern)?.[1];
}

function openLog(): (event: string, facts: Readonly<Record<string, unknown>>) => void {
  // Standard error is the log file (platform/start-controller.ts), or a terminal when somebody looks on.
  return (event, facts) => {
    try {
      writeSync(2, `${new Date().toISOString()} ${event} ${JSON.stringify(facts)}\n`);
    } catch {
      // A full disk, or nobody looks any more: jobs matter more than what is said of them.
    }
  };
}

/** False after the machine was restarted since the store was last used. Remembers this boot. */
function isSameBoot(store: Store): boolean {
  let bootId = "unknown";
  try {
    bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    // Without it every start counts as the same boot, and lost processes are noticed one by one.
  }
  const before = store.meta("bootId");
  if (before !== bootId) store.setMeta("bootId", bootId); // a start with a full disk writes nothing
  return before === undefined || before === bootId;
}
