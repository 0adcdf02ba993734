/** `scrun`: an OCI runtime whose containers are jobs (spec: scrun). Which command, with which options; nothing else. */
import { basename } from "node:path";
import type { Engine } from "#engine/engine.ts";
import { BerthError, shortageHint } from "#job/errors.ts";
import { VERSION } from "#job/version.ts";
import {
  COMMAND_OPTIONS,
  GLOBAL_OPTIONS,
  has,
  HELP_OPTIONS,
  lastValue,
  readOptions,
  WITHOUT_CGROUPS,
  type CommandWord,
  type Given,
} from "./command-line.ts";
import type { CreateOrder } from "./anchor/make-plan.ts";
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

SCRUN_START_WAIT, of the container or of scrun: how many seconds start waits for the job (10; 0, infinite).
The job is asked for with SCRUN_* variables and slurm.* annotations of the container: docs/scrun.md`;

/** The form that dockerd, containerd and podman read. */
export function versionText(): string {
  return `scrun version ${VERSION}\nspec: 1.0.2`;
}

/** Gives the exit status. */
export async function scrun(words: readonly string[], host: ScrunHost): Promise<number> {
  if (words[0] === "anchor") return await anchor(words.slice(1), host);
  // The launcher's own words, before the engine's (launcher/).
  const [launched, argv] = words[0] === "--anchor" ? [words[1], words.slice(2)] : [undefined, words];
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
    return await command(given, rest, { log, host, argv, launched });
  } catch (error) {
    if (error instanceof BerthError) {
      if (error.code === "RUNTIME_FAILED" && error.constructor !== BerthError) log.fileOnly("error", error.message);
      else log.error(error.message, error.hint);
      return failed;
    }
    const shortage = shortageHint(error);
    log.error(error instanceof Error ? error.message : String(error), shortage ?? "this is a bug in Berth; BERTH_DEBUG=1 shows where");
    if (shortage !== undefined) return failed;
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
  /** PID:DIR of an anchor that the launcher has started. */
  readonly launched: string | undefined;
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
  const call = { root, id, words: [word, ...behind], globals: logOptions(globals) };
  switch (word) {
    case "create": {
      refuseMore(args);
      const { takeIdAndStartAnchor } = await import("./commands/start-anchor.ts");
      const started = takeIdAndStartAnchor({ root, id, given, argv: scene.argv, launched: scene.launched });
      const { createContainer } = await import("./commands/create.ts");
      await createContainer({
        started,
        given,
        log: scene.log,
        startController: () => startController(scene.host),
      });
      return 0;
    }
    case "start": {
      refuseMore(args);
      return await (await import("./commands/existing-container.ts")).startContainer(root, id, { log: scene.log });
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
    case "events":
    case "update": {
      const { ask } = await import("./commands/ask.ts");
      return await ask(word, { ...call, given, args, openEngine: () => scene.host.openEngine(), print: (text) => scene.host.print(text) });
    }
    case "list":
    case "features":
    case "spec":
    case "run":
      return await (await import("./commands/more-commands.ts")).moreCommands(word, {
        ...call,
        given,
        startController: () => startController(scene.host),
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
  if (lastValue(globals, "cgroup-manager") === "disabled") return [...WITHOUT_CGROUPS];
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

/** `scrun anchor DIR PID WORDS…`: not for users. Of the create that has this pid, with its words. */
async function anchor([dir = "", pid = "", ...argv]: readonly string[], host: ScrunHost): Promise<number> {
  const id = basename(dir);
  const order = readOrder(argv, { id, isRemote: host.isRemote() });
  if (order === undefined) return 1;
  const { closeCallersFiles } = await import("./anchor/become-anchor.ts");
  closeCallersFiles(order.given);
  const { ContainerPlace } = await import("./place.ts");
  const { runAnchor } = await import("./anchor/anchor.ts");
  const place = new ContainerPlace(dir.slice(0, -id.length - 1), id);
  const creatorPid = Number(pid);
  await using engine = await host.openEngine();
  const { remote } = engine;
  if (remote !== undefined) {
    const { runRemoteAnchor } = await import("./remote/remote-anchor.ts");
    return await runRemoteAnchor(place, { engine: Object.assign(engine, { remote }), creatorPid, order });
  }
  return await runAnchor(place, { engine, creatorPid, order });
}

/** Undefined when something is wrong with the words: that is for create to say, which reads them too. */
function readOrder(argv: readonly string[], known: Pick<CreateOrder, "id" | "isRemote">): CreateOrder | undefined {
  try {
    const { given: globals, rest } = readOptions(GLOBAL_OPTIONS, argv);
    const [word = "", ...behind] = rest;
    const { given } = readOptions(COMMAND_OPTIONS[word.toLowerCase() === "run" ? "run" : "create"], behind);
    return {
      ...known,
      given,
      log: logFileOf(globals),
      logLevel: openLog(globals).level,
      runtimeOptions: optionsForRuntime(globals),
      submitLine: ["scrun", ...argv].join(" "),
    };
  } catch (error) {
    if (error instanceof BerthError) return undefined;
    throw error;
  }
}
