/** User namespaces, and standing in another process's namespaces (namespaces(7), setns(2)). */
import { closeSync, constants, openSync, readFileSync, readlinkSync } from "node:fs";
import { dlopen, ptr } from "bun:ffi";

const CLONE_FS = 0x200;

/** Order matters: once in another mount namespace its own /proc names no process of ours. */
const JOINED = ["net", "ipc", "uts", "mnt"] as const;

let loaded: ReturnType<typeof load> | undefined;
const load = () =>
  dlopen("libc.so.6", {
    chroot: { args: ["ptr"], returns: "i32" },
    fchdir: { args: ["i32"], returns: "i32" },
    setns: { args: ["i32", "i32"], returns: "i32" },
    unshare: { args: ["i32"], returns: "i32" },
  }).symbols;
const libc = () => (loaded ??= load());

/**
 * Puts our first thread, the one that /proc/PID/ns shows, into namespaces of `pid`: who takes us for that process (podman, for another
 * container of a pod, or for `podman top`) finds what it looks for. Files are still found where they were: the root directory goes back to
 * the old tree, which a mount namespace does not forbid. What may not be joined is left out; a pid namespace cannot be.
 */
export function standInNamespacesOf(pid: number): void {
  const fds: number[] = [];
  const root = openSync("/", constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    for (const name of JOINED) {
      const path = `/proc/${pid}/ns/${name}`;
      if (readlinkSync(path) !== readlinkSync(`/proc/self/ns/${name}`)) fds.push(openSync(path, constants.O_RDONLY));
    }
    // Threads share root and working directory; a mount namespace is joined only by one that does not.
    if (libc().unshare(CLONE_FS) !== 0) return;
    for (const fd of fds) libc().setns(fd, 0);
  } catch {
    // It has ended already.
  } finally {
    libc().fchdir(root);
    libc().chroot(ptr(Buffer.from(".\0")));
    closeSync(root);
    for (const fd of fds) closeSync(fd);
  }
}

/** The ids that 0 has outside; undefined when we are not in a user namespace that maps it to something else. */
export function outsideIds(): { readonly uid: number; readonly gid: number } | undefined {
  const uid = outsideOf("uid_map");
  const gid = outsideOf("gid_map");
  return uid === undefined || gid === undefined || uid === 0 ? undefined : { uid, gid };
}

function outsideOf(map: "uid_map" | "gid_map"): number | undefined {
  try {
    const [inside, outside] = readFileSync(`/proc/self/${map}`, "latin1").trim().split(/\s+/).map(Number);
    return inside === 0 ? outside : undefined;
  } catch {
    return undefined; // no /proc
  }
}

/** Whether another process is in our user namespace. One that has gone counts as being there. */
export function sharesUserNamespace(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/user`) === readlinkSync("/proc/self/ns/user");
  } catch (error) {
    // From inside nobody may look at a process outside.
    const { code } = error as NodeJS.ErrnoException;
    return code !== "EACCES" && code !== "EPERM";
  }
}
