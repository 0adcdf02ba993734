/** `berth generate podman|docker`: the engine's configuration files, so that its containers are jobs. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { directories } from "#platform/directories.ts";
import { applyFiles, contentsOf, recordedPaths, undoFiles, type Change } from "#scrun/setup/files.ts";
import { lookAtHost } from "#scrun/setup/host.ts";
import { planDocker, planPodman, type Plan } from "#scrun/setup/plan.ts";
import { chooseEngine } from "./engine.ts";
import { complain, printLines } from "./terminal.ts";

const USAGE = `Usage: berth generate podman|docker [--user|--system] [--scrun PATH] [--dry-run] [--force]
       berth generate podman|docker [--user|--system] --undo
Makes podman or docker use scrun, so that each container is a job: writes their configuration with what is right on this
host, and says why. Settings that are there stay, and a second call changes nothing.
  --user       your own configuration; the default, but for root
  --system     /etc, for everybody; root's default
  --scrun PATH the program called scrun (berth link DIR makes it), when the one in PATH is not meant
  --dry-run    only show what would be written
  --force      replace a file of ours that was changed since
  --undo       put back what was there before`;

interface Call {
  readonly engine: "podman" | "docker";
  readonly isSystem: boolean;
  readonly scrun: string | undefined;
  readonly isDry: boolean;
  readonly isUndo: boolean;
  readonly force: boolean;
}

export function generate(argv: readonly string[]): number {
  if (argv.length === 0 || argv.includes("--help") || argv.includes("-h")) {
    printLines([USAGE]);
    return argv.length === 0 ? 255 : 0;
  }
  const call = parse(argv);
  if (typeof call === "string") {
    complain(`berth: error: ${call}`, 'Try "berth generate --help" for more information');
    return 255;
  }
  return call.isUndo ? undo(call) : write(call);
}

/** A text says what is wrong. */
function parse(argv: readonly string[]): Call | string {
  let engine: string | undefined;
  let scrun: string | undefined;
  const flags = new Set<string>();
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? "";
    if (word === "--scrun") scrun = argv[++i] ?? "";
    else if (word.startsWith("--scrun=")) scrun = word.slice("--scrun=".length);
    else if (/^--(user|system|dry-run|undo|force)$/.test(word)) flags.add(word);
    else if (word.startsWith("-") || engine !== undefined) return `generate does not know ${JSON.stringify(word)}`;
    else engine = word;
  }
  if (engine !== "podman" && engine !== "docker") return "generate wants podman or docker";
  if (flags.has("--user") && flags.has("--system")) return "--user and --system exclude each other";
  const isSystem = flags.has("--system") || (!flags.has("--user") && process.getuid?.() === 0);
  return { engine, isSystem, scrun, isDry: flags.has("--dry-run"), isUndo: flags.has("--undo"), force: flags.has("--force") };
}

function write(call: Call): number {
  const { engine, isSystem, scrun } = call;
  const host = lookAtHost({ isSystem, scrun, usesNetwork: chooseEngine().engine === "slurm" });
  const config = configDir(isSystem);
  const plainConfig = isSystem ? config : join(homeDir(), ".config");
  const exists = (path: string) => existsSync(path) && !isOurs(call, path);
  const places = { config, isSystem, exists, path: process.env["PATH"] ?? "", ...(plainConfig === config ? {} : { plainConfig }) };
  const plan = engine === "podman" ? planPodman(host, places) : planDocker(host, places);
  if (call.isDry) {
    printLines([...plan.files.flatMap((file) => [`--- ${file.path}`, contentsOf(file).trimEnd(), ""]), ...explain(plan)]);
    return 0;
  }
  const changes = applyFiles(plan.files, recordOf(call), { force: call.force });
  printLines([...changes.map(describe), ...explain(plan)]);
  if (engine === "podman" && (process.env["CONTAINERS_CONF"] ?? "") !== "")
    complain(`berth: warning: CONTAINERS_CONF is set: podman reads ${process.env["CONTAINERS_CONF"]} and nothing else`);
  return 0;
}

function undo(call: Call): number {
  const changes = undoFiles(recordOf(call));
  if (changes.length === 0) printLines(["There is nothing to undo"]);
  else {
    printLines(changes.map(describe));
    if (call.engine === "podman")
      printLines([
        "If there still are containers of scrun: berth generate podman, podman rm -f …, and --undo again; podman stops no container without its runtime",
      ]);
  }
  const kept = changes.filter(({ action }) => action === "kept");
  for (const { path } of kept) complain(`berth: error: ${path} was changed since it was written`, "remove what you do not want, by hand");
  return kept.length === 0 ? 0 : 1;
}

function explain({ files, notes }: Plan): string[] {
  const reasons = files.flatMap((file) =>
    file.kind === "own" ? [] : file.settings.map(({ keys, value, why }) => `  ${keys.join(".")} = ${JSON.stringify(value)}: ${why}`),
  );
  return [...reasons, ...notes];
}

function describe({ path, action, why }: Change): string {
  return `${path}: ${action}${why === undefined ? "" : ` (${why})`}`;
}

function configDir(isSystem: boolean): string {
  if (isSystem) return "/etc";
  const named = process.env["XDG_CONFIG_HOME"];
  return named?.startsWith("/") === true ? named : join(homeDir(), ".config");
}

function homeDir(): string {
  return process.env["HOME"] ?? homedir();
}

/** Beside the state of every host: home directories, and so the files, are often shared. */
function recordOf({ engine, isSystem }: Call): string {
  const base = isSystem ? "/var/lib/berth" : dirname(directories().state);
  return join(base, "generate", `${engine}.json`);
}

/** A storage.conf of an earlier call is no reason to leave it alone. */
function isOurs(call: Call, path: string): boolean {
  return recordedPaths(recordOf(call)).includes(path);
}
