/**
 * One CDI specification: a vendor's file as `nvidia-ctk cdi generate` writes it, in YAML or JSON. Source: the CDI specification
 * (container-device-interface, SPEC.md, 0.3.0 to 1.0.0). Keys that we do not know are ignored.
 */
import { BerthError } from "#job/errors.ts";

export interface DeviceNode {
  /** In the container. */
  readonly path: string;
  readonly hostPath: string;
  readonly type: string | null;
  readonly major: number | null;
  readonly minor: number | null;
  readonly fileMode: number | null;
  readonly permissions: string | null;
  readonly uid: number | null;
  readonly gid: number | null;
}
export interface CdiMount {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly type: string | null;
  readonly options: readonly string[];
}
export interface CdiHook {
  readonly hookName: string;
  readonly path: string;
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly timeout: number | null;
}

export interface ContainerEdits {
  readonly env: readonly string[];
  readonly deviceNodes: readonly DeviceNode[];
  readonly mounts: readonly CdiMount[];
  readonly hooks: readonly CdiHook[];
  readonly additionalGids: readonly number[];
}

export interface CdiSpec {
  /** `vendor/class`, "nvidia.com/gpu". */
  readonly kind: string;
  readonly edits: ContainerEdits;
  readonly devices: ReadonlyMap<string, ContainerEdits>;
}

const MAX_ITEMS = 10_000;
const HOOK_NAMES = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/** @throws BerthError CDI_SPEC with the file's name */
export function parseCdiSpec(text: string, file: string): CdiSpec {
  let data: unknown;
  try {
    data = file.endsWith(".json") ? JSON.parse(text) : Bun.YAML.parse(text);
  } catch (error) {
    throw specError(file, `not ${file.endsWith(".json") ? "JSON" : "YAML"}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const spec = new Reader(file, "").object(data, "it");
  const version = spec.text("cdiVersion");
  if (!/^v?[01]\.\d+(\.\d+)?$/.test(version)) throw specError(file, `cdiVersion ${JSON.stringify(version)} is not known`);
  const kind = spec.text("kind");
  if (!/^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*$/.test(kind)) throw specError(file, `kind ${JSON.stringify(kind)} is not vendor/class`);
  const devices = new Map<string, ContainerEdits>();
  for (const device of spec.objects("devices")) {
    const name = device.textOrNumber("name");
    if (!/^[A-Za-z0-9][\w.:-]*$/.test(name)) throw specError(file, `device name ${JSON.stringify(name)} is not one`);
    if (devices.has(name)) throw specError(file, `device ${JSON.stringify(name)} comes twice`);
    devices.set(name, editsOf(device.optionalObject("containerEdits")));
  }
  return { kind, devices, edits: editsOf(spec.optionalObject("containerEdits")) };
}

function editsOf(reader: Reader | undefined): ContainerEdits {
  if (reader === undefined) return { env: [], deviceNodes: [], mounts: [], hooks: [], additionalGids: [] };
  return {
    env: reader
      .texts("env")
      .map((entry) =>
        entry.includes("=") && !entry.startsWith("=") ? entry : reader.fail(`env ${JSON.stringify(entry)} is not NAME=value`),
      ),
    deviceNodes: reader.objects("deviceNodes").map((node) => {
      const path = node.path("path");
      return {
        path,
        hostPath: node.has("hostPath") ? node.path("hostPath") : path,
        type: node.optionalText("type"),
        permissions: node.optionalText("permissions"),
        major: node.number("major"),
        minor: node.number("minor"),
        fileMode: node.number("fileMode"),
        uid: node.number("uid"),
        gid: node.number("gid"),
      };
    }),
    mounts: reader.objects("mounts").map((mount) => ({
      hostPath: mount.path("hostPath"),
      containerPath: mount.path("containerPath"),
      type: mount.optionalText("type"),
      options: mount.texts("options"),
    })),
    hooks: reader.objects("hooks").map((hook) => {
      const hookName = hook.text("hookName");
      if (!HOOK_NAMES.includes(hookName)) hook.fail(`hookName ${JSON.stringify(hookName)} is not one of ${HOOK_NAMES.join(", ")}`);
      return { hookName, path: hook.path("path"), args: hook.texts("args"), env: hook.texts("env"), timeout: hook.number("timeout") };
    }),
    additionalGids: reader.numbers("additionalGids"),
  };
}

/** Reads members of an object that came from outside; every complaint names file and member. */
class Reader {
  readonly #file: string;
  readonly #at: string;
  #members: Record<string, unknown> = {};

  constructor(file: string, at: string) {
    this.#file = file;
    this.#at = at;
  }

  fail(reason: string): never {
    throw specError(this.#file, `${this.#at === "" ? "" : `${this.#at}: `}${reason}`);
  }

  object(value: unknown, name: string): Reader {
    if (typeof value !== "object" || value === null || Array.isArray(value)) this.fail(`${name} is not an object`);
    const reader = new Reader(this.#file, name === "it" ? "" : `${this.#at === "" ? "" : `${this.#at}.`}${name}`);
    reader.#members = value as Record<string, unknown>;
    return reader;
  }

  #get(name: string): unknown {
    return Object.hasOwn(this.#members, name) ? (this.#members[name] ?? undefined) : undefined;
  }

  has(name: string): boolean {
    return this.#get(name) !== undefined;
  }

  text(name: string): string {
    return this.optionalText(name) ?? this.fail(`${name} is missing`);
  }

  optionalText(name: string): string | null {
    const value = this.#get(name);
    if (value === undefined) return null;
    return typeof value === "string" && !value.includes("\0") ? value : this.fail(`${name} is not text`);
  }

  /** YAML writes "0" as a number when nobody quotes it. */
  textOrNumber(name: string): string {
    const value = this.#get(name);
    return typeof value === "number" && Number.isSafeInteger(value) ? String(value) : this.text(name);
  }

  path(name: string): string {
    const path = this.text(name);
    return path.startsWith("/") ? path : this.fail(`${name} ${JSON.stringify(path)} is not an absolute path`);
  }

  number(name: string): number | null {
    const value = this.#get(name);
    if (value === undefined) return null;
    return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : this.fail(`${name} is not a number`);
  }

  #list(name: string): readonly unknown[] {
    const value = this.#get(name);
    if (value === undefined) return [];
    if (!Array.isArray(value)) this.fail(`${name} is not a list`);
    if (value.length > MAX_ITEMS) this.fail(`${name} has more than ${MAX_ITEMS} entries`);
    return value;
  }

  texts(name: string): readonly string[] {
    return this.#list(name).map((value) =>
      typeof value === "string" && !value.includes("\0") ? value : this.fail(`${name} has an entry that is not text`),
    );
  }

  numbers(name: string): readonly number[] {
    return this.#list(name).map((value) =>
      typeof value === "number" && Number.isSafeInteger(value) && value > 0
        ? value
        : this.fail(`${name} has an entry that is not a number`),
    );
  }

  objects(name: string): readonly Reader[] {
    return this.#list(name).map((value, index) => this.object(value, `${name}[${index}]`));
  }

  optionalObject(name: string): Reader | undefined {
    const value = this.#get(name);
    return value === undefined ? undefined : this.object(value, name);
  }
}

export function specError(file: string, reason: string): BerthError {
  return new BerthError("CDI_SPEC", `Cannot use ${file}: ${reason}`, { hint: "make it anew (nvidia-ctk cdi generate), or remove it" });
}
