/**
 * A program's copy in memory that nobody can change any more (memfd_create(2), F_ADD_SEALS of fcntl(2)). It can be executed, and opened
 * by the user's other processes, for as long as somebody has it open.
 */
import { dlopen, ptr } from "bun:ffi";
import { closeFd, errno, findStatus, OPEN, openFd, SystemError } from "./system.ts";

const { symbols } = dlopen("libc.so.6", {
  fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
  memfd_create: { args: ["ptr", "u32"], returns: "i32" },
  pread: { args: ["i32", "ptr", "u64", "i64"], returns: "i64" },
  sendfile: { args: ["i32", "i32", "ptr", "u64"], returns: "i64" },
});

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
/** Since Linux 6.3; before, every such file may be executed. */
const MFD_EXEC = 0x10;
const EINVAL = 22;
const F_ADD_SEALS = 1033;
const F_GET_SEALS = 1034;
/** F_SEAL_SEAL, _SHRINK, _GROW and _WRITE. */
const ALL_SEALS = 0xf;
const PART_BYTES = 16n * 1024n * 1024n;

export interface SealedCopy extends Disposable {
  /** For every process of the user. */
  readonly path: string;
}

/**
 * @throws SystemError when the file cannot be read, or this kernel allows no such copy
 * @throws Error when it is a script: its interpreter would look for it in vain, by a descriptor that is closed then
 */
export function makeSealedCopy(file: string): SealedCopy {
  const source = openFd(file, OPEN.read);
  let writable: number | undefined;
  try {
    if (!startsWith(source, ELF)) throw new Error(`${file} is no program in the kernel's own format`);
    writable = createFile(file.slice(file.lastIndexOf("/") + 1));
    for (let sent = 1n; sent > 0n; ) {
      sent = BigInt(symbols.sendfile(writable, source, null, PART_BYTES));
      if (sent < 0n) throw new SystemError(`sendfile ${file}`, errno());
    }
    if (symbols.fcntl(writable, F_ADD_SEALS, ALL_SEALS) !== 0) throw new SystemError("fcntl(F_ADD_SEALS)", errno());
    const fd = openFd(`/proc/self/fd/${writable}`, OPEN.read);
    return { path: `/proc/${process.pid}/fd/${fd}`, [Symbol.dispose]: () => closeFd(fd) };
  } finally {
    if (writable !== undefined) closeFd(writable);
    closeFd(source);
  }
}

/** elf(5). */
const ELF = Buffer.from("\x7fELF", "latin1");

function startsWith(fd: number, bytes: Buffer): boolean {
  const found = Buffer.alloc(bytes.byteLength);
  return Number(symbols.pread(fd, ptr(found), BigInt(found.byteLength), 0n)) === bytes.byteLength && found.equals(bytes);
}

function createFile(name: string): number {
  const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  const bytes = Buffer.from(`${name}\0`);
  let fd = symbols.memfd_create(bytes, flags | MFD_EXEC);
  if (fd < 0 && errno() === EINVAL) fd = symbols.memfd_create(bytes, flags);
  if (fd < 0) throw new SystemError("memfd_create", errno());
  return fd;
}

/** A descriptor of the copy at `path`; undefined when there is none any more, or what is there is not one. The caller closes it. */
export function openSealedCopy(path: string): number | undefined {
  let fd: number;
  try {
    fd = openFd(path, OPEN.read);
  } catch {
    return undefined; // whoever had it is gone
  }
  if (findStatus(fd)?.kind === "file" && symbols.fcntl(fd, F_GET_SEALS, 0) === ALL_SEALS) return fd;
  closeFd(fd);
  return undefined;
}
