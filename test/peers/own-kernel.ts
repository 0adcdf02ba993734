// A kernel of its own for what a host may not let its users have: user-mode Linux, a program that anybody may start. It has cgroup v2 with all
// controllers, of which it gives a user a part as systemd does; it shows this host's files, read-only, and ends with its script.
import { mkdirSync, readFileSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { havePeers } from "../peers.ts";

export const canRunOwnKernel = process.arch === "x64" && havePeers("linux.uml", "setpriv");

/** Of a machine that is slow by itself, and started on a busy one. */
const LIMIT_MS = 240_000;
const MEMORY_MIB = 1536;

/** What a delegated part of the tree is called in there. */
export const DELEGATED = "/own";

/** `$SHARED`, the one place that is not read-only, is `dir` of this host. */
const INIT = `#!/bin/sh
export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
for at in /tmp /var/tmp /run /mnt; do mount -t tmpfs -o mode=1777 tmpfs $at; done
mkdir -p /dev/pts /dev/shm /mnt/shared
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t cgroup2 none /sys/fs/cgroup
mount --make-rshared /
mount -t hostfs none /mnt/shared -o "$dir"
hostname own
cd /sys/fs/cgroup
echo '+cpu +memory +pids' > cgroup.subtree_control
mkdir -p own/init
echo '+cpu +memory +pids' > own/cgroup.subtree_control
chown -R "$uid:$gid" own
echo $$ > own/init/cgroup.procs
cd /tmp
SHARED=/mnt/shared setpriv --reuid="$uid" --regid="$gid" --init-groups sh /mnt/shared/script > /mnt/shared/console 2>&1
echo $? > /mnt/shared/status
echo o > /proc/sysrq-trigger
sleep 10
`;

/** Runs a script of /bin/sh as this user, in `dir`'s sight. @throws Error with what it has said, when it fails or takes too long */
export async function runInOwnKernel(dir: string, script: string): Promise<void> {
  const [init, memory] = [join(dir, "init"), join(dir, "memory")];
  mkdirSync(memory);
  writeFileSync(init, INIT, { mode: 0o755 });
  writeFileSync(join(dir, "script"), script);
  const memoryDir = isRoomy("/dev/shm") ? "/dev/shm" : memory;
  const kernel = Bun.spawn(
    [
      "linux.uml",
      `mem=${MEMORY_MIB}M`,
      ...["root=/dev/root", "rootfstype=hostfs", "hostfs=/", "ro", "quiet", "con=null", "con0=fd:0,fd:1"],
      ...[`init=${init}`, `dir=${dir}`, `uid=${process.getuid?.()}`, `gid=${process.getgid?.()}`],
    ],
    {
      env: { PATH: "/usr/bin:/bin", HOME: dir, TMPDIR: memoryDir },
      stdin: "ignore",
      stdout: Bun.file(join(dir, "kernel")),
      stderr: "ignore",
      detached: true,
    },
  );
  const timer = setTimeout(() => process.kill(-kernel.pid, "SIGKILL"), LIMIT_MS);
  await kernel.exited;
  clearTimeout(timer);
  if (readIn(dir, "status").trim() === "0") return;
  throw new Error(`own kernel: status ${readIn(dir, "status")}\n${readIn(dir, "console")}\n${readIn(dir, "kernel").slice(-3000)}`);
}

function isRoomy(dir: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(dir);
    return bavail * bsize > (MEMORY_MIB << 20) * 1.5;
  } catch {
    return false;
  }
}

export function readIn(dir: string, name: string): string {
  try {
    return readFileSync(join(dir, name), "utf8");
  } catch {
    return "";
  }
}
