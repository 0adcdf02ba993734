/**
 * Whether the real runtime can limit a container by a cgroup controller, told by the tree as the runtime is going to find it: nothing is tried, and
 * in doubt the answer is no, because a runtime that cannot apply a limit makes no container. Version 1, version 2, and systemd's own.
 */
import { constants, existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { isObject, type JsonObject } from "#container/json.ts";
import { canAccess } from "#platform/system.ts";
import { realUserId } from "#platform/users.ts";

export type Controller = "memory" | "cpu";

/** The file that a limit is written to, by version. */
const LIMIT_FILE = {
  memory: { 1: "memory.limit_in_bytes", 2: "memory.max" },
  cpu: { 1: "cpu.cfs_quota_us", 2: "cpu.max" },
} as const;

export interface CgroupFacts {
  readonly config: JsonObject;
  readonly id: string;
  readonly isSystemd: boolean;
}

/** What a test puts in place of the host's. */
export interface CgroupHost {
  readonly root: string;
  /** /proc/self/cgroup: the runtime starts where we are. */
  readonly own: string;
  readonly userId: number;
}

export function thisHost(): CgroupHost {
  return { root: "/sys/fs/cgroup", own: readText("/proc/self/cgroup"), userId: realUserId() };
}

/** Where a container's cgroup is in the controller's hierarchy; undefined when no limit could be set there. */
export interface LimitPlace {
  readonly version: 1 | 2;
  /** The nearest directory that is there; undefined when systemd makes it. */
  readonly nearest: string | undefined;
}

export function findLimitPlace(controller: Controller, facts: CgroupFacts, host: CgroupHost = thisHost()): LimitPlace | undefined {
  const version = versionOf(controller, host.root);
  if (version === undefined) return undefined;
  if (facts.isSystemd) return systemdCan(controller, version, host) ? { version, nearest: undefined } : undefined;
  const hierarchy = version === 1 ? join(host.root, controller) : host.root;
  const places = pathsOf(facts, ownPath(controller, version, host)).map((path) => placeAt(controller, version, join(hierarchy, path)));
  return places.every((place) => place !== undefined) ? places[0] : undefined;
}

function versionOf(controller: Controller, root: string): 1 | 2 | undefined {
  if (existsSync(join(root, controller, LIMIT_FILE.memory[1])) || existsSync(join(root, controller, "cgroup.procs"))) return 1;
  return existsSync(join(root, "cgroup.controllers")) ? 2 : undefined;
}

/** `linux.cgroupsPath`: absolute, or below the caller's own. Without one it is one of two, by runtime. */
function pathsOf({ config, id }: CgroupFacts, own: string): string[] {
  const linux = config.get("linux");
  const path = isObject(linux) ? linux.get("cgroupsPath") : undefined;
  if (typeof path !== "string" || path === "") return [join(own, id), join("/", id)];
  return [path.startsWith("/") ? path : join(own, path)];
}

function ownPath(controller: Controller, version: 1 | 2, { own }: CgroupHost): string {
  for (const line of own.split("\n")) {
    const [, controllers = "", path = "/"] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (version === 2 ? line.startsWith("0::") : controllers.split(",").includes(controller)) return path;
  }
  return "/";
}

function placeAt(controller: Controller, version: 1 | 2, target: string): LimitPlace | undefined {
  if (existsSync(target)) {
    return isWritable(join(target, LIMIT_FILE[controller][version])) ? { version, nearest: target } : undefined;
  }
  let nearest = dirname(target);
  while (!existsSync(nearest) && nearest !== "/") nearest = dirname(nearest);
  if (!isWritable(nearest) || !existsSync(join(nearest, "cgroup.procs"))) return undefined;
  return version === 1 || canEnable(controller, nearest) ? { version, nearest } : undefined;
}

/** For children of a directory of version 2 (cgroups(7), "no internal processes"). */
function canEnable(controller: Controller, dir: string): boolean {
  if (wordsOf(join(dir, "cgroup.subtree_control")).has(controller)) return true;
  const isRoot = !existsSync(join(dir, "cgroup.type"));
  const isEmpty = readText(join(dir, "cgroup.procs")) === "";
  return wordsOf(join(dir, "cgroup.controllers")).has(controller) && isWritable(join(dir, "cgroup.subtree_control")) && (isRoot || isEmpty);
}

/** It does not say what it could not set. A user's manager has what was delegated to it, with version 2 only. */
function systemdCan(controller: Controller, version: 1 | 2, { root, userId }: CgroupHost): boolean {
  if (userId === 0) return version === 1 || wordsOf(join(root, "cgroup.controllers")).has(controller);
  const manager = join(root, `user.slice/user-${userId}.slice/user@${userId}.service`);
  return version === 2 && wordsOf(join(manager, "cgroup.controllers")).has(controller);
}

function wordsOf(file: string): ReadonlySet<string> {
  return new Set(readText(file).trim().split(" "));
}

function isWritable(path: string): boolean {
  return canAccess(path, constants.W_OK);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
