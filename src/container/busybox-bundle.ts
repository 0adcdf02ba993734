/** For tests: a busybox bundle in a directory of its own, and what a step daemon would say about it. */
import { findOciConf } from "./oci-conf.ts";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ContainerStep } from "./step-container.ts";

export const BUSYBOX = ["/bin/busybox", "/usr/bin/busybox"].find((path) => existsSync(path));

export class Place implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), "berth-container-"));
  readonly bundle = join(this.dir, "bundle");
  #steps = 0;

  constructor() {
    for (const name of ["spool", "state", "rt", "conf"]) mkdirSync(join(this.dir, name), { mode: 0o700 });
  }

  /** As `runc spec` would describe it for root, without the limits. */
  // biome-ignore lint/suspicious/noExplicitAny: a test changes whatever it wants
  makeBundle(change: (config: Record<string, any>) => void = () => {}): void {
    const rootfs = join(this.bundle, "rootfs");
    for (const name of ["bin", "proc", "dev", "sys", "tmp", "w"]) mkdirSync(join(rootfs, name), { recursive: true });
    copyFileSync(BUSYBOX as string, join(rootfs, "bin/busybox"));
    for (const name of ["sh", "true", "cat", "env", "sleep", "id", "ls", "kill", "touch"]) {
      if (!existsSync(join(rootfs, "bin", name))) symlinkSync("busybox", join(rootfs, "bin", name));
    }
    const config = {
      ociVersion: "1.0.2",
      process: {
        terminal: true,
        user: { uid: 0, gid: 0 },
        args: ["never"],
        env: ["PATH=/bin", "IMAGE=yes", "BOTH=image"],
        cwd: "/w",
        capabilities: { bounding: ["CAP_KILL"], effective: ["CAP_KILL"], permitted: ["CAP_KILL"] },
        rlimits: [{ type: "RLIMIT_NOFILE", hard: 1e9, soft: 256 }].slice(process.geteuid?.() === 0 ? 1 : 0),
      },
      root: { path: "rootfs", readonly: true },
      hostname: "box",
      mounts: [
        { destination: "/proc", type: "proc", source: "proc" },
        { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"] },
        {
          destination: "/dev/pts",
          type: "devpts",
          source: "devpts",
          options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
      ],
      linux: {
        resources: { devices: [{ allow: false, access: "rwm" }] },
        namespaces: ["pid", "ipc", "uts", "mount"].map((type) => ({ type })),
      },
    };
    change(config);
    writeFileSync(join(this.bundle, "config.json"), JSON.stringify(config, null, 2));
  }

  writeConf(text: string): void {
    writeFileSync(join(this.dir, "conf/oci.conf"), text);
  }

  step(changes: Partial<ContainerStep> = {}): ContainerStep {
    return {
      bundle: this.bundle,
      jobId: 1000 + this.#steps++,
      stepKey: 0,
      nodeName: "n1",
      userName: "al ice",
      userId: process.geteuid?.() ?? 0,
      groupId: process.getegid?.() ?? 0,
      workDir: this.dir,
      spoolRoot: join(this.dir, "spool"),
      confFile: findOciConf([join(this.dir, "conf")]) ?? null,
      stateDir: join(this.dir, "state"),
      runtimeRoot: join(this.dir, "rt"),
      hasPty: false,
      batch: null,
      ...changes,
    };
  }

  [Symbol.dispose](): void {
    Bun.spawnSync(["chmod", "-R", "u+w", this.dir]);
    rmSync(this.dir, { recursive: true, force: true });
  }
}
