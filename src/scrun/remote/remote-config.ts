/**
 * config.json of an engine's container for another host: nothing of it may lead to what only this host has. Pure, but for a look at what
 * the mounts' sources are here.
 */
import { statSync } from "node:fs";
import { isObject, openList, printJson, toJson, type Json, type JsonObject } from "#container/json.ts";
import { addVariables, type BundleConfig } from "../config.ts";

/** hosts, resolv.conf, secrets: small ones go along. */
const MAX_FILE_BYTES = 1 << 20;

export interface RemoteConfig {
  /** Name in the box → path here. */
  readonly files: ReadonlyMap<string, string>;
  readonly args: readonly string[];
  print(onNode: { readonly rootfs: string; readonly box: string }): string;
}

/** Takes `config` over and changes it. */
export function makeRemoteConfig({ config }: BundleConfig, variables: Readonly<Record<string, string>>): RemoteConfig {
  const files = new Map<string, string>();
  const boxed: { readonly mount: JsonObject; readonly name: string }[] = [];
  const mounts = openList(config, "mounts");
  for (const mount of mounts) {
    if (!isObject(mount) || !isBind(mount)) continue;
    const source = mount.get("source");
    if (typeof source !== "string") continue;
    const kind = kindOf(source);
    if (kind === "file") {
      const name = `file-${files.size}`;
      files.set(name, source);
      boxed.push({ mount, name });
    } else if (mount.get("destination") === "/dev/shm") makePrivateShm(mount);
  }
  const linux = config.get("linux");
  if (isObject(linux)) {
    keepOwnNamespaces(linux);
    dropNetworkSettings(linux);
    for (const key of ["cgroupsPath", "resources", "uidMappings", "gidMappings", "mountLabel", "intelRdt"]) linux.delete(key);
  }
  config.delete("hooks"); // the engine's, for the engine's host
  const process = config.get("process");
  let args: readonly string[] = [];
  if (isObject(process)) {
    for (const key of ["apparmorProfile", "selinuxLabel", "oomScoreAdj", "rlimits"]) process.delete(key);
    addVariables(process, variables);
    args = openList(process, "args").map(String);
  }
  return {
    files,
    args,
    print: ({ rootfs, box }) => {
      for (const { mount, name } of boxed) mount.set("source", `${box}/${name}`);
      const root = config.get("root");
      if (isObject(root)) root.set("path", rootfs);
      return printJson(config);
    },
  };
}

function isBind(mount: JsonObject): boolean {
  const options = mount.get("options");
  return mount.get("type") === "bind" || (Array.isArray(options) && options.some((option) => option === "bind" || option === "rbind"));
}

function kindOf(source: string): "file" | "other" {
  const stat = statSync(source, { throwIfNoEntry: false });
  return stat?.isFile() === true && stat.size <= MAX_FILE_BYTES ? "file" : "other";
}

/** The engine's is a file system of its own host, for all containers of a pod. */
function makePrivateShm(mount: JsonObject): void {
  mount.set("type", "tmpfs");
  mount.set("source", "shm");
  mount.set("options", toJson(["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]));
}

/** Of a network namespace that the container has not: docker always sets some, and runtimes refuse them then. */
function dropNetworkSettings(linux: JsonObject): void {
  const settings = linux.get("sysctl");
  if (!isObject(settings)) return;
  for (const name of [...settings.keys()]) if (/^net[./]/.test(name)) settings.delete(name);
}

/** Those that are to be joined are on this host. The network is the node's, as of every job. */
function keepOwnNamespaces(linux: JsonObject): void {
  const namespaces = openList(linux, "namespaces");
  const kept = namespaces.filter((item) => isObject(item) && !["user", "network", "cgroup"].includes(String(item.get("type"))));
  for (const item of kept) if (isObject(item)) item.delete("path");
  linux.set("namespaces", kept as Json);
}
