/**
 * The few calls on files and on ourselves that every command makes, straight from the C library. node:fs takes 1.6 ms to load, node:path
 * and node:os 0.4 ms each: together a third of what a short command takes. What a command needs only now and then is node:fs's.
 */
import { dlopen, type Pointer, ptr, read } from "bun:ffi";

// Each symbol takes 0.03 ms: the others are in libc.ts.
const symbols = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: "ptr" },
  access: { args: ["ptr", "i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  gethostname: { args: ["ptr", "u64"], returns: "i32" },
  getsid: { args: ["i32"], returns: "i32" },
  getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
  open: { args: ["ptr", "i32", "u32"], returns: "i32" },
  prlimit64: { args: ["i32", "i32", "ptr", "ptr"], returns: "i32" },
  read: { args: ["i32", "ptr", "u64"], returns: "i64" },
  statx: { args: ["i32", "ptr", "i32", "u32", "ptr"], returns: "i32" },
  write: { args: ["i32", "ptr", "u64"], returns: "i64" },
}).symbols;

/** By errno(3), the same numbers on every architecture that we are built for. */
const CODES: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  4: "EINTR",
  5: "EIO",
  9: "EBADF",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  20: "ENOTDIR",
  21: "EISDIR",
  22: "EINVAL",
  24: "EMFILE",
  28: "ENOSPC",
  30: "EROFS",
  32: "EPIPE",
  36: "ENAMETOOLONG",
  40: "ELOOP",
  122: "EDQUOT",
};

export class SystemError extends Error {
  readonly errno: number;
  /** As node:fs has it; undefined for one that is rare. */
  readonly code: string | undefined;
  constructor(call: string, errno: number) {
    super(`${call} failed with errno ${errno}`);
    this.name = "SystemError";
    this.errno = errno;
    this.code = CODES[errno];
  }
}

/** Of the last call; read it at once. */
export function errno(): number {
  return read.i32(symbols.__errno_location() as Pointer, 0);
}

/** A call that a signal has interrupted is made again. @throws SystemError */
function uninterrupted(what: string, call: () => number): number {
  for (;;) {
    const result = call();
    if (result >= 0) return result;
    const code = errno();
    if (CODES[code] !== "EINTR") throw new SystemError(what, code);
  }
}

/** For a call that gets the buffer itself, so that it lives as long. No file has a NUL in its path: an empty one is ENOENT. */
function pathBytes(path: string): Buffer {
  return Buffer.from(path.includes("\0") ? "\0" : `${path}\0`);
}

/** A file's path in a directory's. */
export function inDirectory(dir: string, name: string): string {
  return dir.endsWith("/") ? `${dir}${name}` : `${dir}/${name}`;
}

/** The same numbers on every architecture that we are built for (open(2)). */
export const OPEN = { read: 0, write: 1, create: 0o100, truncate: 0o1000, append: 0o2000 } as const;
const O_CLOEXEC = 0o2000000;

/** open(2). @throws SystemError */
export function openFd(path: string, flags: number, mode = 0o666): number {
  return uninterrupted(`open ${path}`, () => symbols.open(pathBytes(path), flags | O_CLOEXEC, mode));
}

export function closeFd(fd: number): void {
  symbols.close(fd);
}

/** write(2): how many bytes were taken. @throws SystemError */
export function writeFd(fd: number, bytes: Uint8Array): number {
  if (bytes.byteLength === 0) return 0;
  return uninterrupted("write", () => Number(symbols.write(fd, bytes, BigInt(bytes.byteLength))));
}

const PART_BYTES = 64 * 1024;

/** All of a text file. @throws SystemError */
export function readTextFile(path: string): string {
  const fd = openFd(path, OPEN.read);
  try {
    const parts: Buffer[] = [];
    for (;;) {
      const part = Buffer.allocUnsafe(PART_BYTES);
      const count = uninterrupted(`read ${path}`, () => Number(symbols.read(fd, part, BigInt(PART_BYTES))));
      if (count === 0) break;
      parts.push(part.subarray(0, count));
    }
    return (parts.length === 1 ? (parts[0] ?? Buffer.alloc(0)) : Buffer.concat(parts)).toString("utf8");
  } finally {
    closeFd(fd);
  }
}

/** What access(2) asks for. */
export const ACCESS = { exists: 0, execute: 1, write: 2, read: 4 } as const;

