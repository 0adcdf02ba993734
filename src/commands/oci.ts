/** `berth oci init|check|show`: oci.conf made, tried and explained. */
import { chmodSync, existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { checkConf, type ConfCheck } from "#container/conf-check.ts";
import { explainConf } from "#container/explain-conf.ts";
import { findOciConf, readOciConf } from "#container/oci-conf.ts";
import { GUIDE_RUNTIME_ROOT, makePreset, PRESETS, type Flow, type PresetName } from "#container/presets.ts";
import { chooseRuntime } from "#container/runtime-choice.ts";
import { BerthError } from "#job/errors.ts";
import { directories, isUsableRuntimeDir, shortHostName, SITE_CONFIG_DIR } from "#platform/directories.ts";
import { ensurePrivateDir } from "#platform/private-directory.ts";
import { complain, printLines } from "./terminal.ts";

const USAGE = `Usage: berth oci COMMAND
  init --runtime NAME [--flow run|create-start] [--force] [--stdout]
                   write an oci.conf for this host, and the scripts that the runtime needs
                   NAME: ${PRESETS.join(" ")}
  check [FILE] [--bundle DIR] [--json]
                   explain an oci.conf line by line, run containers with its commands, say what to fix
  show [--json]    which oci.conf is in force, and what it amounts to
Without an oci.conf Berth runs containers with crun or runc, whichever works here; see docs/oci.md.`;

export async function oci(argv: readonly string[]): Promise<number> {
  const [command = "--help", ...rest] = argv;
  if (rest.includes("--help") || rest.includes("-h")) {
    printLines([USAGE]);
    return 0;
  }
  switch (command) {
    case "init":
      return init(rest);
    case "check":
      return await check(rest);
    case "show":
      return await show(rest);
    case "--help":
    case "-h":
    case "help":
      printLines([USAGE]);
      return 0;
    default:
      return usageError(`there is no "oci ${command}"`);
  }
}

function usageError(reason: string): number {
  complain(`berth: error: ${reason}`, 'Try "berth oci --help" for more information');
  return 255;
}

/** The user's own place first; an administrator's is the site's. */
function configDirs(): readonly string[] {
  return [directories().config, SITE_CONFIG_DIR];
}

function init(words: readonly string[]): number {
  let runtime: string | undefined;
  let flow: Flow | undefined;
  const flags = new Set<string>();
  for (let i = 0; i < words.length; i++) {
    const [name = "", inline] = (words[i] ?? "").split(/=(.*)/s, 2);
    const value = () => inline ?? words[++i];
    if (name === "--runtime") runtime = value();
    else if (name === "--flow") {
      const text = value();
      if (text !== "run" && text !== "create-start") return usageError("--flow is run or create-start");
      flow = text;
    } else if (name === "--force" || name === "--stdout") flags.add(name);
    else return usageError(`oci init does not know ${JSON.stringify(words[i])}`);
  }
  if (!isPreset(runtime))
    return usageError(
      runtime === undefined ? "oci init wants --runtime NAME" : `there is no preset for ${JSON.stringify(runtime)}: ${PRESETS.join(" ")}`,
    );
  const dir = directories().config;
  const preset = makePreset(runtime, flow ?? "run", { runtimeRoot: runtimeRoot(), scriptDir: dir, exists: existsSync });
  if (flags.has("--stdout")) {
    printLines([preset.conf.trimEnd(), ...preset.scripts.flatMap(({ path, text }) => [`\n# --- ${path}`, text.trimEnd()])]);
    return 0;
  }
  const target = join(dir, "oci.conf");
  const files = [{ path: target, text: preset.conf, mode: 0o644 }, ...preset.scripts.map((script) => ({ ...script, mode: 0o755 }))];
  const taken = flags.has("--force") ? undefined : files.find(({ path }) => existsSync(path));
  if (taken !== undefined) {
    throw new BerthError("OCI_EXISTS", `${taken.path} exists already`, {
      hint: "berth oci init --force replaces it; --stdout only shows the new one",
    });
  }
  mkdirSync(dir, { recursive: true });
  // The scripts first: an oci.conf that is there must work.
  for (const { path, text, mode } of files.toReversed()) {
    const part = `${path}.part-${crypto.randomUUID()}`;
    writeFileSync(part, text, { mode, flag: "wx" });
    chmodSync(part, mode);
    renameSync(part, path);
  }
  printLines([...files.map(({ path }) => `Wrote ${path}`), "Try it: berth oci check"]);
  return 0;
}

function isPreset(name: string | undefined): name is PresetName {
  return name !== undefined && (PRESETS as readonly string[]).includes(name);
}

/** The guide's, when this user has it; else a place that is his alone. */
function runtimeRoot(): string {
  const uid = process.getuid?.() ?? 0;
  if (isUsableRuntimeDir(`/run/user/${uid}`, uid)) return GUIDE_RUNTIME_ROOT;
  const { runtime } = directories();
  // Berth's own directory is private, and made again after a reboot.
  return runtime === `/tmp/berth-${uid}` ? "/tmp/berth-%U/runtime/" : `${runtime.replaceAll("%", "%%")}/runtime/`;
}

async function check(words: readonly string[]): Promise<number> {
  let bundle: string | null = null;
  let file: string | undefined;
  let isJson = false;
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (word === "--json") isJson = true;
    else if (word === "--bundle") bundle = words[++i] ?? null;
    else if (word.startsWith("--bundle=")) bundle = word.slice("--bundle=".length);
    else if (word.startsWith("-") || file !== undefined) return usageError(`oci check does not know ${JSON.stringify(word)}`);
    else file = word;
  }
  ensurePrivateDir(directories().runtime);
  const found = file === undefined ? findOciConf(configDirs()) : resolve(file);
  const report = await checkConf({
    file: found ?? null,
    bundle,
    stateDir: ensurePrivateDir(directories().state),
    nodeName: shortHostName(),
    signal: new AbortController().signal,
  });
  if (isJson) printLines([JSON.stringify(report, null, 2)]);
  else printLines(reportLines(report));
  return report.problems.length === 0 ? 0 : 1;
}

