/**
 * Namespaces of another container (`--pid container:NAME`, pods): engines name them by the pid that they know, `/proc/PID/ns/…`, which is not
 * the container's first process but who stands for it (stand-in.ts). The real runtime gets that process.
 */
import { readFileSync } from "node:fs";
import { isObject, type JsonObject } from "#container/json.ts";
import { type ContainerPlace, listPlaces } from "../place.ts";

export function nameRealProcesses(config: JsonObject, root: string): void {
  const linux = config.get("linux");
  const namespaces = isObject(linux) ? linux.get("namespaces") : undefined;
  if (!Array.isArray(namespaces)) return;
  let known: ReadonlyMap<number, number> | undefined;
  for (const namespace of namespaces) {
    const path = isObject(namespace) ? namespace.get("path") : undefined;
    const [, pid, rest = ""] = typeof path === "string" ? (/^\/proc\/([0-9]+)(\/ns\/.*)$/.exec(path) ?? []) : [];
    if (pid === undefined || !isObject(namespace)) continue;
    known ??= firstProcesses(root);
    const first = known.get(Number(pid));
    if (first !== undefined) namespace.set("path", `/proc/${first}${rest}`);
  }
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
