/** CDI edits into config.json (CDI specification, "OCI Edits"). */
import { statSync } from "node:fs";
import type { CdiHook, ContainerEdits, DeviceNode } from "./cdi-spec.ts";
import { openList, openObject, toJson, type JsonObject } from "./json.ts";
import type { MountPlan } from "./mounts.ts";

/**
 * Devices, hooks and groups; mounts go through `addCdiMounts`, the environment is the caller's.
 * @param isRootless a user may make no device nodes: the host's own are bound
 */
export function applyCdiEdits(config: JsonObject, edits: ContainerEdits, { isRootless }: { readonly isRootless: boolean }): void {
  for (const node of edits.deviceNodes) {
    if (isRootless) bindDevice(config, node);
    else makeDevice(config, node);
  }
  for (const hook of edits.hooks) openList(openObject(config, "hooks"), hook.hookName).push(hookJson(hook));
  if (edits.additionalGids.length === 0 || isRootless) return;
  const user = openObject(openObject(config, "process"), "user");
  const gids = openList(user, "additionalGids");
  gids.push(...edits.additionalGids.filter((gid) => !gids.includes(gid)));
}

/** Shallow paths first, so that a deeper mount is not hidden by a later one over it. */
export function addCdiMounts(plan: MountPlan, edits: ContainerEdits): void {
  const depth = (path: string) => path.split("/").filter((part) => part !== "").length;
  for (const mount of edits.mounts.toSorted((a, b) => depth(a.containerPath) - depth(b.containerPath))) {
    const options =
      mount.options.includes("bind") || mount.options.includes("rbind") || (mount.type !== null && mount.type !== "bind")
        ? mount.options
        : ["bind", ...mount.options];
    plan.add({
      destination: mount.containerPath,
      source: mount.hostPath,
      options,
      ...(mount.type === null || mount.type === "bind" ? {} : { type: mount.type }),
    });
  }
}

function hookJson({ path, args, env, timeout }: CdiHook): JsonObject {
  return toJson({
    path,
    ...(args.length === 0 ? {} : { args }),
    ...(env.length === 0 ? {} : { env }),
    ...(timeout === null ? {} : { timeout }),
  }) as JsonObject;
}

function bindDevice(config: JsonObject, { path, hostPath, permissions }: DeviceNode): void {
  const readOnly = permissions !== null && !permissions.includes("w") ? ["ro"] : [];
  openList(config, "mounts").push(
    toJson({ destination: path, type: "none", source: hostPath, options: ["bind", "nosuid", "noexec", ...readOnly] }),
  );
}

/** What the specification leaves out is as on the host; a device that is not there is left out, and the runtime is not asked for it. */
function makeDevice(config: JsonObject, node: DeviceNode): void {
  const host = statSync(node.hostPath, { throwIfNoEntry: false });
  const type =
    node.type ??
    (host?.isCharacterDevice() === true ? "c" : host?.isBlockDevice() === true ? "b" : host?.isFIFO() === true ? "p" : undefined);
  if (type === undefined) {
    if (host !== undefined) bindDevice(config, node); // no device file: whoever wrote it wants it there
    return;
  }
  const [major, minor] = [
    node.major ?? (host === undefined ? null : majorOf(host.rdev)),
    node.minor ?? (host === undefined ? null : minorOf(host.rdev)),
  ];
  if (type !== "p" && (major === null || minor === null)) return;
  const linux = openObject(config, "linux");
  const devices = openList(linux, "devices");
  const optional = Object.fromEntries(
    Object.entries({
      fileMode: node.fileMode ?? (host === undefined ? null : host.mode & 0o777),
      uid: node.uid ?? host?.uid ?? null,
      gid: node.gid ?? host?.gid ?? null,
    }).filter(([, value]) => value !== null),
  );
  devices.push(toJson({ path: node.path, type, ...(type === "p" ? {} : { major, minor }), ...optional }));
  if (type === "p") return;
  openList(openObject(linux, "resources"), "devices").push(toJson({ allow: true, type, major, minor, access: node.permissions ?? "rwm" }));
}

/** makedev(3), Linux: 12 bits of major and 20 of minor, interleaved. */
function majorOf(device: number): number {
  return Number((BigInt(device) >> 8n) & 0xfffn);
}

function minorOf(device: number): number {
  return Number((BigInt(device) & 0xffn) | ((BigInt(device) >> 12n) & 0xfff00n));
}