function reportLines(report: ConfCheck): string[] {
  const lines: string[] = [];
  if (report.file === null) lines.push(`No oci.conf (looked in ${configDirs().join(", ")}): Berth chooses the runtime itself.`);
  else {
    lines.push(`${report.file}:`);
    for (const { file, line, text, meaning } of report.lines) {
      lines.push(`  ${file === report.file ? "" : `${dirname(file)}/`}${String(line).padStart(3)}  ${text}`, `       ${meaning}`);
    }
  }
  if (report.example.length > 0) {
    lines.push("", "For task 0 of step 1.0 it runs:");
    for (const { key, command } of report.example) lines.push(`  ${key.padEnd(14)} ${command}`);
  }
  lines.push("");
  if (report.lifecycle === null) lines.push("Not tried: there is no static busybox to make a container of; give one with --bundle DIR.");
  else {
    lines.push("Tried with two containers, outside any job:");
    for (const step of report.lifecycle) lines.push(`  ${step.isOk ? "ok    " : "FAILED"} ${step.name.padEnd(8)} ${step.detail}`);
  }
  lines.push("");
  if (report.problems.length === 0) lines.push(report.lifecycle === null ? "No mistake found." : "Container jobs will run with it.");
  else {
    lines.push("To fix:");
    for (const { what, cure } of report.problems) lines.push(`  - ${what}`, `    ${cure}`);
  }
  return lines;
}

async function show(words: readonly string[]): Promise<number> {
  const unknown = words.find((word) => word !== "--json");
  if (unknown !== undefined) return usageError(`oci show does not know ${JSON.stringify(unknown)}`);
  const searched = configDirs().map((dir) => join(dir, "oci.conf"));
  const file = findOciConf(configDirs());
  if (file === undefined) {
    const chosen = await chooseRuntime(ensurePrivateDir(directories().state), { signal: new AbortController().signal });
    const facts = { file: null, searched, runtime: chosen.description, path: chosen.path };
    printLines(
      words.includes("--json")
        ? [JSON.stringify(facts, null, 2)]
        : [`No oci.conf in force (looked for ${searched.join(", ")})`, `Containers are run by ${chosen.description}: ${chosen.path}`],
    );
    return 0;
  }
  const conf = await readOciConf(file);
  const others = searched.filter((path) => path !== file && existsSync(path));
  if (words.includes("--json")) {
    const settings = await explainConf(file);
    printLines([
      JSON.stringify(
        {
          file,
          searched,
          hidden: others,
          flow: conf.flow,
          ignoreFileConfigJson: conf.ignoreFileConfigJson,
          createEnvFile: conf.createEnvFile,
          disableCleanup: conf.disableCleanup,
          disableHooks: conf.disableHooks,
          containerPath: conf.containerPath ?? null,
          srunPath: conf.srunPath ?? null,
          srunArgs: conf.srunArgs,
          settings: settings.map((line) => ({ file: line.file, line: line.line, text: line.text })),
        },
        null,
        2,
      ),
    ]);
    return 0;
  }
  const settings = await explainConf(file);
  const flow = conf.flow === "run" ? "run (one command per task)" : "create, then start";
  printLines([
    `In force: ${file}`,
    ...others.map((path) => `not in force: ${path}`),
    `Flow: ${flow}; config.json is ${conf.ignoreFileConfigJson ? "not read" : "rewritten for each task"}`,
    ...settings.map(({ line, text }) => `${String(line).padStart(4)}  ${text}`),
  ]);
  return 0;
}
