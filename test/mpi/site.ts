// For tests: real MPI programs, compiled by the MPI under test, on a controller of their own with four virtual nodes.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { havePeers } from "../peers.ts";

const HERE = import.meta.dir;
const BERTH = join(HERE, "../../dist/berth");
/** Above anything that a loaded machine needs, so that a hang is told apart from slowness; no test waits for it. */
const PATIENCE_S = 40;

export const haveMpich = havePeers("mpicc.mpich", "gcc");
export const haveOpenMpi = havePeers("mpicc.openmpi", "mpirun.openmpi", "gcc");
export const haveRuntime = havePeers("runc") || havePeers("crun");

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class MpiSite implements AsyncDisposable {
  readonly dir = mkdtempSync(join(tmpdir(), "bm-"));
  readonly env: Record<string, string>;

  constructor() {
    for (const name of ["home", "run", "bin", "config/berth"]) mkdirSync(join(this.dir, name), { recursive: true, mode: 0o700 });
    this.env = {
      HOME: join(this.dir, "home"),
      BERTH_ENGINE: "embedded",
      XDG_RUNTIME_DIR: join(this.dir, "run"),
      XDG_STATE_HOME: join(this.dir, "state"),
      XDG_CONFIG_HOME: join(this.dir, "config"),
      // Berth's srun comes first: mpirun starts its daemons with it.
      PATH: `${join(this.dir, "bin")}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`,
      LANG: "C.UTF-8",
      TERM: "dumb",
      // What ranks that were killed leave behind goes with the site.
      OMPI_MCA_orte_tmpdir_base: this.dir,
      OMPI_ALLOW_RUN_AS_ROOT: "1",
      OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
    };
    this.configure("");
    const linked = this.#sync([BERTH, "link", "--all", join(this.dir, "bin")]);
    if (linked.exitCode !== 0) throw new Error(`cannot link: ${linked.stderr.toString()}`);
  }

  configure(lines: string): void {
    const nodes = "NodeName=v[1-4] CPUs=4\nPartitionName=debug Nodes=v[1-4] Default=YES\nKillWait=2\n";
    writeFileSync(join(this.dir, "config/berth/berth.conf"), nodes + lines);
  }

  /** hello_c and ring_c of this MPI, in `into`. */
  compile(mpi: "mpich" | "openmpi", into: string = this.dir): void {
    mkdirSync(into, { recursive: true });
    for (const name of ["hello_c", "ring_c"]) {
      const made = this.#sync([`mpicc.${mpi}`, join(HERE, `${name}.c`), "-o", join(into, name)]);
      if (made.exitCode !== 0) throw new Error(`cannot compile ${name}: ${made.stderr.toString()}`);
    }
  }

  /**
   * A container with the host's programs and libraries, a root file system and a /tmp of its own, and the host's network, by
   * which its ranks talk. `isApart`: it shares nothing else, neither /dev/shm nor IPC nor processes.
   */
  makeBundle(options: { readonly programs: string; readonly isApart: boolean }): string {
    const bundle = join(this.dir, options.isApart ? "apart" : "bundle");
    for (const name of ["usr", "etc", "proc", "dev", "sys", "tmp", "opt"]) mkdirSync(join(bundle, "rootfs", name), { recursive: true });
    for (const name of ["bin", "lib", "lib64"]) Bun.spawnSync(["ln", "-sfn", `usr/${name}`, join(bundle, "rootfs", name)]);
    const readOnly = (source: string, destination = source) => ({ destination, type: "bind", source, options: ["rbind", "ro"] });
    // Each task of an ordinary user has a user namespace of its own: UCX may not look into the /proc of the others then.
    writeFileSync(
      join(bundle, "config.json"),
      JSON.stringify({
        ociVersion: "1.0.2",
        process: {
          user: { uid: 0, gid: 0 },
          args: ["never"],
          env: ["PATH=/opt:/usr/bin:/bin", "UCX_POSIX_USE_PROC_LINK=n", "UCX_TLS=^cma", "OMPI_MCA_orte_tmpdir_base=/tmp"],
          cwd: "/",
          capabilities: {},
        },
        root: { path: "rootfs", readonly: true },
        hostname: "box",
        mounts: [
          // Without a process namespace of its own an ordinary user may not mount one.
          options.isApart
            ? { destination: "/proc", type: "proc", source: "proc" }
            : { destination: "/proc", type: "bind", source: "/proc", options: ["rbind"] },
          { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
          options.isApart
            ? { destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["nosuid", "noexec", "nodev", "mode=1777"] }
            : { destination: "/dev/shm", type: "bind", source: "/dev/shm", options: ["rbind", "rw"] },
          { destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["mode=1777"] },
          readOnly("/usr"),
          readOnly("/etc"),
          readOnly("/sys"),
          readOnly(options.programs, "/opt"),
        ],
        linux: { namespaces: ["uts", "mount", ...(options.isApart ? ["ipc", "pid"] : [])].map((type) => ({ type })) },
      }),
    );
    return bundle;
  }

  start(argv: readonly string[], env: Record<string, string> = {}) {
    return Bun.spawn(["timeout", "-k", "5", String(PATIENCE_S), ...argv], {
      cwd: this.dir,
      env: { ...this.env, ...env },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
  }

  async run(argv: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
    const child = this.start(argv, env);
    const [code, stdout, stderr] = await Promise.all([child.exited, new Response(child.stdout).text(), new Response(child.stderr).text()]);
    return { code, stdout, stderr };
  }

  #sync(argv: readonly string[]) {
    return Bun.spawnSync([...argv], { cwd: this.dir, env: this.env, stdout: "pipe", stderr: "pipe", timeout: 60_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run([BERTH, "daemon", "stop", "--jobs"]);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** What hello_c prints, in the order of ranks. */
export function hello(sharing: readonly number[]): string {
  const size = sharing.length;
  const sum = (size * (size + 1)) / 2;
  return sharing.map((count, rank) => `Hello, world, I am ${rank} of ${size}, sum ${sum}, sharing memory ${count}\n`).join("");
}

export function ring(size: number): string {
  return Array.from({ length: size }, (_, rank) => `Process ${rank} exiting after ${rank === 0 ? 10 : 11}\n`).join("");
}

export function sorted(text: string): string {
  return `${text.trimEnd().split("\n").sort().join("\n")}\n`;
}
