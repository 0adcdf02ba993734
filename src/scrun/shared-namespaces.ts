/**
 * Namespaces of another container (`--pid container:NAME`, pods): engines name them by the pid that they know, `/proc/PID/ns/…`, which is not
 * the container's first process but who stands for it (stand-in.ts). The real runtime gets that process. While the other one's job waits it has
 * none, and what the engine's pid leads to are our own namespaces: so the job follows the other one's (create), and the
 * container is made when it is there (anchor/follow-others.ts).
 */
import { readFileSync } from "node:fs";
import { isObject, type JsonObject } from "#container/json.ts";
import { type ContainerPlace, listPlaces } from "./place.ts";

interface Joined {
  readonly namespace: JsonObject;
  readonly pid: number;
  /** Behind the pid. */
  readonly rest: string;
}

export function nameRealProcesses(config: JsonObject, root: string): void {
  for (const [place, { namespace, rest }] of joinedContainers(config, root)) {
    const first = readInit(place);
    if (first !== undefined) namespace.set("path", `/proc/${first}${rest}`);
  }
}

/** The container's own network namespace is one that is there already (WaitingNetwork). */
export function useNetwork(config: JsonObject, path: string): void {
  for (const namespace of namespacesOf(config)) if (namespace.get("type") === "network") namespace.set("path", path);
}

/** Of those whose namespaces it joins the ones that have no process yet. */
export function findUnmade(config: JsonObject, root: string): readonly ContainerPlace[] {
  return [...new Set(joinedContainers(config, root).map(([place]) => place))].filter((place) => readInit(place) === undefined);
}

function joinedContainers(config: JsonObject, root: string): readonly (readonly [ContainerPlace, Joined])[] {
  const joined = joinedPids(config);
  if (joined.length === 0) return [];
  const known = new Map<number, ContainerPlace>();
  for (const place of listPlaces(root)) {
    const told = place.standIn() ?? place.read()?.anchor.pid;
    if (told !== undefined) known.set(told, place);
  }
  return joined.flatMap((entry) => {
    const place = known.get(entry.pid);
    return place === undefined ? [] : [[place, entry] as const];
  });
}

function joinedPids(config: JsonObject): readonly Joined[] {
  return namespacesOf(config).flatMap((namespace): Joined[] => {
    const path = namespace.get("path");
    const [, pid, rest = ""] = typeof path === "string" ? (/^\/proc\/([0-9]+)(\/ns\/.*)$/.exec(path) ?? []) : [];
    return pid === undefined ? [] : [{ namespace, pid: Number(pid), rest }];
  });
}

function namespacesOf(config: JsonObject): readonly JsonObject[] {
  const linux = config.get("linux");
  const namespaces = isObject(linux) ? linux.get("namespaces") : undefined;
  return Array.isArray(namespaces) ? namespaces.filter(isObject) : [];
}

/** Undefined while it is not made. */
export function readInit(place: ContainerPlace): number | undefined {
  try {
    const pid = Number(readFileSync(place.initPidFile, "latin1"));
    return pid > 1 ? pid : undefined; // it may be half written
  } catch {
    return undefined;
  }
}
