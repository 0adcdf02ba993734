/** What is mounted below a directory of ours: to be taken away before the directory is, or its files would be removed too. */
import { readFileSync, realpathSync } from "node:fs";
import { dlopen } from "bun:ffi";
import { outputOf } from "./run-tool.ts";

const MNT_DETACH = 2;

/** Mount points at or below `dir`, the innermost first (proc(5), mountinfo). */
export function mountsBelow(dir: string, mountinfo = readFileSync("/proc/self/mountinfo", "utf8")): string[] {
  const found: string[] = [];
  for (const line of mountinfo.split("\n")) {
    const path = line.split(" ", 5)[4]?.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    if (path !== undefined && (path === dir || path.startsWith(`${dir}/`))) found.push(path);
  }
  return found.reverse();
}

/** Gives what could not be unmounted. A file system in user space is its user's to unmount, with a program for it. */
export function unmountBelow(dir: string): string[] {
  let real: string;
  try {
    real = realpathSync(dir);
  } catch {
    return []; // gone
  }
  const mounts = mountsBelow(real);
  if (mounts.length === 0) return [];
  const { symbols } = dlopen("libc.so.6", { umount2: { args: ["ptr", "i32"], returns: "i32" } });
  for (const path of mounts) {
    if (symbols.umount2(Buffer.from(`${path}\0`), MNT_DETACH) === 0) continue;
    for (const program of ["fusermount3", "fusermount"] as const) outputOf([program, "-u", "-z", path]);
  }
  return mountsBelow(real);
}
