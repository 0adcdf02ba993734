/**
 * `berth daemon run`: the controller's process. One per user and host: whoever gets the lock is it, and the lock goes
 * with the process. It takes up what its predecessor left, then says `ready` by making its socket.
 */
import { closeSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { RuntimeCopyKeeper } from "#container/runtime-copy.ts";
import { VERSION } from "#job/version.ts";
import { shortHostName } from "#platform/directories.ts";
import { ensurePrivateDir } from "#platform/private-directory.ts";
import { failFast } from "#platform/fail-fast.ts";
import { inodeOf } from "#platform/lasting-listener.ts";
import { becomeSubreaper, tryLock } from "#platform/libc.ts";
import { outsideIds } from "#platform/namespaces.ts";
import { OrphanReaper } from "#platform/orphans.ts";
import { selfCommand } from "#platform/self.ts";
import { spawnDaemon } from "#platform/spawn.ts";
import { daemonEnvironment, logPath } from "#platform/start-controller.ts";
import { readConfig } from "./config.ts";
import { Controller } from "./controller.ts";
import { DaemonPool } from "./daemon-pool.ts";
import { lockState, publishSocket } from "./controller-place.ts";
import { watchPlace } from "./lost-place.ts";
import { enginePaths } from "./paths.ts";
import { Server } from "./server.ts";
import { sweepSpools } from "./step-spools.ts";
import { Store } from "./store.ts";

export async function runController(): Promise<number> {
  const paths = enginePaths();
  process.umask(0o077); // ours; a task gets its submitter's
  for (const dir of [paths.state, paths.runtime, paths.spool, paths.stepSockets, paths.runtimeRoot]) ensurePrivateDir(dir);
  const lockFd = openSync(paths.lock, "a", 0o600);
  if (!tryLock(lockFd)) return 0; // another one is the controller: whoever started us finds that one
  let makeWay: () => void = () => undefined;
  process.on("SIGHUP", () => makeWay()); // before we have the lock, by which we are found
  using _stateLock = await lockState(paths);
  const log = openLog();
  failFast((error) => log("controller.failed", { error: error instanceof Error ? (error.stack ?? error.message) : String(error) }));
  log("controller.starting", { pid: process.pid, version: VERSION });
  const store = new Store(paths.database);
  const logFd = openSync(logPath(paths.state), "a", 0o600);
  const runtimeCopies = new RuntimeCopyKeeper();
  const pool: DaemonPool = new DaemonPool(
    () => {
      const daemon = spawnDaemon(selfCommand("stepd", paths.socket), { logFd, env: daemonEnvironment(), argv0: "berth-stepd" });
      void daemon.exited.then(() => pool.lost());
    },
    {
      onFailure: (error) => log("daemon.notStarted", { error: error instanceof Error ? error.message : String(error) }),
      onRuntime: (path) => void runtimeCopies.keep(path),
    },
  );
  const config = readConfig();
  for (const warning of config.warnings) log("config.warning", { warning });
  const outside = outsideIds();
  const controller = new Controller({ config, paths, store, pool, runtimeCopies, log, isConfined: outside !== undefined });
  becomeSubreaper();
  new OrphanReaper((orphan) => controller.orphanReaped(orphan));
  const done = Promise.withResolvers<void>();
  let isStopping = false;
  let listening: number | undefined;
  const stop = async (options: { readonly cancelJobs: boolean; readonly by: number }): Promise<void> => {
    if (isStopping) return;
    isStopping = true;
    await controller.stop(options);
    // Step daemons read this as "stopped on purpose".
    if (inodeOf(paths.socket) === listening) rmSync(paths.socket, { force: true });
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
  listening = inodeOf(paths.socket);
  publishSocket(paths);
  makeWay = () => {
    if (inodeOf(paths.socket) === listening) return;
    log("controller.unreachable", { socket: paths.socket });
    void stop({ cancelJobs: false, by: process.getuid?.() ?? 0 });
  };
  await controller.recover(isSameBoot(store));
  sweepSpools(paths, controller.book.runningSteps());
  recovered.resolve();
  pool.fill();
  log("controller.ready", { liveJobs: controller.book.liveJobs });
  using _place = watchPlace({
    database: paths.database,
    socket: paths.socket,
    isNeeded: () => server.isAsked || controller.book.hasRunningJobs,
    onLost: () => {
      log("controller.lost", { state: paths.state, runtime: paths.runtime, waitingJobs: controller.book.liveJobs });
      void stop({ cancelJobs: false, by: process.getuid?.() ?? 0 });
    },
  });
  await done.promise;
  // It removes whatever is at its path, which may be a successor's by now (lost-place.ts).
  if ((inodeOf(paths.socket) ?? listening) === listening) server.stop();
  pool.stop();
  store[Symbol.dispose]();
  log("controller.stopped", {});
  closeSync(lockFd);
  return 0;
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