/** access(2); false when there is no such file, too. */
export function canAccess(path: string, mode: number): boolean {
  return symbols.access(pathBytes(path), mode) === 0;
}

export interface FileStatus {
  readonly kind: "file" | "directory" | "other";
  /** The permission bits. */
  readonly mode: number;
  readonly uid: number;
  /** Two paths with the same one are the same file. */
  readonly identity: string;
}

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;

/** Of a path or an open file; undefined when there is none (statx(2), whose structure is the same on every architecture). */
export function findStatus(file: string | number, options: { readonly ofLink?: boolean } = {}): FileStatus | undefined {
  const status = Buffer.alloc(256);
  const [dir, path, flags] = typeof file === "number" ? [file, "", AT_EMPTY_PATH] : [AT_FDCWD, file, 0];
  const given = flags | (options.ofLink === true ? AT_SYMLINK_NOFOLLOW : 0);
  if (symbols.statx(dir, pathBytes(path), given, STATX_BASIC_STATS, ptr(status)) !== 0) return undefined;
  const mode = status.readUInt16LE(28);
  const type = mode & 0o170000;
  return {
    kind: type === 0o100000 ? "file" : type === 0o040000 ? "directory" : "other",
    mode: mode & 0o7777,
    uid: status.readUInt32LE(20),
    identity: `${status.readUInt32LE(136)}:${status.readUInt32LE(140)}:${status.readBigUInt64LE(32)}`,
  };
}

/** gethostname(2). */
export function hostName(): string {
  const name = Buffer.alloc(256);
  return symbols.gethostname(ptr(name), 255n) === 0 ? name.toString("utf8", 0, name.indexOf(0)) : "localhost";
}

/** Session id of a process; 0 is ourselves (getsid(2)). */
export function sessionId(pid = 0): number {
  return symbols.getsid(pid);
}

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** SO_PEERCRED of a connected unix socket (unix(7)): who called connect or listen, as the kernel saw it. */
export function peerCredentials(fd: number): PeerCredentials {
  const ucred = new Int32Array(3);
  const length = new Uint32Array([12]);
  if (symbols.getsockopt(fd, 1 /* SOL_SOCKET */, 17 /* SO_PEERCRED */, ptr(ucred), ptr(length)) !== 0) {
    throw new SystemError("getsockopt(SO_PEERCRED)", errno());
  }
  const [pid = -1, uid = -1, gid = -1] = ucred;
  return { pid, uid, gid };
}

/** The limits that Slurm propagates (PropagateResourceLimits, srun(1)), by name, with Linux's numbers. */
const RLIMITS = {
  CPU: 0,
  FSIZE: 1,
  DATA: 2,
  STACK: 3,
  CORE: 4,
  RSS: 5,
  NPROC: 6,
  NOFILE: 7,
  MEMLOCK: 8,
  AS: 9,
} as const;
type RlimitName = keyof typeof RLIMITS;

const INFINITY = 0xffff_ffff_ffff_ffffn;

/** Soft limits of this process; -1 is unlimited. */
export function readSoftLimits(): Record<string, number> {
  const limits: Record<string, number> = {};
  const pair = new BigUint64Array(2);
  for (const [name, resource] of Object.entries(RLIMITS)) {
    if (symbols.prlimit64(0, resource, null, ptr(pair)) === 0) limits[name] = pair[0] === INFINITY ? -1 : Number(pair[0]);
  }
  return limits;
}

/**
 * Sets the soft limits of this process, so that children inherit them, and returns the ones that were there.
 * A value above the hard limit becomes the hard limit; unknown names are left alone.
 */
export function setSoftLimits(limits: Readonly<Record<string, number>>): Record<string, number> {
  const before: Record<string, number> = {};
  const pair = new BigUint64Array(2);
  for (const [name, value] of Object.entries(limits)) {
    const resource = RLIMITS[name as RlimitName] as number | undefined;
    if (resource === undefined || symbols.prlimit64(0, resource, null, ptr(pair)) !== 0) continue;
    const [soft = INFINITY, hard = INFINITY] = pair;
    const wanted = value < 0 ? INFINITY : BigInt(value);
    const next = wanted > hard ? hard : wanted;
    if (next === soft) continue;
    before[name] = soft === INFINITY ? -1 : Number(soft);
    pair[0] = next;
    symbols.prlimit64(0, resource, ptr(pair), null);
  }
  return before;
}
