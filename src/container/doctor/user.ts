/** What the user has on this host: ids for the users of images, and a directory for records of containers. */
import { existsSync } from "node:fs";
import { directories, isUsableRuntimeDir } from "#platform/directories.ts";
import { read, type Diagnosis, type Host } from "./host.ts";

export function subordinateIds(host: Host): Diagnosis[] {
  const why = "images with several users (podman, docker, most of a registry) need a range of ids; one user's bundles do not";
  const has = (file: string) =>
    read(file)
      ?.split("\n")
      .some((line) => line.startsWith(`${host.user}:`) || line.startsWith(`${host.uid}:`)) === true;
  const missing = ["subuid", "subgid"].filter((name) => !has(`/etc/${name}`));
  const tool = host.find("newuidmap");
  if (host.uid === 0) return [{ name: "subordinate ids", state: "info", found: "not needed: you are root", why, cure: null }];
  if (missing.length > 0) {
    return [
      {
        name: "subordinate ids",
        state: "warning",
        found: `no line for ${host.user} in ${missing.map((name) => `/etc/${name}`).join(" and ")}`,
        why,
        cure: `sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${host.user}`,
      },
    ];
  }
  if (tool === undefined)
    return [
      {
        name: "subordinate ids",
        state: "warning",
        found: "newuidmap is not installed",
        why,
        cure: "sudo apt-get install uidmap (Fedora: shadow-utils)",
      },
    ];
  return [{ name: "subordinate ids", state: "ok", found: `ranges for ${host.user}, and ${tool}`, why, cure: null }];
}

export function runtimeDirectory(host: Host): Diagnosis[] {
  const why = "runtimes keep their records in it; it must be there when nobody is logged in, too";
  const path = process.env["XDG_RUNTIME_DIR"];
  const own = `/run/user/${host.uid}`;
  const isUsable = path !== undefined && isUsableRuntimeDir(path, host.uid);
  const found: Diagnosis = {
    name: "XDG_RUNTIME_DIR",
    why,
    state: isUsable ? "ok" : "warning",
    found:
      path === undefined
        ? `not set: Berth uses ${directories().runtime}`
        : isUsable
          ? path
          : `${path} is not there, not yours, or others may write to it`,
    cure: isUsable ? null : existsSync(own) ? `export XDG_RUNTIME_DIR=${own}` : `sudo loginctl enable-linger ${host.user}`,
  };
  if (host.uid === 0 || !existsSync("/run/systemd/system")) return [found];
  const lingers = existsSync(`/var/lib/systemd/linger/${host.user}`);
  return [
    found,
    {
      name: "lingering",
      state: lingers ? "ok" : "warning",
      found: lingers ? "on" : "off",
      why: `without it ${own} goes when you log out, and with it the records of running containers`,
      cure: lingers ? null : `loginctl enable-linger ${host.user}`,
    },
  ];
}
