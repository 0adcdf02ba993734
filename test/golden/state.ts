// A private state for one replay: directories, links, configuration and bundle equal to those of the recorded Slurm
// (cluster "oracle", nodes n1 and n2), and the end of everything that ran in it.
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { hostname, userInfo } from "node:os";
import { join, resolve } from "node:path";
import type { Place } from "./normalise.ts";

const COMMANDS = `berth srun sbatch salloc scancel squeue sinfo sacct scontrol sattach sstat sbcast sacctmgr sshare`.split(" ");
const APPLETS = `sh echo cat env id ls sleep true false hostname uptime sort grep kill pwd tr`.split(" ");

export interface State {
  readonly dir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly place: Place;
}

export const ROOT = resolve(import.meta.dir, "../..");

/** The executable under test: BERTH, or dist/berth of this checkout. */
export function berthPath(): string {
  const path = process.env["BERTH"] ?? join(ROOT, "dist/berth");
  if (!existsSync(path)) throw new Error(`${path} is not there; run scripts/build`);
  return realpathSync(path);
}

/** `firstJobId`: where the numbering starts, so that ids have as many digits as the recorded ones. */
export function makeState(firstJobId: number): State {
  // As long as /tmp/berth-oracle on purpose: columns that show a path keep their width.
  const dir = mkdtempSync("/tmp/berth-");
  chmodSync(dir, 0o755);
  for (const name of ["bin", "w", "home", "etc", "config", "run"]) mkdirSync(join(dir, name));
  mkdirSync(join(dir, "xdg"), { mode: 0o700 });
  const berth = berthPath();
  for (const name of COMMANDS) symlinkSync(berth, join(dir, "bin", name));

  writeFileSync(
    join(dir, "etc/slurm.conf"),
    `ClusterName=oracle
KillWait=5
GresTypes=gpu
Licenses=matlab:2
FirstJobId=${firstJobId}
NodeName=n1 NodeHostname=localhost CPUs=2 RealMemory=4000 Gres=gpu:2 Feature=fast State=UNKNOWN
NodeName=n2 NodeHostname=localhost CPUs=2 RealMemory=4000 Feature=slow State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=n1 MaxTime=10 DefaultTime=5 State=UP
`,
  );
  symlinkSync("slurm.conf", join(dir, "etc/berth.conf"));
  symlinkSync("../etc", join(dir, "config/berth"));
  const runc = `runc --rootless=true --root=${dir}/run`;
  writeFileSync(
    join(dir, "etc/oci.conf"),
    `RunTimeQuery="${runc} state %n.%u.%j.%s.%t"
RunTimeKill="${runc} kill -a %n.%u.%j.%s.%t"
RunTimeDelete="${runc} delete --force %n.%u.%j.%s.%t"
RunTimeRun="${runc} run %n.%u.%j.%s.%t -b %b"
`,
  );
  const { uid, gid } = userInfo();
  const username = Bun.spawnSync(["id", "-un"]).stdout.toString().trim(); // userInfo() believes $USER
  const env = {
    B: dir,
    HOME: join(dir, "home"),
    USER: username,
    LOGNAME: username,
    SHELL: "/bin/bash",
    LANG: "C.UTF-8",
    TZ: "UTC",
    PATH: `${dir}/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`,
    XDG_CONFIG_HOME: join(dir, "config"),
    XDG_STATE_HOME: join(dir, "state"),
    XDG_CACHE_HOME: join(dir, "cache"),
    BERTH_ENGINE: "embedded",
    XDG_RUNTIME_DIR: join(dir, "xdg"),
  };
  makeBundle(join(dir, "bundle"), env);
  const host = hostname();
  const hosts = [...new Set([host, host.split(".", 1)[0] ?? host])].sort((a, b) => b.length - a.length);
  return { dir, env, place: { user: username, uid, gid, hosts, dir } };
}

/** A rootless bundle whose /bin is busybox. Without busybox or runc it stays empty, and container cases fail. */
function makeBundle(bundle: string, env: Readonly<Record<string, string>>): void {
  const busybox = Bun.which("busybox", { PATH: env["PATH"] ?? "" });
  if (busybox === null) return;
  for (const name of ["bin", "dev", "proc", "sys", "tmp"]) mkdirSync(join(bundle, "rootfs", name), { recursive: true });
  copyFileSync(busybox, join(bundle, "rootfs/bin/busybox"));
  chmodSync(join(bundle, "rootfs/bin/busybox"), 0o755);
  for (const applet of APPLETS) symlinkSync("busybox", join(bundle, "rootfs/bin", applet));
  try {
    Bun.spawnSync(["runc", "--rootless=true", "spec", "--rootless"], { cwd: bundle, env });
  } catch {
    /* no runc: havePeers() has said so */
  }
}

/**
 * Stops the engine and its jobs, then kills whatever else carries the directory in its environment, command line or
 * working directory, and removes the directory.
 * @returns the command lines of processes that had to be killed: leaks, unless the case left them on purpose
 */
export async function endState(state: State): Promise<string[]> {
  const stop = Bun.spawn(["timeout", "-k", "2", "20", join(state.dir, "bin/berth"), "daemon", "stop", "--jobs"], {
    env: state.env,
    cwd: "/",
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  await stop.exited;
  let left: { pid: number; command: string }[] = [];
  for (let tries = 0; tries < 40; tries++) {
    // what was told to stop gets two seconds to be gone
    left = processesOf(state.dir);
    if (left.length === 0) break;
    await Bun.sleep(50);
  }
  for (const { pid } of left) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      /* gone meanwhile */
    }
  }
  try {
    rmSync(state.dir, { recursive: true, force: true, maxRetries: 3 });
  } catch (error) {
    left.push({ pid: 0, command: `${state.dir} cannot be removed: ${String(error)}` });
  }
  return left.map(({ command }) => command);
}

/** Every process of ours that names the directory. Its name is random, so nobody else's does. */
function processesOf(dir: string): { pid: number; command: string }[] {
  const found: { pid: number; command: string }[] = [];
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid <= 1 || pid === process.pid) continue;
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      const isOurs =
        command.includes(dir) ||
        readFileSync(`/proc/${pid}/environ`, "utf8").includes(dir) ||
        readlinkSync(`/proc/${pid}/cwd`).startsWith(dir);
      const isZombie = command === "";
      if (isOurs && !isZombie) found.push({ pid, command: `${pid} ${command.slice(0, 200)}` });
    } catch {
      /* another user's, or gone */
    }
  }
  return found;
}
