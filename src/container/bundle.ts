/** A bundle as its owner left it: config.json and the path of its root file system (oci-conf §8). Never written to. */
import { join, resolve } from "node:path";
import { BerthError } from "#job/errors.ts";
import { isObject, JsonSyntaxError, parseJson, type JsonObject } from "./json.ts";
import { NoTextError, readRegularText } from "./regular-text.ts";

export interface Bundle {
  readonly path: string;
  /** Freshly read: whoever opened the bundle may change it. */
  readonly config: JsonObject;
  /** Absolute. */
  readonly rootfs: string;
  /** `/process/env`, checked to be text. */
  readonly env: readonly string[];
}

/**
 * Synchronous, because it is on every step's way and a step daemon has nothing else to do until it is read.
 * @throws BerthError BUNDLE_MISSING, BUNDLE_CONFIG; the system's error is the cause where there was one
 */
export function readBundle(path: string): Bundle {
  const file = join(path, "config.json");
  const text = readConfig(path, file);
  const config = parseConfig(text, file);
  const root = config.get("root");
  const rootPath = isObject(root) ? root.get("path") : undefined;
  if (typeof rootPath !== "string" || rootPath === "" || rootPath.includes("\0")) {
    throw configError(
      file,
      `"root.path" ${rootPath === undefined ? "is missing" : "is not a path"}`,
      'set "root": {"path": "rootfs"} to the directory that holds the root file system',
    );
  }
  return { path, config, rootfs: resolve(path, rootPath), env: readEnv(config, file) };
}

function readConfig(bundle: string, file: string): string {
  const missing = (reason: string, hint: string, cause: unknown) =>
    new BerthError("BUNDLE_MISSING", `Cannot open bundle ${JSON.stringify(bundle)}: ${reason}`, { hint, cause });
  if (bundle === "") throw missing("No such file or directory", "--container wants the path of a bundle", undefined);
  try {
    return readRegularText(file);
  } catch (error) {
    if (error instanceof NoTextError) throw configError(file, error.message);
    switch ((error as NodeJS.ErrnoException).code) {
      case "ENOENT":
      case "ENOTDIR":
        throw missing(
          "No such file or directory: config.json",
          "--container wants a directory with config.json and rootfs on the node that runs the step",
          error,
        );
      case "EACCES":
      case "EPERM":
        throw missing("Permission denied: config.json", "make the bundle readable for the job's user", error);
      default:
        throw missing(String((error as NodeJS.ErrnoException).code ?? error), "read its config.json by hand to see what is wrong", error);
    }
  }
}

function parseConfig(text: string, file: string): JsonObject {
  try {
    const config = parseJson(text);
    if (isObject(config)) return config;
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw configError(`${file}:${error.line}`, `not JSON: ${error.message}`, 'make a fresh one with "runc spec --rootless"', error);
  }
  throw configError(file, "it is not a JSON object");
}

function readEnv(config: JsonObject, file: string): readonly string[] {
  const process = config.get("process");
  const env = isObject(process) ? process.get("env") : undefined;
  if (env === undefined || env === null) return [];
  if (!Array.isArray(env)) throw configError(file, '"process.env" is not a list');
  return env.map((entry, index) => {
    if (typeof entry !== "string" || entry.includes("\0")) throw configError(file, `"process.env[${index}]" is not a NAME=value text`);
    return entry;
  });
}

function configError(file: string, reason: string, hint?: string, cause?: unknown): BerthError {
  return new BerthError("BUNDLE_CONFIG", `Cannot use ${file}: ${reason}`, { ...(hint === undefined ? {} : { hint }), cause });
}

/** What is recorded of annotations at most, in characters of names and values: they come from whoever made the bundle. */
const MAX_ANNOTATIONS = 16_384;

/** Annotations (OCI runtime-spec, config.md): names with text values, up to a bound; other values are left out. */
export function readAnnotations({ config }: Bundle): Record<string, string> {
  const found = config.get("annotations");
  const kept: Record<string, string> = Object.create(null);
  if (!(found instanceof Map)) return kept;
  let room = MAX_ANNOTATIONS;
  for (const [name, value] of found) {
    if (typeof value !== "string") continue;
    room -= name.length + value.length;
    if (room < 0) break;
    kept[name] = value;
  }
  return kept;
}
