/**
 * The step daemon's process: `berth stepd CONTROLLER_SOCKET`.
 *
 * It starts as a spare, says so to the controller, and waits for a step to run. From then on it belongs to the step
 * (step-daemon.ts) and no longer to the controller. When nothing of the step is left it is a spare again, on a new
 * connection: a daemon that has run before starts tasks twice as fast.
 */
import { existsSync } from "node:fs";
import { findOciConf } from "#container/oci-conf.ts";
import { useRuntimeCopy } from "#container/runtime-copy.ts";
import { warmContainers } from "#container/warm.ts";
import { directories, SITE_CONFIG_DIR } from "#platform/directories.ts";
import { failFast } from "#platform/fail-fast.ts";
import { connectFrames, parseJsonFrame, type FrameConnection } from "#platform/frames.ts";
import { becomeSubreaper } from "#platform/libc.ts";
import { livingBelow } from "#platform/orphans.ts";
import { startController } from "#platform/start-controller.ts";
import { StepDaemon, type Orders } from "./step-daemon.ts";
import { lockStep } from "./step-lock.ts";
import type { FromDaemon, ToDaemon } from "./wire.ts";

/** A daemon that has served this many steps makes room for a fresh one. */
const MAX_STEPS = 50;

export async function runStepDaemon(controllerSocket: string): Promise<void> {
  failFast((error) => console.error(error));
  process.umask(0o077); // ours; a task gets its submitter's
  process.on("SIGHUP", () => undefined); // a controller that cannot reach a step's daemon: it is to listen again, when it has a step
  const { state, config } = directories();
  // What every container step needs is read while there is time.
  const warming = warmContainers({
    stateDir: state,
    hasConf: findOciConf([config, SITE_CONFIG_DIR]) !== undefined,
    signal: AbortSignal.timeout(10_000),
  });
  for (let served = 0; served < MAX_STEPS; served++) {
    const connection = await connectToController(controllerSocket);
    if (connection === undefined) return;
    if (served === 0) {
      void warming.then((runtime) => {
        if (runtime !== undefined) connection.sendJson({ event: "runtime", path: runtime.path } satisfies FromDaemon);
      });
    }
    const orders = await waitForStep(connection);
    await warming;
    if (orders === "dismissed") return;
    if (orders === "abandoned") {
      reviveController(controllerSocket);
      return;
    }
    useRuntimeCopy(orders.runtimeCopy);
    using lock = lockStep(orders.spoolDir);
    if (lock === undefined) return;
    if (served === 0) becomeSubreaper();
    await new StepDaemon(orders, connection, lock).run();
    // What could not be killed must not be taken for a process of the next step.
    if (livingBelow([]).length > 0) return;
  }
}

async function connectToController(path: string): Promise<FrameConnection | undefined> {
  try {
    return await connectFrames(path);
  } catch {
    return undefined; // stopped, or killed: its successor starts its own daemons
  }
}

/**
 * A spare whose controller was killed starts another one, so that queued jobs go on; a controller that was stopped took
 * its socket with it. Daemons with a step leave this to the spares: what they start would be a process of the step.
 */
function reviveController(controllerSocket: string): void {
  if (existsSync(controllerSocket)) startController();
}

/** The step to run; "abandoned" when the controller went away without a word. */
function waitForStep(connection: FrameConnection): Promise<Orders | "dismissed" | "abandoned"> {
  const { promise, resolve } = Promise.withResolvers<Orders | "dismissed" | "abandoned">();
  const early: ToDaemon[] = [];
  connection.handle({
    frame: (_type, payload) => {
      const message = parseJsonFrame(payload) as ToDaemon;
      if (message.op === "run") resolve({ spoolDir: message.spoolDir, runtimeCopy: message.runtimeCopy, early });
      else if (message.op === "dismiss") resolve("dismissed");
      else early.push(message);
    },
    closed: () => resolve("abandoned"),
  });
  connection.sendJson({ event: "spare", pid: process.pid } satisfies FromDaemon);
  return promise;
}
