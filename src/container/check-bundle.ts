/** A root file system of one static busybox, to try a runtime with. */
import { copyFileSync, mkdirSync, openSync, readSync, closeSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { standardConfig } from "./bundle-create.ts";
import { makeProbeBundle } from "./runtime-probe.ts";

const PLACES = ["/bin/busybox", "/usr/bin/busybox", "/usr/local/bin/busybox"];

/**
 * In `dir`, which must exist and be empty. Without a static busybox it is a bundle that mounts the host's own programs.
 * @param isRootfs `--container` is to be the root file system itself
 * @returns what to give to `--container`; undefined when nothing will do
 */
export function createBusyboxBundle(dir: string, isRootfs: boolean): string | undefined {
  const busybox = PLACES.find((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true && isStatic(path));
  if (busybox === undefined) {
    if (isRootfs) return undefined;
    makeProbeBundle(dir);
    return dir;
  }
  const rootfs = isRootfs ? dir : join(dir, "rootfs");
  for (const name of ["bin", "proc", "dev", "sys", "tmp", "etc", "run", "home", "root", "usr/bin", "var/run/slurm", "var/spool"])
    mkdirSync(join(rootfs, name), { recursive: true });
  copyFileSync(busybox, join(rootfs, "bin/busybox"));
  for (const name of ["sh", "echo", "sleep", "true", "cat", "env", "id", "ls", "kill"]) symlinkSync("busybox", join(rootfs, "bin", name));
  for (const name of ["passwd", "group", "hosts", "resolv.conf"]) writeFileSync(join(rootfs, "etc", name), "");
  if (isRootfs) return rootfs;
  const { uid, gid } = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  writeFileSync(join(dir, "config.json"), JSON.stringify(standardConfig({ uid, gid })));
  return dir;
}

/** An ELF file without PT_INTERP (elf(5)), 64-bit and little-endian as the machines that Berth runs on. */
function isStatic(path: string): boolean {
  const head = Buffer.alloc(4096);
  const fd = openSync(path, "r");
  try {
    if (readSync(fd, head) < 64 || head.readUInt32BE() !== 0x7f454c46 || head[4] !== 2) return false;
  } finally {
    closeSync(fd);
  }
  const [at, size, count] = [Number(head.readBigUInt64LE(32)), head.readUInt16LE(54), head.readUInt16LE(56)];
  for (let i = 0; i < count && at + (i + 1) * size <= head.byteLength; i++) if (head.readUInt32LE(at + i * size) === 3) return false;
  return true;
}
