/** `scrun`: an OCI runtime whose containers are jobs (spec: scrun). Which command, with which options; nothing else. */
import { basename } from "node:path";
import type { Engine } from "#engine/engine.ts";
import { BerthError } from "#job/errors.ts";
import { VERSION } from "#job/version.ts";
import {
  COMMAND_OPTIONS,
  GLOBAL_OPTIONS,
  has,
  HELP_OPTIONS,
  lastValue,
  readOptions,
  type CommandWord,
  type Given,
} from "./commands/command-line.ts";
import { Log, parseLevel, type LogFormat } from "./log.ts";
import { findRoot } from "./place.ts";

export interface ScrunHost {
  openEngine(): Promise<Engine>;
  print(text: string): void;
  /** Whether jobs run on other hosts, so that no runtime is needed here. Cheap. */
  isRemote(): boolean;
}

const USAGE = `Usage: scrun [OPTIONS] COMMAND [OPTIONS] ID [ARGUMENTS]
An OCI runtime for podman, docker and others: each container is a job.

Commands, as runc and crun have them:
  create start state kill delete run      a container's life
  exec ps pause resume events update      while it runs
  list features spec version
  checkpoint restore                      refused: a job's allocation cannot be restored

Options:
  --root DIR           where containers are recorded ($XDG_RUNTIME_DIR/scrun)
  --log FILE           write messages to FILE as well
  --log-format FORMAT  text, json
  --debug, -v          say more
  --version, -V        version, and the OCI specification's
  --systemd-cgroup, --cgroup-manager NAME, --rootless BOOL, --criu PATH, -f FILE   accepted

create, run:  -b DIR  --pid-file FILE  --console-socket PATH  --preserve-fds N  --no-pivot  --no-new-keyring  --config FILE
kill:         [-a] ID [SIGNAL]
delete:       [-f] ID

The job is asked for with SCRUN_* variables and slurm.* annotations of the container: docs/scrun.md`;

/** The form that dockerd, containerd and podman read. */
export function versionText(): string {
  return `scrun version ${VERSION}\nspec: 1.0.2`;
}

/** Gives the exit status. */
export async function scrun(argv: readonly string[], host: ScrunHost): Promise<number> {
  if (argv[0] === "anchor") return await anchor(argv.slice(1), host);
  let failed = 1;
  let log = new Log({ file: undefined, format: "text", stderrLevel: 3 });
  try {
    const { given, rest } = readOptions(GLOBAL_OPTIONS, argv);
    if (has(given, "help") || has(given, "usage")) {
      host.print(USAGE);
      return 0;
    }
    // Engines ask with --version alone; runc and crun know -v as that, Slurm's scrun as "say more".
    if (has(given, "version") || (rest.length === 0 && has(given, "verbose"))) {
      host.print(versionText());
      return 0;
    }
    log = openLog(given);
    // runc's, when exec itself fails: engines tell it from the program's own status.
    if (rest[0]?.toLowerCase() === "exec") failed = 255;
    return await command(given, rest, { log, host, argv });
  } catch (error) {
    if (error instanceof BerthError) {
      if (error.code === "RUNTIME_FAILED" && error.constructor !== BerthError) log.fileOnly("error", error.message);
      else log.error(error.message, error.hint);
      return failed;
    }
    log.error(error instanceof Error ? error.message : String(error), "this is a bug in Berth; BERTH_DEBUG=1 shows where");
    if (process.env["BERTH_DEBUG"] === "1" && error instanceof Error) log.error(error.stack ?? "");
    return 1;
  }
}

function openLog(given: readonly Given[]): Log {
  const format = lastValue(given, "log-format") ?? "text";
  if (format !== "json" && format !== "text")
    throw new BerthError("USAGE", `unknown log format "${format}"`, { hint: "formats: text json" });
  const level = ["SCRUN_STDERR_DEBUG", "SCRUN_DEBUG"].find((name) => (process.env[name] ?? "") !== "");
  const base = has(given, "debug") ? 5 : level === undefined ? 3 : parseLevel(process.env[level] ?? "", level);
  const more = given.filter(({ name }) => name === "verbose").length;
  return new Log({ file: lastValue(given, "log"), format: format satisfies LogFormat, stderrLevel: base + more });
}

interface Scene {
  readonly log: Log;
  readonly host: ScrunHost;
  readonly argv: readonly string[];
}

