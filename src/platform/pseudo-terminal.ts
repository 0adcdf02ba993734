/**
 * A terminal for a program elsewhere, whose master a container engine gets: the other side of console-socket.ts (runc docs/terminals.md).
 *
 *   us: openpty ─► connect to the engine's socket, sendmsg(master), close it ─► the program on the slave, in a session of its own
 */
import { dlopen, type Pointer, ptr } from "bun:ffi";
import { errno, SystemError } from "./system.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const O_RDWR = 2;
const O_NOCTTY = 0o400;
const O_CLOEXEC = 0o2000000;
const MAX_PATH_BYTES = 107;
const MAX_NAME_BYTES = 128;

let loaded: ReturnType<typeof load> | undefined;
const load = () =>
  dlopen("libc.so.6", {
    close: { args: ["i32"], returns: "i32" },
    connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
    grantpt: { args: ["i32"], returns: "i32" },
    open: { args: ["ptr", "i32"], returns: "i32" },
    posix_openpt: { args: ["i32"], returns: "i32" },
    ptsname_r: { args: ["i32", "ptr", "u64"], returns: "i32" },
    sendmsg: { args: ["i32", "ptr", "i32"], returns: "i64" },
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    unlockpt: { args: ["i32"], returns: "i32" },
  }).symbols;
const libc = () => (loaded ??= load());

/** Opens a terminal and sends its master to `socketPath`. Gives the slave, which the caller closes. @throws SystemError */
export function openTerminalFor(socketPath: string): number {
  const master = checked("posix_openpt", libc().posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  try {
    checked("grantpt", libc().grantpt(master));
    checked("unlockpt", libc().unlockpt(master));
    const name = Buffer.alloc(MAX_NAME_BYTES);
    if (libc().ptsname_r(master, ptr(name), BigInt(MAX_NAME_BYTES)) !== 0) throw new SystemError("ptsname_r", errno());
    const slave = checked("open", libc().open(ptr(name), O_RDWR | O_NOCTTY | O_CLOEXEC));
    try {
      sendTo(socketPath, master);
      return slave;
    } catch (error) {
      libc().close(slave);
      throw error;
    }
  } finally {
    libc().close(master);
  }
}

function sendTo(path: string, fd: number): void {
  const bytes = Buffer.from(path);
  if (bytes.byteLength > MAX_PATH_BYTES) throw new RangeError(`${path} is too long for a socket`);
  const socket = checked("socket", libc().socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  try {
    const address = Buffer.alloc(110);
    address.writeUInt16LE(AF_UNIX);
    bytes.copy(address, 2);
    checked("connect", libc().connect(socket, ptr(address), address.byteLength));
    const text = Buffer.from("terminal");
    const iovec = new BigUint64Array([BigInt(ptr(text)), BigInt(text.byteLength)]);
    // struct cmsghdr: len (8), level (4), type (4), then the fd
    const control = new Uint8Array(24);
    const view = new DataView(control.buffer);
    view.setBigUint64(0, 20n, true);
    view.setInt32(8, SOL_SOCKET, true);
    view.setInt32(12, SCM_RIGHTS, true);
    view.setInt32(16, fd, true);
    // struct msghdr: name, namelen, iov, iovlen, control, controllen, flags
    const message = new BigUint64Array([0n, 0n, BigInt(ptr(iovec)), 1n, BigInt(ptr(control)), 24n, 0n]);
    if (libc().sendmsg(socket, ptr(message) as Pointer, 0) < 0) throw new SystemError("sendmsg", errno());
  } finally {
    libc().close(socket);
  }
}

function checked(call: string, result: number): number {
  if (result < 0) throw new SystemError(call, errno());
  return result;
}

/** In front of a program that shall have the terminal on its standard input as its own (setsid(1), -c). */
export const OWN_TERMINAL = ["/usr/bin/setsid", "--ctty"] as const;
