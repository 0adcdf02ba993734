/** What scrun reads in config.json, and what it writes into the one that the real runtime gets (spec: scrun §6, §10.1). */
import { writeFileSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { isObject, JsonSyntaxError, openList, openObject, parseJson, printJson, type Json, type JsonObject } from "#container/json.ts";
import { NoTextError, readRegularText } from "#container/regular-text.ts";
import { BerthError } from "#job/errors.ts";

export interface Namespace {
  readonly type: string;
  /** Undefined: a new one. */
  readonly path: string | undefined;
}

export interface BundleConfig {
  readonly file: string;
  readonly config: JsonObject;
  readonly ociVersion: string;
  /** Absolute. */
  readonly rootfs: string;
  readonly hasTerminal: boolean;
  readonly namespaces: readonly Namespace[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string>>;
}

/** @throws BerthError BUNDLE_MISSING, BUNDLE_INVALID */
export function readConfig(bundle: string, configFile = join(bundle, "config.json")): BundleConfig {
  let text: string;
  try {
    text = readRegularText(configFile);
  } catch (error) {
    if (error instanceof NoTextError) throw new BerthError("BUNDLE_INVALID", `Cannot use ${configFile}: ${error.message}`);
    const reason = (error as NodeJS.ErrnoException).code === "ENOENT" ? "no such file or directory" : (error as Error).message;
    throw new BerthError("BUNDLE_MISSING", `Cannot read ${configFile}: ${reason}`, { cause: error });
  }
  const invalid = (what: string) => new BerthError("BUNDLE_INVALID", `Cannot use ${configFile}: ${what}`);
  let config: Json;
  try {
    config = parseJson(text);
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw invalid(`line ${error.line}: ${error.message}`);
    throw error;
  }
  if (!isObject(config)) throw invalid("it is no JSON object");
  const root = config.get("root");
  const rootPath = isObject(root) ? root.get("path") : undefined;
  if (typeof rootPath !== "string") throw invalid("root.path is no text");
  const ociVersion = config.get("ociVersion");
  if (typeof ociVersion !== "string") throw invalid("ociVersion is no text");
  const process = config.get("process");
  const terminal = isObject(process) ? (process.get("terminal") ?? false) : false;
  if (typeof terminal !== "boolean") throw invalid("process.terminal is neither true nor false");
  const env = isObject(process) ? (process.get("env") ?? []) : [];
  if (!Array.isArray(env) || !env.every((entry) => typeof entry === "string")) throw invalid("process.env is no list of texts");
  return {
    file: configFile,
    config,
    ociVersion,
    rootfs: resolve(bundle, rootPath),
    hasTerminal: terminal,
    namespaces: readNamespaces(config),
    annotations: readAnnotations(config.get("annotations") ?? null, invalid),
    environment: Object.fromEntries(env.map((entry) => splitVariable(entry as string))),
  };
}

function readNamespaces(config: JsonObject): Namespace[] {
  const linux = config.get("linux");
  const list = isObject(linux) ? linux.get("namespaces") : undefined;
  if (!Array.isArray(list)) return [];
  return list.flatMap((entry) => {
    if (!isObject(entry)) return [];
    const path = entry.get("path");
    return [{ type: String(entry.get("type")), path: typeof path === "string" && path !== "" ? path : undefined }];
  });
}

function readAnnotations(found: Json, invalid: (what: string) => BerthError): Record<string, string> {
  if (found === null) return {};
  if (!isObject(found)) throw invalid("annotations is no object");
  const annotations: Record<string, string> = {};
  for (const [name, value] of found) {
    if (value !== null && typeof value === "object") throw invalid(`annotation "${name}" is no text`);
    annotations[name] = String(value);
  }
  return annotations;
}

function splitVariable(entry: string): [string, string] {
  const equals = entry.indexOf("=");
  return equals < 0 ? [entry, ""] : [entry.slice(0, equals), entry.slice(equals + 1)];
}

export function hasPoststopHooks({ config }: BundleConfig): boolean {
  const hooks = config.get("hooks");
  const poststop = isObject(hooks) ? hooks.get("poststop") : undefined;
  return Array.isArray(poststop) && poststop.length > 0;
}

/**
 * The same container for the real runtime, from another directory: paths that were relative to the bundle are absolute, and
 * the job's variables are there, over the image's (spec: oci-conf §8.1).
 */
export function writeRuntimeConfig(
  { config }: BundleConfig,
  options: { readonly bundle: string; readonly target: string; readonly environment: Readonly<Record<string, string>> },
): void {
  const root = openObject(config, "root");
  const rootPath = root.get("path");
  if (typeof rootPath === "string") root.set("path", resolve(options.bundle, rootPath));
  const mounts = config.get("mounts");
  if (Array.isArray(mounts)) for (const mount of mounts) if (isObject(mount)) makeAbsolute(mount, options.bundle);
  const process = config.get("process");
  if (isObject(process)) addVariables(process, options.environment);
  writeFileSync(options.target, printJson(config), { mode: 0o600 });
}

function makeAbsolute(mount: JsonObject, bundle: string): void {
  const source = mount.get("source");
  const options = mount.get("options");
  const isBind = mount.get("type") === "bind" || (Array.isArray(options) && (options.includes("bind") || options.includes("rbind")));
  if (isBind && typeof source === "string" && !isAbsolute(source)) mount.set("source", resolve(bundle, source));
}

/** Replaces what is there by the same name. */
export function addVariables(process: JsonObject, variables: Readonly<Record<string, string>>): void {
  const kept = openList(process, "env").filter((entry) => typeof entry !== "string" || !Object.hasOwn(variables, splitVariable(entry)[0]));
  process.set("env", [...kept, ...Object.entries(variables).map(([name, value]) => `${name}=${value}`)]);
}
