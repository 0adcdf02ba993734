// A real Slurm for tests: `berth cluster up` in a directory of its own, as whoever runs the tests.
import { copyFileSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SlurmEngine } from "#engine/slurm/client.ts";
import { havePeers } from "../peers.ts";

const ROOT = join(import.meta.dir, "../..");
export const BERTH = join(ROOT, "dist/berth");
export const haveSlurm = havePeers("slurmctld", "slurmd", "munged", "srun", "busybox");
export const haveDatabase = havePeers("slurmdbd", "sacctmgr", "mariadbd", "mariadb-install-db", "my_print_defaults");
export const canRunContainers = havePeers("busybox") && (havePeers("runc") || havePeers("crun"));
/** A cluster that does not stand by then hangs. */
const PATIENCE_MS = 100_000;
const BUSYBOX = Bun.which("busybox") ?? "/bin/busybox";

/** Of the Slurm that is installed: 22, 26. */
export function slurmMajor(): number {
  return Number(/(\d+)\./.exec(Bun.spawnSync(["slurmctld", "-V"], { env: { PATH: "/usr/sbin:/usr/bin" } }).stdout.toString())?.[1] ?? 0);
}

export const IMAGE_DIGEST = `sha256:${"ab".repeat(32)}`;

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class SlurmSite implements AsyncDisposable {
  readonly dir = mkdtempSync(join(tmpdir(), "bs-")); // short: munge's socket is below
  readonly workDir = join(this.dir, "w");
  readonly bundle = join(this.dir, "bundle");
  readonly runtime = join(this.dir, "r");
  readonly env: Record<string, string>;

  constructor(options: {
    readonly nodes: number;
    readonly cpus: number;
    readonly hasTokens?: boolean;
    readonly hasDatabase?: boolean;
  }) {
    for (const dir of [this.workDir, join(this.dir, "home")]) mkdirSync(dir);
    mkdirSync(this.runtime, { mode: 0o700 });
    this.env = {
      PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
      HOME: join(this.dir, "home"),
      USER: process.env["USER"] ?? "user",
      LANG: "C.UTF-8",
      XDG_RUNTIME_DIR: this.runtime,
      SLURM_CONF: join(this.runtime, "berth/slurm/slurm.conf"),
      BERTH_ENGINE: "slurm",
      SHELL: "/bin/sh",
    };
    const told = join(this.dir, "cluster-up.err");
    const up = Bun.spawnSync(
      [
        BERTH,
        "cluster",
        "up",
        "--nodes",
        String(options.nodes),
        "--cpus",
        String(options.cpus),
        ...(options.hasTokens === true ? ["--jwt"] : []),
        ...(options.hasDatabase === true ? ["--dbd"] : []),
      ],
      // A file, not a pipe: a daemon that kept the pipe's end would keep this call, too.
      { env: this.env, cwd: this.workDir, stdin: "ignore", stdout: "ignore", stderr: openSync(told, "w"), timeout: PATIENCE_MS },
    );
    if (up.exitCode !== 0)
      throw new Error(`the cluster does not start: ${readFileSync(told, "utf8")} (status ${up.exitCode}, ${up.signalCode})`);
    makeBundle(this.bundle);
  }

  engine(): SlurmEngine {
    return new SlurmEngine(this.env);
  }

  async run(argv: readonly string[], options: { readonly stdin?: string; readonly env?: Record<string, string> } = {}): Promise<Ran> {
    const child = this.start(argv, options);
    const [code, stdout, stderr] = await Promise.all([child.exited, new Response(child.stdout).text(), new Response(child.stderr).text()]);
    return { code, stdout, stderr };
  }

  start(argv: readonly string[], options: { readonly stdin?: string; readonly env?: Record<string, string> } = {}) {
    return Bun.spawn([...argv], {
      cwd: this.workDir,
      env: { ...this.env, ...options.env },
      stdin: Buffer.from(options.stdin ?? ""),
      stdout: "pipe",
      stderr: "pipe",
    });
  }

  berth(...argv: readonly string[]): Promise<Ran> {
    return this.run([BERTH, ...argv]);
  }

  /** One job as Slurm's own command shows it. */
  async show(jobId: number | string): Promise<string> {
    return (await this.run(["scontrol", "-o", "show", "job", String(jobId)])).stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.berth("cluster", "down");
    Bun.spawnSync(["chmod", "-R", "u+w", this.dir]);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** busybox, and no more than a runtime needs. */
function makeBundle(bundle: string): void {
  const rootfs = join(bundle, "rootfs");
  for (const name of ["bin", "proc", "dev", "sys", "tmp"]) mkdirSync(join(rootfs, name), { recursive: true });
  copyFileSync(BUSYBOX, join(rootfs, "bin/busybox"));
  for (const name of ["sh", "true", "false", "cat", "env", "sleep", "id", "ls", "kill", "echo", "tty", "hostname", "wc", "head"])
    symlinkSync("busybox", join(rootfs, "bin", name));
  writeFileSync(
    join(bundle, "config.json"),
    JSON.stringify({
      ociVersion: "1.0.2",
      annotations: { "berth.image.digest": IMAGE_DIGEST },
      process: { user: { uid: 0, gid: 0 }, args: ["never"], env: ["PATH=/bin", "IMAGE=yes"], cwd: "/", capabilities: {} },
      root: { path: "rootfs" },
      hostname: "box",
      mounts: [
        { destination: "/proc", type: "proc", source: "proc" },
        { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
        {
          destination: "/dev/pts",
          type: "devpts",
          source: "devpts",
          options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
        },
      ],
      linux: { namespaces: ["pid", "ipc", "uts", "mount"].map((type) => ({ type })) },
    }),
  );
}
