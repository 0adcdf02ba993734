/** What is wrong with a bundle, before a job finds out: `berth bundle check`. Looks only; running it is lifecycle-check's. */
import { accessSync, constants, statSync } from "node:fs";
import { isAbsolute } from "node:path";
import { BerthError } from "#job/errors.ts";
import { readBundle, type Bundle } from "./bundle.ts";
import { isObject, type Json, type JsonObject } from "./json.ts";
import { findInRootfs } from "./rootfs.ts";

export interface Finding {
  /** `error`: no job can run in it; `warning`: some cannot, or it is slower than need be. */
  readonly level: "ok" | "warning" | "error";
  readonly what: string;
  readonly cure: string | null;
}

export function checkBundle(path: string, user: { readonly uid: number; readonly gid: number }): readonly Finding[] {
  let bundle: Bundle;
  try {
    bundle = readBundle(path);
  } catch (error) {
    if (!(error instanceof BerthError)) throw error;
    return [{ level: "error", what: error.message, cure: error.hint ?? null }];
  }
  const findings: Finding[] = [{ level: "ok", what: "config.json can be read", cure: null }];
  const rootfs = checkRootfs(bundle);
  findings.push(...rootfs);
  if (rootfs.some(({ level }) => level === "error")) return findings;
  return [...findings, ...checkShell(bundle), ...checkMountPoints(bundle), ...checkUser(bundle, user), ...checkHooks(bundle)];
}

function checkRootfs({ rootfs }: Bundle): readonly Finding[] {
  const stat = statSync(rootfs, { throwIfNoEntry: false });
  if (stat?.isDirectory() !== true)
    return [
      {
        level: "error",
        what: `the root file system ${rootfs} is not there`,
        cure: 'set "root.path" in config.json to the directory that holds it',
      },
    ];
  try {
    accessSync(rootfs, constants.R_OK | constants.X_OK);
  } catch {
    return [{ level: "error", what: `the root file system ${rootfs} cannot be entered`, cure: `chmod a+rx ${rootfs}` }];
  }
  return [{ level: "ok", what: `root file system: ${rootfs}`, cure: null }];
}

function checkShell({ rootfs }: Bundle): readonly Finding[] {
  const shell = findInRootfs(rootfs, "/bin/sh");
  if (shell.kind !== "missing") return [];
  return [
    {
      level: "warning",
      what: "there is no /bin/sh: batch scripts and --wrap cannot run",
      cure: "add a shell to the image, or run its programs with srun",
    },
  ];
}

/** In a shared or read-only image a runtime cannot make what is missing. */
function checkMountPoints({ rootfs, config }: Bundle): readonly Finding[] {
  const mounts = config.get("mounts");
  const destinations = (Array.isArray(mounts) ? mounts : []).flatMap((mount) =>
    isObject(mount) && typeof mount.get("destination") === "string" ? [mount.get("destination") as string] : [],
  );
  const missing = destinations.filter(
    (place, index) =>
      isAbsolute(place) &&
      findInRootfs(rootfs, place).kind === "missing" &&
      !destinations.slice(0, index).some((earlier) => place.startsWith(`${earlier.replace(/\/+$/, "")}/`)),
  );
  const findings = missing.map(
    (place): Finding => ({ level: "warning", what: `mount point ${place} is missing in the image`, cure: `mkdir -p ${rootfs}${place}` }),
  );
  return findings.length === 0 ? [{ level: "ok", what: "every mount point is there", cure: null }] : findings;
}

function checkUser({ config }: Bundle, user: { readonly uid: number; readonly gid: number }): readonly Finding[] {
  const linux = config.get("linux");
  const namespaces = isObject(linux) ? linux.get("namespaces") : undefined;
  const hasUser = Array.isArray(namespaces) && namespaces.some((item) => isObject(item) && item.get("type") === "user");
  if (!hasUser) {
    return user.uid === 0 ? [] : [{ level: "ok", what: "no user namespace: Berth adds one for each user (Slurm would not)", cure: null }];
  }
  const wrong = (["uid", "gid"] as const).filter((id) => !mapsTo((linux as JsonObject).get(`${id}Mappings`), user[id]));
  if (user.uid === 0 || wrong.length === 0) return [{ level: "ok", what: "its user namespace is this user's", cure: null }];
  return [
    {
      level: "error",
      what: `its user namespace maps other ids than yours (${wrong.map((id) => `${id} ${user[id]}`).join(", ")})`,
      cure: 'remove "uidMappings", "gidMappings" and the "user" namespace from config.json: Berth then adds each user\'s own',
    },
  ];
}

function mapsTo(mappings: Json | undefined, id: number): boolean {
  return (
    Array.isArray(mappings) &&
    mappings.some((mapping) => {
      if (!isObject(mapping)) return false;
      const [from, size] = [mapping.get("hostID"), mapping.get("size")];
      return typeof from === "number" && typeof size === "number" && id >= from && id < from + size;
    })
  );
}

function checkHooks({ config }: Bundle): readonly Finding[] {
  const hooks = config.get("hooks");
  if (!isObject(hooks)) return [];
  return [...hooks].flatMap(([name, list]) =>
    (Array.isArray(list) ? list : []).flatMap((hook): Finding[] => {
      const path = isObject(hook) ? hook.get("path") : undefined;
      // startContainer's run inside; all others are programs of the host.
      if (typeof path !== "string" || name === "startContainer" || statSync(path, { throwIfNoEntry: false }) !== undefined) return [];
      return [
        { level: "error", what: `hook ${name} is not on this host: ${path}`, cure: `install it, or set DisableHooks=${name} in oci.conf` },
      ];
    }),
  );
}
