/** `berth daemon start|stop|restart|status|logs|run`. */
import { existsSync, readFileSync } from "node:fs";
import { EmbeddedEngine, findController } from "#engine/embedded/client.ts";
import { findStateHolder } from "#engine/embedded/controller-place.ts";
import { enginePaths } from "#engine/embedded/paths.ts";
import { identify, isAlive } from "#platform/process-tree.ts";
import { logPath } from "#platform/start-controller.ts";
import { complain, printLines } from "./terminal.ts";

const USAGE = `Usage: berth daemon COMMAND
  start            start the controller (any command does that by itself)
  stop [--jobs]    stop it; running jobs go on and are found again, --jobs cancels them first
  restart          stop, then start
  status [--json]  whether it runs, and what it looks after; exit status 3 when it does not run
  logs [-n LINES]  the end of its log
  run              be the controller, in the foreground (for systemd)`;

export async function daemon(argv: readonly string[]): Promise<number> {
  const [command = "status", ...options] = argv;
  switch (command) {
    case "run":
      return (await import("#engine/embedded/daemon.ts")).runController();
    case "start":
      return await start();
    case "stop":
      return await stop({ cancelJobs: options.includes("--jobs") });
    case "restart": {
      const status = await stop({ cancelJobs: options.includes("--jobs") });
      return status === 0 ? await start() : status;
    }
    case "status":
      return await status(options.includes("--json"));
    case "logs":
      return logs(options);
    case "--help":
    case "-h":
    case "help":
      printLines([USAGE]);
      return 0;
    default:
      complain(`berth: error: there is no "daemon ${command}"`, USAGE);
      return 255;
  }
}

const signal = new AbortController().signal;

async function start(): Promise<number> {
  await using engine = new EmbeddedEngine();
  const { pid, configWarnings = [] } = await engine.status({ signal });
  printLines([`The controller runs as process ${pid}`]);
  complain(...configWarnings.map((warning) => `berth: warning: ${warning}`));
  return 0;
}

/** Also one that nobody can reach: a command from us makes it give way to one that can be (controller-place.ts). */
async function isRunning(): Promise<boolean> {
  return (await findController()) || findStateHolder(enginePaths()) !== undefined;
}

async function stop(options: { readonly cancelJobs: boolean }): Promise<number> {
  if (!(await isRunning())) {
    printLines(["The controller does not run"]);
    return 0;
  }
  await using engine = new EmbeddedEngine();
  const { pid, runningSteps } = await engine.status({ signal });
  const controller = identify(pid);
  await engine.stop(options.cancelJobs, { signal });
  // The next command must not meet the old one's lock. Whoever inherited it may take long to reap it.
  for (let waited = 0; waited < 5000 && controller !== undefined && isAlive(controller); waited += 10) await Bun.sleep(10);
  const left =
    options.cancelJobs || runningSteps.length === 0
      ? ""
      : `; ${runningSteps.length} running ${runningSteps.length === 1 ? "step goes" : "steps go"} on`;
  printLines([`The controller has stopped${left}`]);
  return 0;
}

async function status(asJson: boolean): Promise<number> {
  if (!(await isRunning())) {
    printLines([asJson ? JSON.stringify({ running: false }) : "The controller does not run (any command starts it)"]);
    return 3;
  }
  await using engine = new EmbeddedEngine();
  const found = await engine.status({ signal });
  if (asJson) {
    printLines([JSON.stringify({ running: true, ...found }, null, 2)]);
    return 0;
  }
  printLines([
    `Controller:  process ${found.pid}, Berth ${found.version}, since ${new Date(found.startedAt).toLocaleString("sv-SE")}`,
    `Jobs:        ${found.liveJobs} live, ${found.runningSteps.length} running steps`,
    `Scheduler:   ${found.passes.count} passes, the last ${found.passes.lastMs.toFixed(1)} ms, the longest ${found.passes.longestMs.toFixed(1)} ms`,
    `State:       ${found.stateDir}`,
    `Log:         ${found.logFile}`,
    ...(found.configWarnings ?? []).map((warning) => `Warning:     ${warning}`),
  ]);
  return 0;
}

function logs(options: readonly string[]): number {
  const at = options.indexOf("-n");
  const count = at >= 0 ? Number(options[at + 1]) : 100;
  if (!Number.isInteger(count) || count < 1) {
    complain("berth: error: -n wants a number of lines");
    return 255;
  }
  const path = logPath(enginePaths().state);
  if (!existsSync(path)) {
    complain(`berth: there is no log yet (${path})`);
    return 1;
  }
  printLines(readFileSync(path, "utf8").trimEnd().split("\n").slice(-count));
  return 0;
}
