/**
 * What a config.json written for root needs before an ordinary user can run it: a user namespace of one id, and
 * none of the things that need rights on the host. Source: user_namespaces(7), cgroups(7), the OCI runtime spec
 * ("Linux Container Configuration"), and what runc 1.1.5 and crun 1.8.1 refuse.
 *
 * A config that names a user namespace is left as it is: whoever wrote it chose the maps. Namespaces are only
 * added, never taken away, so a bundle that asks for a network of its own keeps it.
 */
import { existsSync, readFileSync } from "node:fs";
import type { IdRange, SubordinateIds } from "./subordinate-ids.ts";
import { isObject, openList, openObject, toJson, type Json, type JsonObject } from "./json.ts";

export interface Ids {
  readonly uid: number;
  readonly gid: number;
  /** For an image with files of several users. */
  readonly subordinate?: SubordinateIds | null;
}

/**
 * Changes `config` in place.
 * @param runtime runc 1.1 wants the container's id 0 to be mapped, so that another user of config.json becomes 0
 *   there (the process is the same user of the host either way); crun maps any id
 */
export function completeForRootless(config: JsonObject, host: Ids, runtime: "crun" | "other"): void {
  const linux = openObject(config, "linux");
  const namespaces = openList(linux, "namespaces");
  const has = (type: string) => namespaces.some((item) => isObject(item) && item.get("type") === type);
  if (has("user")) return;
  if (!has("mount")) namespaces.push(toJson({ type: "mount" }));
  namespaces.push(toJson({ type: "user" }));
  const process = openObject(config, "process");
  const user = openObject(process, "user");
  const range = host.subordinate ?? null;
  if (range === null) {
    if (runtime !== "crun") for (const id of ["uid", "gid"]) user.set(id, 0);
    user.delete("additionalGids"); // setgroups(2) is off where only one id is mapped
  }
  const inside = containerIds(user);
  const map = (id: number, hostId: number, more: IdRange | undefined) =>
    toJson(
      more === undefined
        ? [{ containerID: id, hostID: hostId, size: 1 }]
        : [
            { containerID: 0, hostID: hostId, size: 1 },
            { containerID: 1, hostID: more.start, size: more.count },
          ],
    );
  linux.set("uidMappings", map(inside.uid, host.uid, range?.uids));
  linux.set("gidMappings", map(inside.gid, host.gid, range?.gids));
  linux.delete("resources"); // no delegated cgroup: the step's own limits hold instead
  linux.delete("cgroupsPath");
  const score = process.get("oomScoreAdj");
  if (typeof score === "number" && score < ownOomScore()) process.delete("oomScoreAdj");
  lowerLimits(process);
  const mounts = openList(config, "mounts");
  for (const mount of mounts)
    if (isObject(mount))
      adaptMount(mount, (name, id) => (range === null ? id === inside[name] : id <= range[`${name}s`].count), has("network"));
  bindDevices(linux, mounts);
}

/** mknod(2) is root's: the host's own devices are bound instead, where there are such. */
function bindDevices(linux: JsonObject, mounts: Json[]): void {
  const devices = linux.get("devices");
  if (!Array.isArray(devices)) return;
  linux.delete("devices");
  for (const device of devices) {
    const path = isObject(device) ? device.get("path") : undefined;
    if (typeof path === "string" && path.startsWith("/dev/") && existsSync(path)) {
      mounts.push(toJson({ destination: path, type: "none", source: path, options: ["bind", "nosuid", "noexec"] }));
    }
  }
}

function containerIds(user: JsonObject): { readonly uid: number; readonly gid: number } {
  const id = (name: string) => {
    const value = user.get(name);
    return typeof value === "number" && value >= 0 && value < 2 ** 32 - 1 ? value : 0;
  };
  return { uid: id("uid"), gid: id("gid") };
}

function adaptMount(mount: JsonObject, hasId: (name: "uid" | "gid", id: number) => boolean, hasOwnNetwork: boolean): void {
  const options = mount.get("options");
  const kept = Array.isArray(options) ? options.filter((option) => isMapped(option, hasId)) : [];
  if (Array.isArray(options)) mount.set("options", kept);
  switch (mount.get("type")) {
    case "sysfs": // only the owner of a network namespace may mount one
      if (hasOwnNetwork) return;
      mount.set("type", "none");
      mount.set("source", "/sys");
      mount.set("options", union(["rbind"], kept, ["nosuid", "noexec", "nodev", "ro"]));
      return;
    case "cgroup":
    case "cgroup2":
      if (!kept.includes("ro") && !kept.includes("rw")) mount.set("options", [...kept, "ro"]);
      return;
  }
}

/** An option `uid=5` or `gid=5` needs an id that exists inside. */
function isMapped(option: Json, hasId: (name: "uid" | "gid", id: number) => boolean): boolean {
  const match = typeof option === "string" ? /^(uid|gid)=([0-9]+)$/.exec(option) : null;
  return match === null || hasId(match[1] as "uid" | "gid", Number(match[2]));
}

function union(...lists: readonly (readonly Json[])[]): Json[] {
  return [...new Set(lists.flat())];
}

function ownOomScore(): number {
  try {
    return Number(readFileSync("/proc/self/oom_score_adj", "latin1"));
  } catch {
    return 0;
  } // no /proc: then only raising is safe
}

const LIMIT_NAMES: Readonly<Record<string, string>> = {
  RLIMIT_AS: "Max address space",
  RLIMIT_CORE: "Max core file size",
  RLIMIT_CPU: "Max cpu time",
  RLIMIT_DATA: "Max data size",
  RLIMIT_FSIZE: "Max file size",
  RLIMIT_LOCKS: "Max file locks",
  RLIMIT_MEMLOCK: "Max locked memory",
  RLIMIT_MSGQUEUE: "Max msgqueue size",
  RLIMIT_NICE: "Max nice priority",
  RLIMIT_NOFILE: "Max open files",
  RLIMIT_NPROC: "Max processes",
  RLIMIT_RSS: "Max resident set",
  RLIMIT_RTPRIO: "Max realtime priority",
  RLIMIT_RTTIME: "Max realtime timeout",
  RLIMIT_SIGPENDING: "Max pending signals",
  RLIMIT_STACK: "Max stack size",
};

/** Nobody but root may raise a hard limit: ask for no more than there is. */
function lowerLimits(process: JsonObject): void {
  const rlimits = process.get("rlimits");
  if (!Array.isArray(rlimits) || rlimits.length === 0) return;
  let table: string;
  try {
    table = readFileSync("/proc/self/limits", "latin1");
  } catch {
    return;
  } // no /proc: the runtime will say so
  for (const rlimit of rlimits) {
    if (!isObject(rlimit)) continue;
    const name = LIMIT_NAMES[String(rlimit.get("type"))];
    const at = name === undefined ? -1 : table.indexOf(`\n${name} `);
    if (name === undefined || at === -1) continue;
    const hard = Number(
      table
        .slice(at + 1 + name.length, table.indexOf("\n", at + 1))
        .trim()
        .split(/ +/)[1],
    );
    if (Number.isNaN(hard)) continue; // unlimited
    for (const which of ["hard", "soft"]) {
      const value = rlimit.get(which);
      if (typeof value !== "number" || value > hard) rlimit.set(which, hard); // a number too long to be one is above any limit
    }
  }
}
