/**
 * GPUs that an engine was asked for by name (`podman run --device nvidia.com/gpu=0`). config.json has only what became of the name, by the
 * specifications that we read too: a container with all device nodes of a device was given it.
 */
import { cdiDirs, CdiRegistry } from "#container/cdi.ts";
import { isObject, type Json, type JsonObject } from "#container/json.ts";

/** Other classes are no resource of a job unless somebody says so (`slurm.gres`): a camera may be anybody's. */
const CLASS = "gpu";

/** What every container has mounted there. */
const USUAL: ReadonlySet<string> = new Set(["/dev/pts", "/dev/shm", "/dev/mqueue"]);

export interface AskedDevice {
  /** `nvidia.com/gpu=0`. */
  readonly name: string;
  readonly id: number;
  /** In the container. */
  readonly paths: readonly string[];
}

/** The ones that make a job's size. `--privileged` gives a container everything that the host has, and asks for none of it. */
export function wishedDevices(config: JsonObject, registry?: CdiRegistry): readonly AskedDevice[] {
  return isPrivileged(config) ? [] : askedDevices(config, registry);
}

/** As engines make it: nothing of /proc is hidden, and every capability is there. */
function isPrivileged(config: JsonObject): boolean {
  const linux = config.get("linux");
  const masked = isObject(linux) ? linux.get("maskedPaths") : undefined;
  const process = config.get("process");
  const capabilities = isObject(process) ? process.get("capabilities") : undefined;
  const bounding = isObject(capabilities) ? capabilities.get("bounding") : undefined;
  return !(Array.isArray(masked) && masked.length > 0) && Array.isArray(bounding) && bounding.includes("CAP_SYS_MODULE");
}

/** By number: a specification also names devices by serial number, and all of them together. @throws BerthError CDI_SPEC */
export function askedDevices(config: JsonObject, registry?: CdiRegistry): readonly AskedDevice[] {
  const there = pathsIn(config);
  if (![...there].some((path) => path.startsWith("/dev/") && !USUAL.has(path))) return [];
  const known = registry ?? new CdiRegistry(cdiDirs());
  return known.names().flatMap((name) => {
    const [, number] = /^[^/]+\/gpu=([0-9]+)$/.exec(name) ?? [];
    const paths = (number === undefined ? undefined : known.ownEdits(name))?.deviceNodes.map(({ path }) => path) ?? [];
    return paths.length > 0 && paths.every((path) => there.has(path)) ? [{ name, id: Number(number), paths }] : [];
  });
}

function pathsIn(config: JsonObject): ReadonlySet<string> {
  const linux = config.get("linux");
  const devices = isObject(linux) ? linux.get("devices") : undefined;
  return new Set([...texts(devices, "path"), ...texts(config.get("mounts"), "destination")]);
}

function texts(list: Json | undefined, member: string): string[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((entry) => {
    const value = isObject(entry) ? entry.get(member) : undefined;
    return typeof value === "string" ? [value] : [];
  });
}

/** As salloc's --gres; undefined when there is none. */
export function gresOf(devices: readonly AskedDevice[]): string | undefined {
  return devices.length === 0 ? undefined : `${CLASS}:${devices.length}`;
}

/** What a refusal of the job has to do with them. */
export function explainRefusal(message: string, config: JsonObject): string {
  if (!/generic resource|node configuration is not available/i.test(message)) return message;
  const names = wishedDevices(config).map(({ name }) => name);
  return names.length === 0
    ? message
    : `${message} (the container's devices ${names.join(", ")} are asked for as --gres=${CLASS}:${names.length})`;
}

/** The job was given others: those that it was not given go. Their numbers too, from what the container may open. */
export function removeDevices(config: JsonObject, devices: readonly AskedDevice[]): void {
  const unwanted = new Set(devices.flatMap(({ paths }) => paths));
  const linux = config.get("linux");
  if (isObject(linux)) {
    const numbers = new Set<string>();
    linux.set(
      "devices",
      keep(linux.get("devices"), (entry) => {
        if (!unwanted.has(String(entry.get("path")))) return true;
        numbers.add(numberOf(entry));
        return false;
      }),
    );
    const resources = linux.get("resources");
    if (isObject(resources) && resources.has("devices")) {
      resources.set(
        "devices",
        keep(resources.get("devices"), (entry) => !numbers.has(numberOf(entry))),
      );
    }
  }
  config.set(
    "mounts",
    keep(config.get("mounts"), (entry) => !unwanted.has(String(entry.get("destination")))),
  );
}

function keep(list: Json | undefined, isWanted: (entry: JsonObject) => boolean): Json[] {
  return Array.isArray(list) ? list.filter((entry) => !isObject(entry) || isWanted(entry)) : [];
}

function numberOf(entry: JsonObject): string {
  return `${String(entry.get("type"))} ${String(entry.get("major"))}:${String(entry.get("minor"))}`;
}
