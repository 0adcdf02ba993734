/** Who stands for a container is in its cgroup (stand-in.ts), and in a frozen one of version 2 nobody can end but by SIGKILL. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ContainerPlace } from "../place.ts";

/** For a container that is over. True when it was frozen. */
export function thawStandIn(place: ContainerPlace): boolean {
  const pid = place.standIn();
  if (pid === undefined) return false;
  try {
    const path = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "latin1"))?.[1];
    if (path === undefined || path === "/") return false;
    return ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].some((root) => thaw(join(root, path, "cgroup.freeze")));
  } catch {
    return false; // it has ended already
  }
}

function thaw(file: string): boolean {
  try {
    if (!readFileSync(file, "latin1").startsWith("1")) return false;
    writeFileSync(file, "0");
    return true;
  } catch {
    return false; // no such hierarchy, or not ours
  }
}
