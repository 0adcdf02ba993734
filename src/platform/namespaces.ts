/** User namespaces, and standing in another process's namespaces (namespaces(7), setns(2)). */
import { closeSync, constants, openSync, readFileSync, readlinkSync } from "node:fs";
import { dlopen, ptr } from "bun:ffi";

const CLONE_FS = 0x200;
const CLONE_NEWNS = 0x20000;
const MS_BIND = 0x1000n;
const MS_MOVE = 0x2000n;
const MS_REC = 0x4000n;
const MS_PRIVATE = 0x40000n;
const CLONE_NEWNET = 0x40000000;
const AF_INET = 2;
const SOCK_DGRAM = 2;
/** netdevice(7): struct ifreq is the interface's name in 16 bytes, then here its flags. */
const SIOCSIFFLAGS = 0x8914n;
const IFREQ_BYTES = 40;
const IFREQ_FLAGS = 16;
const IFF_UP = 1;

/** Order matters: once in another mount namespace its own /proc names no process of ours. */
const JOINED = ["net", "ipc", "uts", "mnt"] as const;

let loaded: ReturnType<typeof load> | undefined;
const load = () =>
  dlopen("libc.so.6", {
    chroot: { args: ["ptr"], returns: "i32" },
    fchdir: { args: ["i32"], returns: "i32" },
    mount: { args: ["ptr", "ptr", "ptr", "u64", "ptr"], returns: "i32" },
    setns: { args: ["i32", "i32"], returns: "i32" },
    unshare: { args: ["i32"], returns: "i32" },
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
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
    goBackTo(root);
    for (const fd of fds) closeSync(fd);
  }
}

/** The root directory that was open before; it is closed. */
function goBackTo(root: number): void {
  libc().fchdir(root);
  libc().chroot(Buffer.from(".\0"));
  closeSync(root);
}

/**
 * Puts our first thread into a mount namespace of its own, in which there is nothing but `dir`: who joins the namespace sees that as the root
 * directory. Files are still found where they were, as above. False when it cannot be had; what is there to be joined is not `dir` then.
 */
export function standInRoot(dir: string): boolean {
  const root = openSync("/", constants.O_RDONLY | constants.O_DIRECTORY);
  const mount = (source: string, target: string, flags: bigint) =>
    libc().mount(Buffer.from(`${source}\0`), Buffer.from(`${target}\0`), null, flags, null) === 0;
  try {
    if (libc().unshare(CLONE_FS | CLONE_NEWNS) !== 0) return false;
    return mount("none", "/", MS_REC | MS_PRIVATE) && mount(dir, dir, MS_BIND | MS_REC) && mount(dir, "/", MS_MOVE);
  } finally {
    goBackTo(root);
  }
}

/** Open files of those namespaces of `pid` in which we are not, by nsenter(1)'s names for them. */
export function openForeignNamespaces(pid: number): readonly { readonly option: string; readonly fd: number }[] {
  return JOINED.flatMap((name) => {
    const path = `/proc/${pid}/ns/${name}`;
    if (readlinkSync(path) === readlinkSync(`/proc/self/ns/${name}`)) return [];
    return [{ option: name === "mnt" ? "mount" : name, fd: openSync(path, constants.O_RDONLY) }];
  });
}

/**
 * A new network namespace, with the loopback device up, as a descriptor: it lasts as long as that. We stay in the one that we are in. Undefined
 * where it is not allowed.
 */
export function makeNetworkNamespace(): number | undefined {
  const own = openSync(THREAD_NETWORK, constants.O_RDONLY);
  try {
    if (libc().unshare(CLONE_NEWNET) !== 0) return undefined;
    setLoopbackUp();
    const made = openSync(THREAD_NETWORK, constants.O_RDONLY);
    if (libc().setns(own, CLONE_NEWNET) !== 0) throw new Error("cannot go back to our own network namespace");
    return made;
  } finally {
    closeSync(own);
  }
}
const THREAD_NETWORK = "/proc/thread-self/ns/net";

function setLoopbackUp(): void {
  const socket = libc().socket(AF_INET, SOCK_DGRAM, 0);
  if (socket < 0) return;
  const request = Buffer.alloc(IFREQ_BYTES);
  request.write("lo");
  request.writeUInt16LE(IFF_UP, IFREQ_FLAGS);
  libc().ioctl(socket, SIOCSIFFLAGS, ptr(request));
  closeSync(socket);
}

/** What this thread starts from here on is in that network namespace. False where it is not allowed. */
export function enterNetworkNamespace(path: string): boolean {
  const fd = openSync(path, constants.O_RDONLY);
  try {
    return libc().setns(fd, CLONE_NEWNET) === 0;
  } finally {
    closeSync(fd);
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
