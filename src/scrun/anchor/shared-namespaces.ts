/**
 * Namespaces of another container (`--pid container:NAME`, pods): engines name them by the pid that they know, `/proc/PID/ns/…`, which is not
 * the container's first process but who stands for it (stand-in.ts). The real runtime gets that process.
 */
import { readFileSync } from "node:fs";
import { isObject, type JsonObject } from "#container/json.ts";
import { type ContainerPlace, listPlaces } from "../place.ts";

export function nameRealProcesses(config: JsonObject, root: string): void {
  let known: ReadonlyMap<number, number> | undefined;
  for (const namespace of namespacesOf(config)) {
    const path = namespace.get("path");
    const [, pid, rest = ""] = typeof path === "string" ? (/^\/proc\/([0-9]+)(\/ns\/.*)$/.exec(path) ?? []) : [];
    if (pid === undefined) continue;
    known ??= firstProcesses(root);
    const first = known.get(Number(pid));
    if (first !== undefined) namespace.set("path", `/proc/${first}${rest}`);
  }
}

/** The container's own network namespace is one that is there already (WaitingNetwork). */
export function useNetwork(config: JsonObject, path: string): void {
  for (const namespace of namespacesOf(config)) if (namespace.get("type") === "network") namespace.set("path", path);
}

function namespacesOf(config: JsonObject): readonly JsonObject[] {
  const linux = config.get("linux");
  const namespaces = isObject(linux) ? linux.get("namespaces") : undefined;
  return Array.isArray(namespaces) ? namespaces.filter(isObject) : [];
}

/** The pids that engines have been told → those of the containers' first processes. */
function firstProcesses(root: string): ReadonlyMap<number, number> {
  const found = new Map<number, number>();
  for (const place of listPlaces(root)) {
    const first = readInit(place);
    const told = place.standIn() ?? place.read()?.anchor.pid;
    if (first !== undefined && told !== undefined) found.set(told, first);
  }
  return found;
}

function readInit(place: ContainerPlace): number | undefined {
  try {
    return Number(readFileSync(place.initPidFile, "latin1"));
  } catch {
    return undefined; // not made yet
  }
}
