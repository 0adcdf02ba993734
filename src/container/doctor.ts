/**
 * What the containers guide asks of a host (spec: oci-conf §16; images, scrun), looked at one by one: `berth doctor`.
 * Only one of them decides whether container jobs run here: that a container really runs. The others say why not, or what
 * will be missed later.
 */
import { accessSync, constants, existsSync, lstatSync, readFileSync, readdirSync, statfsSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { runChild } from "#platform/child.ts";
import { directories, isUsableRuntimeDir } from "#platform/directories.ts";
import { userName } from "#platform/users.ts";
import { cdiDirs } from "./cdi.ts";
import { checkConf } from "./conf-check.ts";
import { DEFAULT_PATH } from "./environment.ts";
import { MountTable } from "./mount-flags.ts";

export interface Diagnosis {
  readonly name: string;
  /** `info`: nothing to judge. `error`: container jobs cannot run here until it is mended. */
  readonly state: "ok" | "info" | "warning" | "error";
  readonly found: string;
  readonly why: string;
  /** The command that mends it, or what to do. */
  readonly cure: string | null;
}

export interface DoctorOptions {
  readonly confFile: string | null;
  readonly stateDir: string;
  readonly nodeName: string;
  readonly signal: AbortSignal;
}

/** In the order in which a site sets a host up. Never throws for what is wrong with the host. */
export async function examine(options: DoctorOptions): Promise<readonly Diagnosis[]> {
  const host = new Host();
  return [
    ...(await userNamespaces(host)),
    ...subordinateIds(host),
    ...runtimeDirectory(host),
    ...cgroups(),
    ...(await programs(host)),
    ...fileSystems(options.stateDir),
    ...devices(),
    ...otherEngines(host),
    ...(await slurm(host)),
    await containerJobs(options),
  ];
}

class Host {
  readonly uid = process.geteuid?.() ?? 0;
  readonly user = userName(this.uid);
  readonly env = { PATH: `${process.env["PATH"] ?? ""}:${DEFAULT_PATH}`, HOME: process.env["HOME"] ?? homedir(), LC_ALL: "C" };

  find(program: string): string | undefined {
    for (const dir of this.env.PATH.split(":")) {
      const path = join(dir, program);
      try {
        if (!dir.startsWith("/") || !statSync(path).isFile()) continue;
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        /* not here */
      }
    }
    return undefined;
  }

  /** First line of what a program prints; undefined when it fails. */
  async ask(...argv: readonly [string, ...string[]]): Promise<string | undefined> {
    const result = await runChild(argv, { env: this.env, cwd: "/", signal: new AbortController().signal, timeoutMs: 10_000 });
    return shellCode(result.status) === 0 ? ((result.stdout || result.stderr).split("\n")[0]?.trim() ?? "") : undefined;
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  } // not on this kernel, or not for us
}

const BLOCKERS: readonly (readonly [name: string, bad: string, good: string])[] = [
  ["kernel.unprivileged_userns_clone", "0", "1"],
  ["user.max_user_namespaces", "0", "15000"],
  ["kernel.apparmor_restrict_unprivileged_userns", "1", "0"],
  ["kernel.apparmor_restrict_unprivileged_unconfined", "1", "0"],
];

async function userNamespaces(host: Host): Promise<Diagnosis[]> {
  const why = "a container of an ordinary user lives in a user namespace";
  const blocked = BLOCKERS.filter(([name, bad]) => read(`/proc/sys/${name.replaceAll(".", "/")}`) === bad);
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
      ([name, bad, good]): Diagnosis => ({
        name: `sysctl ${name}`,
        state: works ? "info" : "warning",
        found: bad,
        why: "it keeps ordinary users from making user namespaces, or weakens them",
        cure: `sudo sysctl -w ${name}=${good}`,
      }),
    ),
  ];
}

