/** The devices of a job's generic resources in its container, by CDI, as for containers of srun (docs/oci.md). */
import { cdiDirs, CdiRegistry, joinEdits } from "#container/cdi.ts";
import { applyCdiEdits } from "#container/cdi-edits.ts";
import { isObject, openList, openObject, toJson, type JsonObject } from "#container/json.ts";
import { askedDevices, removeDevices } from "../request/asked-devices.ts";
import { addVariables } from "../config.ts";

/**
 * What the engine has put there already stays as it is (`podman run --device nvidia.com/gpu=0`), unless the job was given another one of its
 * kind. Without specifications nothing is added.
 * @param isConfined in a user namespace no device nodes can be made: the host's own are bound
 * @throws BerthError CDI_SPEC, CDI_DEVICE
 */
export function addDevices(
  config: JsonObject,
  gres: Readonly<Record<string, readonly number[]>>,
  { isConfined, dirs = cdiDirs() }: { readonly isConfined: boolean; readonly dirs?: readonly string[] },
): void {
  const registry = new CdiRegistry(dirs);
  const edits = joinEdits(Object.entries(gres).flatMap(([name, ids]) => (ids.length === 0 ? [] : (registry.editsFor(name, ids) ?? []))));
  const granted = new Set(gres["gpu"] ?? []);
  if (granted.size > 0) {
    const others = askedDevices(config, registry).filter(({ id }) => !granted.has(id));
    if (others.length > 0) removeDevices(config, others);
  }
  const there = new Set<unknown>();
  for (const mount of openList(config, "mounts")) if (isObject(mount)) there.add(mount.get("destination"));
  for (const device of openList(openObject(config, "linux"), "devices")) if (isObject(device)) there.add(device.get("path"));
  applyCdiEdits(config, { ...edits, deviceNodes: edits.deviceNodes.filter(({ path }) => !there.has(path)) }, { isRootless: isConfined });
  for (const { containerPath, hostPath, type, options } of edits.mounts) {
    if (there.has(containerPath)) continue;
    const isBind = type === null || type === "bind";
    const all = isBind && !options.includes("bind") && !options.includes("rbind") ? ["bind", ...options] : options;
    openList(config, "mounts").push(toJson({ destination: containerPath, source: hostPath, type: isBind ? "bind" : type, options: all }));
  }
  const variables = edits.env.map((entry): [string, string] => [entry.split("=", 1)[0] ?? "", entry.slice(entry.indexOf("=") + 1)]);
  addVariables(openObject(config, "process"), Object.fromEntries(variables));
}
