/** What of this host decides how podman and docker are to be set up. */
import { constants, existsSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { targetOfLauncher } from "../launcher/launcher.ts";
import { canAccess } from "#platform/system.ts";
import { findProgram, isProgram } from "#platform/find-program.ts";
import { selfPath } from "#platform/self.ts";
import { ownAccount } from "#platform/users.ts";

export interface Host {
  /** The link that engines are to call. */
  readonly scrun: string;
  /** slirp4netns is installed and may open /dev/net/tun. */
  readonly hasSlirp: boolean;
  /** A service manager for these processes: the user's own for rootless engines. */
  readonly hasServiceManager: boolean;
  readonly hasJournal: boolean;
  /** systemd ends what a user runs with his last session, and empties his runtime directory, unless he lingers (loginctl(1)). */
  readonly endsWithSession: boolean;
  /** Type of the network file system that holds the image store; undefined when it is a local one. */
  readonly networkStore: string | undefined;
  /** An image store is there already: podman keeps to the storage driver that made it. */
  readonly hasStore: boolean;
  /** The engine in use talks to its controller over the network. */
  readonly usesNetwork: boolean;
}

/** proc_mounts(5) names of file systems that other hosts write to as well. */
const NETWORK_FILE_SYSTEM =
  /^(nfs4?|cifs|smb3|lustre|gpfs|beegfs|ceph|fuse\.(ceph|sshfs|glusterfs)|glusterfs|orangefs|pvfs2|afs|9p|panfs|wekafs)$/;

export function lookAtHost(options: {
  readonly isSystem: boolean;
  readonly scrun: string | undefined;
  readonly usesNetwork: boolean;
}): Host {
  const { isSystem, usesNetwork } = options;
  const runtimeDir = process.env["XDG_RUNTIME_DIR"] ?? "";
  const dataHome = process.env["XDG_DATA_HOME"] ?? join(process.env["HOME"] ?? "/", ".local/share");
  const store = isSystem ? "/var/lib/containers/storage" : join(dataHome, "containers/storage");
  const hasServiceManager = isSystem ? existsSync("/run/systemd/system") : existsSync(join(runtimeDir, "systemd/private"));
  return {
    scrun: findScrun(options.scrun),
    hasSlirp:
      canAccess("/dev/net/tun", constants.R_OK | constants.W_OK) && findProgram("slirp4netns", process.env["PATH"] ?? "") !== undefined,
    hasServiceManager,
    hasJournal: existsSync("/run/systemd/journal/socket"),
    endsWithSession: !isSystem && hasServiceManager && !existsSync(join("/var/lib/systemd/linger", ownAccount().name)),
    networkStore: networkFileSystemOf(store, readFileSync("/proc/self/mounts", "utf8")),
    hasStore: existsSync(store),
    usesNetwork,
  };
}

/** Engines tell runtimes apart by name: it takes a launcher, or a link, called scrun. */
function findScrun(wanted: string | undefined): string {
  const self = selfPath();
  if (wanted !== undefined) {
    if (!wanted.startsWith("/") || !isProgram(wanted))
      throw new BerthError("SETUP_SCRUN", `Cannot use "${wanted}" as scrun: it is not the absolute path of a program`, {
        hint: "make one: berth link DIR",
      });
    return wanted;
  }
  const dirs = [...(process.env["PATH"] ?? "").split(":"), ...(self === undefined ? [] : [dirname(self)])];
  const found = dirs
    .filter((dir) => dir.startsWith("/"))
    .map((dir) => join(dir, "scrun"))
    .find((path) => self !== undefined && isProgram(path) && isSame(targetOfLauncher(path) ?? path, self));
  if (found === undefined)
    throw new BerthError("SETUP_SCRUN", "Cannot find a scrun in PATH that is this berth", {
      hint: "make one with berth link DIR, and name it: --scrun DIR/scrun",
    });
  return found;
}

function isSame(path: string, other: string): boolean {
  return existsSync(path) && realpathSync(path) === realpathSync(other);
}

/** The longest mount point above `path` decides. Pure. */
export function networkFileSystemOf(path: string, mounts: string): string | undefined {
  let best = { at: "", type: "" };
  for (const line of mounts.split("\n")) {
    const [, rawPoint = "", type = ""] = line.split(" ");
    const at = rawPoint.replace(/\\([0-7]{3})/g, (_all, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    const isAbove = at === "/" || path === at || path.startsWith(`${at}/`);
    if (at !== "" && isAbove && at.length >= best.at.length) best = { at, type };
  }
  return NETWORK_FILE_SYSTEM.test(best.type) ? best.type : undefined;
}
