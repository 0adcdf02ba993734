/** File systems and devices that jobs meet here. */
import { existsSync, readdirSync, statfsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { cdiDirs } from "../cdi.ts";
import { MountTable } from "../mount-flags.ts";
import { read, type Diagnosis } from "./host.ts";

/** statfs(2), linux/magic.h, and the file systems' own documentation. */
const SHARED: ReadonlyMap<number, string> = new Map([
  [0x6969, "NFS"],
  [0xbd00bd0, "Lustre"],
  [0x47504653, "GPFS"],
  [0x19830326, "BeeGFS"],
  [0xc36400, "CephFS"],
  [0xff534d42, "SMB"],
  [0x65735546, "FUSE"],
]);

export function fileSystems(stateDir: string): Diagnosis[] {
  const kind = (path: string) => {
    try {
      return SHARED.get(statfsSync(path).type);
    } catch {
      return undefined;
    }
  };
  const home = kind(homedir());
  const found: Diagnosis[] = [
    {
      name: "home directory",
      state: "info",
      found: home === undefined ? "on this machine" : `shared (${home})`,
      why: "on a cluster bundles must be where every node sees them; a shared home directory is such a place",
      cure: null,
    },
  ];
  const flags = new MountTable(read("/proc/self/mountinfo") ?? "").flagsOf(stateDir);
  if (flags.includes("noexec")) {
    found.push({
      name: "spool",
      state: "warning",
      found: `${stateDir} is mounted noexec`,
      why: "a batch script is executed from there",
      cure: "set XDG_STATE_HOME to a directory on another file system",
    });
  }
  return found;
}

export function devices(): Diagnosis[] {
  const specs = cdiDirs().flatMap((dir) => {
    try {
      return readdirSync(dir)
        .filter((name) => /\.(json|ya?ml)$/.test(name))
        .map((name) => join(dir, name));
    } catch {
      return [];
    } // not there
  });
  const why = "a job that asks for GPUs gets them in its container by CDI (Container Device Interface)";
  if (specs.length > 0) return [{ name: "CDI", state: "ok", found: specs.join(", "), why, cure: null }];
  if (!existsSync("/dev/nvidiactl"))
    return [{ name: "CDI", state: "info", found: "no specifications, and no NVIDIA GPU", why, cure: null }];
  return [
    {
      name: "CDI",
      state: "warning",
      found: "no specifications, but an NVIDIA GPU",
      why,
      cure: "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
    },
  ];
}