async function command(globals: readonly Given[], words: readonly string[], scene: Scene): Promise<number> {
  const [typed, ...behind] = words;
  if (typed === undefined) throw new BerthError("USAGE", "command not provided", { hint: 'Try "scrun --help" for more information' });
  const word = typed.toLowerCase();
  if (word === "checkpoint" || word === "restore") {
    throw new BerthError(
      "NOT_SUPPORTED",
      `${word} is not supported: a container is a job, and its allocation cannot be put away and taken up again`,
    );
  }
  if (!isCommand(word)) throw new BerthError("USAGE", `unknown command "${typed}"`, { hint: 'Try "scrun --help" for more information' });
  if (word === "version") {
    scene.host.print(versionText());
    return 0;
  }
  const { given, rest } = readOptions([...HELP_OPTIONS, ...COMMAND_OPTIONS[word]], behind);
  if (has(given, "help")) {
    scene.host.print(USAGE);
    return 0;
  }
  const [id, ...args] = rest;
  const root = findRoot(lastValue(globals, "root"));
  const runtimeOptions = optionsForRuntime(globals);
  const call = { root, id, words: [word, ...behind], globals: logOptions(globals) };
  switch (word) {
    case "create": {
      refuseMore(args);
      const { takeIdAndStartAnchor } = await import("./commands/start-anchor.ts");
      const started = takeIdAndStartAnchor({ root, id, given });
      const { createContainer } = await import("./commands/create.ts");
      await createContainer({
        started,
        given,
        runtimeOptions,
        log: logFileOf(globals),
        logLevel: scene.log.level,
        submitLine: ["scrun", ...scene.argv].join(" "),
        startController: () => startController(scene.host),
        isRemote: scene.host.isRemote(),
      });
      return 0;
    }
    case "start": {
      refuseMore(args);
      return await (await import("./commands/existing-container.ts")).startContainer(root, id, scene.log);
    }
    case "state": {
      refuseMore(args);
      scene.host.print(JSON.stringify(await (await import("./commands/existing-container.ts")).stateOf(root, id), null, 2));
      return 0;
    }
    case "kill":
      return await (await import("./commands/existing-container.ts")).killContainer({ ...call, signalText: args[0] });
    case "delete": {
      refuseMore(args);
      return await (await import("./commands/existing-container.ts")).deleteContainer(root, id, {
        isForced: has(given, "force"),
        log: scene.log,
      });
    }
    case "pause":
    case "resume": {
      refuseMore(args);
      return await (await import("./commands/existing-container.ts")).pauseOrResume(call, word);
    }
    case "exec":
      return await (await import("./commands/exec.ts")).execIn({ ...call, given, args, openEngine: () => scene.host.openEngine() });
    case "ps":
      return await (await import("./commands/ps.ts")).listProcesses(call, {
        isJson: lastValue(given, "format") === "json",
        psArgs: args,
        print: (text) => scene.host.print(text),
      });
    case "events":
    case "update":
      return (await import("./commands/existing-container.ts")).passOn(call);
    case "list":
    case "features":
    case "spec":
    case "run":
      return await (await import("./commands/more-commands.ts")).moreCommands(word, {
        ...call,
        given,
        runtimeOptions,
        logFile: logFileOf(globals),
        startController: () => startController(scene.host),
        isRemote: scene.host.isRemote(),
        ...scene,
      });
    default:
      throw new Error(`no command ${String(word satisfies never)}`);
  }
}

async function startController(host: ScrunHost): Promise<void> {
  await using engine = await host.openEngine();
  await engine.info({ signal: new AbortController().signal });
}

function isCommand(word: string): word is CommandWord {
  return Object.hasOwn(COMMAND_OPTIONS, word);
}

function refuseMore(args: readonly string[]): void {
  if (args.length > 0) throw new BerthError("USAGE", `too many arguments: ${args.join(" ")}`);
}

/** Global options that change what the real runtime does. */
function optionsForRuntime(globals: readonly Given[]): string[] {
  return has(globals, "systemd-cgroup") || lastValue(globals, "cgroup-manager") === "systemd" ? ["--systemd-cgroup"] : [];
}

function logFileOf(globals: readonly Given[]): { readonly file: string; readonly format: string } | null {
  const file = lastValue(globals, "log") ?? "";
  return file === "" ? null : { file, format: lastValue(globals, "log-format") ?? "text" };
}

function logOptions(globals: readonly Given[]): string[] {
  return ["log", "log-format"].flatMap((name) => {
    const value = lastValue(globals, name);
    return value === undefined ? [] : [`--${name}`, value];
  });
}

/** `scrun anchor DIR N PID:START [stand-in]`: not for users. The third is its creator's, by which it notices that it is wanted no more. */
async function anchor([dir = "", preserved = "0", creator = "", standIn]: readonly string[], host: ScrunHost): Promise<number> {
  const { ContainerPlace } = await import("./place.ts");
  const { runAnchor } = await import("./anchor/anchor.ts");
  const id = basename(dir);
  const place = new ContainerPlace(dir.slice(0, -id.length - 1), id);
  const [pid = 0, startTicks = 0] = creator.split(":").map(Number);
  await using engine = await host.openEngine();
  const { remote } = engine;
  if (remote !== undefined) {
    const { runRemoteAnchor } = await import("./remote/remote-anchor.ts");
    return await runRemoteAnchor(place, { engine: Object.assign(engine, { remote }), creator: { pid, startTicks } });
  }
  return await runAnchor(place, {
    engine,
    creator: { pid, startTicks },
    preserved: Array.from({ length: Number(preserved) }, (_, index) => 3 + index),
    standInFd: standIn === undefined ? undefined : 3 + Number(preserved),
  });
}
