/** oci.conf: what a site says about its OCI runtime (oci.conf(5) 26.11; spec: oci-conf §3, §5). */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { BerthError } from "#job/errors.ts";
import { MAX_CONF_BYTES, parseConfLines, syntaxError, type Where } from "./oci-conf-lines.ts";
import { parsePattern, type Pattern } from "./pattern.ts";
import { compileExtendedRegex } from "./posix-regex.ts";

export type Operation = "create" | "delete" | "kill" | "query" | "run" | "start";
export type EnvFileKind = "disabled" | "null" | "newline";

export interface OciConf {
  readonly file: string;
  readonly flow: "run" | "createStart";
  /** Raw text, checked to be a pattern: where it is cut depends on its components (§7.1). */
  readonly containerPath: string | undefined;
  readonly createEnvFile: EnvFileKind;
  readonly disableCleanup: boolean;
  readonly disableHooks: readonly string[];
  readonly envExclude: RegExp | undefined;
  readonly ignoreFileConfigJson: boolean;
  readonly mountSpoolDir: Pattern | undefined;
  /** A missing one was never configured. */
  readonly operations: Readonly<Partial<Record<Operation, Pattern>>>;
  readonly runTimeEnvExclude: RegExp | undefined;
  /** For scrun. */
  readonly srunPath: string | undefined;
  readonly srunArgs: readonly string[];
  readonly debugFlags: string | undefined;
  /** 0 is "not set". */
  readonly fileDebug: number;
  readonly stdioDebug: number;
  readonly syslogDebug: number;
}

interface Setting {
  readonly value: string;
  readonly where: Where;
}

const KEYS = {
  ContainerPath: "pattern",
  CreateEnvFile: "envFile",
  DebugFlags: "text",
  DisableCleanup: "boolean",
  DisableHooks: "text",
  EnvExclude: "regex",
  FileDebug: "level",
  IgnoreFileConfigJson: "boolean",
  MountSpoolDir: "pattern",
  RunTimeCreate: "pattern",
  RunTimeDelete: "pattern",
  RunTimeEnvExclude: "regex",
  RunTimeKill: "pattern",
  RunTimeQuery: "pattern",
  RunTimeRun: "pattern",
  RunTimeStart: "pattern",
  SrunArgs: "list",
  SrunPath: "text",
  StdIODebug: "level",
  SyslogDebug: "level",
} as const;
type Key = keyof typeof KEYS;
export type ConfKey = Key;
const KEY_OF = new Map((Object.keys(KEYS) as Key[]).map((key) => [key.toLowerCase(), key]));

/** In the spelling of the manual; undefined for an unknown one. */
export function findKey(text: string): ConfKey | undefined {
  return KEY_OF.get(text.toLowerCase());
}

export const OPERATION_KEYS = {
  create: "RunTimeCreate",
  delete: "RunTimeDelete",
  kill: "RunTimeKill",
  query: "RunTimeQuery",
  run: "RunTimeRun",
  start: "RunTimeStart",
} as const satisfies Record<Operation, Key>;

const MAX_INCLUDES = 32;

/** The first of `configDirs` that has an oci.conf: its path. */
export function findOciConf(configDirs: readonly string[]): string | undefined {
  return configDirs.map((dir) => join(dir, "oci.conf")).find((path) => existsSync(path));
}

/** @throws BerthError OCI_CONF_READ, OCI_CONF_SYNTAX, OCI_CONF_PATTERN, OCI_CONF_VALUE, OCI_CONF_COMBINATION */
export async function readOciConf(file: string): Promise<OciConf> {
  let files = 0;
  const settings = new Map<Key, Setting[]>();
  const load = async (path: string, from: Where | undefined): Promise<void> => {
    if (++files > MAX_INCLUDES)
      throw syntaxError(
        from ?? { file, line: 1 },
        `more than ${MAX_INCLUDES} files are included`,
        "look for files that include each other",
      );
    const text = await readConf(path, from);
    for (const line of parseConfLines(text, path)) {
      if (line.kind === "include") await load(resolve(dirname(file), line.path), line.where);
      else addSetting(settings, line);
    }
  };
  await load(file, undefined);
  return toConf(settings, file);
}

