/** What the kernel allows an ordinary user: namespaces and cgroups. */
import { accessSync, constants, existsSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { badNamespaceSettings } from "../namespace-settings.ts";
import { read, type Diagnosis, type Host } from "./host.ts";

export async function userNamespaces(host: Host): Promise<Diagnosis[]> {
  const why = "a container of an ordinary user lives in a user namespace";
  const blocked = badNamespaceSettings();
  const works = host.uid === 0 || (await host.ask("unshare", "--user", "--map-root-user", "true")) !== undefined;
  const found: Diagnosis = works
    ? { name: "user namespaces", state: "ok", found: host.uid === 0 ? "not needed: you are root" : "they can be made", why, cure: null }
    : {
        name: "user namespaces",
        state: "warning",
        found: "they cannot be made by ordinary users",
        why,
        cure:
          blocked.length > 0
            ? null
            : "ask the administrator of this host (a chroot, a container around you, SELinux or seccomp may forbid them)",
      };
  return [
    found,
    ...blocked.map(
      ({ name, bad, good }): Diagnosis => ({
        name: `sysctl ${name}`,
        state: works ? "info" : "warning",
        found: bad,
        why: "it keeps ordinary users from making user namespaces, or weakens them",
        cure: `sudo sysctl -w ${name}=${good}`,
      }),
    ),
  ];
}

const CGROUP2_MAGIC = 0x63677270;

export function cgroups(): Diagnosis[] {
  const why = "limits of memory and CPUs are cgroups; without delegation jobs are accounted by their processes";
  const isV2 = (() => {
    try {
      return statfsSync("/sys/fs/cgroup").type === CGROUP2_MAGIC;
    } catch {
      return false;
    }
  })(); // no /sys: a bare container
  if (!isV2) {
    const isHybrid = existsSync("/sys/fs/cgroup/unified");
    return [
      {
        name: "cgroups",
        state: "warning",
        found: isHybrid ? "hybrid (v1 with v2 beside it)" : "v1, or none",
        why: `${why}; crun does not start on a hybrid host, runc does`,
        cure: "kernel parameter systemd.unified_cgroup_hierarchy=1, or use runc",
      },
    ];
  }
  const own =
    read("/proc/self/cgroup")
      ?.split("\n")
      .find((line) => line.startsWith("0::"))
      ?.slice(3) ?? "/";
  const dir = join("/sys/fs/cgroup", own);
  const controllers = read(join(dir, "cgroup.controllers")) ?? "";
  let isDelegated = true;
  try {
    accessSync(join(dir, "cgroup.procs"), constants.W_OK);
    accessSync(dir, constants.W_OK);
  } catch {
    isDelegated = false;
  }
  const isEnough = isDelegated && /\bmemory\b/.test(controllers);
  return [
    {
      name: "cgroups",
      state: isEnough ? "ok" : "info",
      found: `v2, ${isDelegated ? "delegated to you" : "not delegated to you"}, controllers: ${controllers === "" ? "none" : controllers}`,
      why,
      cure: isEnough ? null : "with systemd: loginctl enable-linger, and Delegate=yes for user@.service (systemd.resource-control(5))",
    },
  ];
}