function subordinateIds(host: Host): Diagnosis[] {
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

function runtimeDirectory(host: Host): Diagnosis[] {
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

const CGROUP2_MAGIC = 0x63677270;

function cgroups(): Diagnosis[] {
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

const PROGRAMS: readonly (readonly [name: string, why: string, cure: string])[] = [
  ["crun", "runs containers; Berth's first choice", "sudo apt-get install crun"],
  ["runc", "runs containers; works on more hosts than crun", "sudo apt-get install runc"],
  ["skopeo", "fetches images of registries", "sudo apt-get install skopeo"],
  ["umoci", "makes bundles of images", "sudo apt-get install umoci"],
];
const OTHER_RUNTIMES = ["nvidia-container-runtime", "apptainer", "singularity", "ch-run", "enroot"];

async function programs(host: Host): Promise<Diagnosis[]> {
  const version = async (name: string) => {
    const path = host.find(name);
    return path === undefined ? undefined : `${path}, ${(await host.ask(path, "--version")) ?? "which does not tell its version"}`;
  };
  const found: Diagnosis[] = [];
  const hasRuntime = host.find("crun") !== undefined || host.find("runc") !== undefined;
  for (const [name, why, cure] of PROGRAMS) {
    const text = await version(name);
    const isRuntime = name === "crun" || name === "runc";
    found.push({
      name,
      why,
      found: text ?? "not installed",
      state: text !== undefined ? "ok" : isRuntime && hasRuntime ? "info" : "warning",
      cure: text === undefined ? cure : null,
    });
  }
  for (const name of OTHER_RUNTIMES) {
    const text = await version(name);
    if (text !== undefined)
      found.push({
        name,
        state: "info",
        found: text,
        why: "another runtime, for an oci.conf of its own",
        cure: `berth oci init --runtime ${name === "ch-run" ? "charliecloud" : name}`,
      });
  }
  return found;
}

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

function fileSystems(stateDir: string): Diagnosis[] {
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

function devices(): Diagnosis[] {
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

function otherEngines(host: Host): Diagnosis[] {
  const found: Diagnosis[] = [];
  const look = (name: string, files: readonly string[], why: string, cure: string) => {
    const path = host.find(name);
    if (path === undefined) return;
    const conf = files.find((file) => read(file)?.includes("scrun") === true);
    found.push({
      name,
      state: "info",
      found: conf === undefined ? `${path}, not set up for scrun` : `${path}, scrun in ${conf}`,
      why,
      cure: conf === undefined ? cure : null,
    });
  };
  const home = homedir();
  look(
    "podman",
    [join(home, ".config/containers/containers.conf"), "/etc/containers/containers.conf"],
    "podman run can be a job, through scrun",
    "berth generate podman",
  );
  look(
    "docker",
    [join(home, ".config/docker/daemon.json"), "/etc/docker/daemon.json"],
    "docker run can be a job, through scrun",
    "berth generate docker",
  );
  return found;
}

async function slurm(host: Host): Promise<Diagnosis[]> {
  const path =
    host.find("slurmd") ??
    host.find("slurmctld") ??
    ["/usr/bin/sbatch", "/opt/slurm/bin/sbatch"].find((file) => existsSync(file) && !lstatSync(file).isSymbolicLink());
  if (path === undefined)
    return [
      { name: "Slurm", state: "info", found: "not installed", why: "Berth can drive a cluster; without one it is its own", cure: null },
    ];
  const version = (await host.ask(path, path.endsWith("sbatch") ? "--version" : "-V")) ?? "which does not tell its version";
  const munge = ["/run/munge/munge.socket.2", "/var/run/munge/munge.socket.2"].find((file) => existsSync(file));
  return [
    { name: "Slurm", state: "info", found: `${path}, ${version}`, why: "Berth can drive it", cure: null },
    {
      name: "munge",
      state: munge === undefined ? "info" : "ok",
      found: munge ?? "its socket is not there",
      why: "Slurm's commands prove who you are with it",
      cure: munge === undefined ? "sudo systemctl start munge" : null,
    },
  ];
}

/** The only one that decides: containers are run, with the oci.conf in force or without. */
async function containerJobs(options: DoctorOptions): Promise<Diagnosis> {
  const why = "this is what a job does: run a container, look at it, kill it, delete it";
  const name = "container jobs";
  try {
    const { lifecycle, problems } = await checkConf({ ...options, file: options.confFile, bundle: null });
    const how = options.confFile === null ? "with the runtime that Berth chooses" : `with ${options.confFile}`;
    const [problem] = problems;
    if (problem !== undefined) return { name, why, state: "error", found: `they fail ${how}: ${problem.what}`, cure: problem.cure };
    if (lifecycle === null)
      return {
        name,
        why,
        state: "error",
        found: `nothing to try ${how}`,
        cure: "sudo apt-get install busybox-static, or berth oci check --bundle DIR",
      };
    return { name, why, state: "ok", found: `two containers ran ${how}`, cure: null };
  } catch (error) {
    if (!(error instanceof BerthError)) throw error;
    return { name, why, state: "error", found: error.message, cure: error.hint ?? null };
  }
}