async function readConf(path: string, from: Where | undefined): Promise<string> {
  try {
    const bytes = await readFile(path);
    if (bytes.byteLength > MAX_CONF_BYTES)
      throw new BerthError("OCI_CONF_READ", `Cannot read ${path}: larger than ${MAX_CONF_BYTES} bytes`);
    return bytes.toString("utf8");
  } catch (error) {
    if (error instanceof BerthError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    const place = from === undefined ? "" : ` included at ${from.file}:${from.line}`;
    throw new BerthError("OCI_CONF_READ", `Cannot read ${path}${place}: ${code}`, { cause: error });
  }
}

/** One file without its includes, for tests. @throws as readOciConf */
export function parseOciConf(text: string, file: string): OciConf {
  const settings = new Map<Key, Setting[]>();
  for (const line of parseConfLines(text, file)) {
    if (line.kind === "include") throw syntaxError(line.where, "Include is not followed here");
    addSetting(settings, line);
  }
  return toConf(settings, file);
}

function addSetting(settings: Map<Key, Setting[]>, line: { readonly key: string; readonly value: string; readonly where: Where }): void {
  const key = KEY_OF.get(line.key.toLowerCase());
  if (key === undefined) throw syntaxError(line.where, `unknown key ${JSON.stringify(line.key)}`, adviceFor(line.key));
  if (line.value.includes("\0")) throw syntaxError(line.where, `${key} has a NUL character`);
  const found = settings.get(key) ?? [];
  found.push({ value: line.value, where: line.where });
  settings.set(key, found);
}

function adviceFor(key: string): string {
  const similar = KEY_OF.get(key.toLowerCase().replace(/^oci/, ""));
  return similar === undefined ? `known keys: ${Object.keys(KEYS).join(", ")}` : `write ${similar}`;
}

function toConf(settings: ReadonlyMap<Key, readonly Setting[]>, file: string): OciConf {
  const last = (key: Key) => settings.get(key)?.at(-1);
  const pattern = (key: Key): Pattern | undefined => {
    const setting = last(key);
    return setting && parsePattern(setting.value, setting.where);
  };
  const flag = (key: Key): boolean => {
    let value = false; // every occurrence is checked, the last one counts
    for (const setting of settings.get(key) ?? []) value = readBoolean(key, setting);
    return value;
  };
  const regex = (key: Key): RegExp | undefined => {
    const setting = last(key);
    if (setting === undefined) return undefined;
    try {
      return compileExtendedRegex(setting.value);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw valueError(
        setting.where,
        `${key} is no POSIX extended regular expression: ${error.message}`,
        "backslashes must be doubled in this file",
      );
    }
  };
  const operations: Partial<Record<Operation, Pattern>> = {};
  for (const [operation, key] of Object.entries(OPERATION_KEYS) as [Operation, Key][]) {
    const found = pattern(key);
    if (found !== undefined) operations[operation] = found;
  }
  pattern("ContainerPath"); // for its errors
  const ignoreFileConfigJson = flag("IgnoreFileConfigJson");
  return {
    file,
    operations,
    ignoreFileConfigJson,
    flow: checkOperations(operations, ignoreFileConfigJson, file),
    containerPath: last("ContainerPath")?.value,
    createEnvFile: readEnvFileKind(last("CreateEnvFile")),
    disableCleanup: flag("DisableCleanup"),
    disableHooks: (last("DisableHooks")?.value ?? "").split(",").filter((name) => name !== ""),
    envExclude: regex("EnvExclude"),
    mountSpoolDir: pattern("MountSpoolDir"),
    runTimeEnvExclude: regex("RunTimeEnvExclude"),
    srunPath: last("SrunPath")?.value,
    srunArgs: (settings.get("SrunArgs") ?? []).map((setting) => setting.value),
    debugFlags: last("DebugFlags")?.value,
    fileDebug: readLevel(last("FileDebug")),
    stdioDebug: readLevel(last("StdIODebug")),
    syslogDebug: readLevel(last("SyslogDebug")),
  };
}

/**
 * The matrix of oci-conf §5.3. IgnoreFileConfigJson without RunTimeRun loads in Slurm and fails each task; here it
 * fails when the file is read, because no step can ever work with it.
 */
function checkOperations(operations: OciConf["operations"], ignore: boolean, file: string): OciConf["flow"] {
  const bad = (reason: string, hint: string) => new BerthError("OCI_CONF_COMBINATION", `Cannot use ${file}: ${reason}`, { hint });
  const has = (operation: Operation) => operations[operation] !== undefined;
  const missing = (...wanted: Operation[]) => wanted.filter((operation) => !has(operation)).map((operation) => OPERATION_KEYS[operation]);
  if (ignore) {
    if (has("run")) return "run";
    throw bad("IgnoreFileConfigJson needs RunTimeRun: create and start read config.json", "set RunTimeRun, or remove IgnoreFileConfigJson");
  }
  const all = Object.keys(OPERATION_KEYS) as Operation[];
  if (!all.some(has)) throw bad("no RunTime* command is set", "set RunTimeRun, RunTimeKill and RunTimeDelete");
  const createStart = has("create") || has("start");
  if (has("run") && createStart) {
    throw bad("RunTimeRun excludes RunTimeCreate and RunTimeStart", "keep RunTimeRun and remove the other two");
  }
  const lacks = createStart ? missing("create", "start", "kill", "delete", "query") : missing("run", "kill", "delete");
  if (lacks.length > 0) throw bad(`${lacks.join(", ")} ${lacks.length === 1 ? "is" : "are"} not set`, `set ${lacks.join(", ")}`);
  return createStart ? "createStart" : "run";
}

function readBoolean(key: Key, { value, where }: Setting): boolean {
  const word = value.toLowerCase();
  if (["yes", "up", "true", "1"].includes(word)) return true;
  if (["no", "down", "false", "0"].includes(word)) return false;
  throw syntaxError(where, `${key} is ${JSON.stringify(value)}`, "write yes or no");
}

function readEnvFileKind(setting: Setting | undefined): EnvFileKind {
  if (setting === undefined) return "disabled";
  switch (setting.value.toLowerCase()) {
    case "null":
    case "true":
    case "y":
    case "yes":
    case "1":
      return "null";
    case "newline":
      return "newline";
    case "disabled":
    case "false":
    case "n":
    case "no":
    case "0":
      return "disabled";
    default:
      throw valueError(setting.where, `CreateEnvFile is ${JSON.stringify(setting.value)}`, "write null, newline or disabled");
  }
}

const LEVELS = ["quiet", "fatal", "error", "info", "verbose", "debug", "debug2", "debug3", "debug4", "debug5"];

/** An unknown word is "as much as possible", as in Slurm. */
function readLevel(setting: Setting | undefined): number {
  if (setting === undefined) return 0;
  if (/^[0-9]{1,9}$/.test(setting.value)) return Number(setting.value);
  const level = LEVELS.indexOf(setting.value.toLowerCase());
  return level === -1 ? 65534 : level;
}

function valueError(where: Where, reason: string, hint: string): BerthError {
  return new BerthError("OCI_CONF_VALUE", `Cannot use ${where.file}:${where.line}: ${reason}`, { hint });
}
