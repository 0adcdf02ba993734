/**
 * Receiving a container's terminal. `RUNTIME create --console-socket PATH` opens a terminal inside the container's own
 * /dev/pts, makes it the first process's controlling terminal, and sends the master to PATH as an SCM_RIGHTS message
 * (runc docs/terminals.md, "Detached"; unix(7), cmsg(3)):
 *
 *   us: socket, bind, listen ─► runtime: connect, sendmsg(master), exits ─► us: accept, recvmsg, close
 *
 * The message waits in the socket's queue, so that nothing has to be awaited: it is read when the runtime has ended.
 * Who receives the master owns it.
 */
import { closeSync, rmSync, writeSync } from "node:fs";
import { dlopen, type Pointer, ptr } from "bun:ffi";
import { setNonBlocking, setWindowSize } from "./libc.ts";
import { SystemError, errno } from "./system.ts";
import type { TerminalHandle } from "./spawn.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CMSG_CLOEXEC = 0x40000000;
/** struct sockaddr_un: the path has 108 bytes with its NUL. */
const MAX_PATH_BYTES = 107;

let loaded: ReturnType<typeof load> | undefined;
const load = () =>
  dlopen("libc.so.6", {
    accept4: { args: ["i32", "ptr", "ptr", "i32"], returns: "i32" },
    bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
    close: { args: ["i32"], returns: "i32" },
    listen: { args: ["i32", "i32"], returns: "i32" },
    recvmsg: { args: ["i32", "ptr", "i32"], returns: "i64" },
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  }).symbols;
const libc = () => (loaded ??= load());

export class ConsoleSocket implements Disposable {
  readonly path: string;
  #fd: number;

  /** Listens at `path`, which must be free and in a directory of ours. @throws SystemError, RangeError when the path is too long */
  constructor(path: string) {
    this.path = path;
    const bytes = Buffer.from(path);
    if (bytes.byteLength > MAX_PATH_BYTES) throw new RangeError(`${path} is too long for a socket`);
    this.#fd = libc().socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (this.#fd < 0) throw new SystemError("socket", errno());
    const address = Buffer.alloc(110);
    address.writeUInt16LE(AF_UNIX);
    bytes.copy(address, 2);
    const call =
      libc().bind(this.#fd, ptr(address), address.byteLength) !== 0 ? "bind" : libc().listen(this.#fd, 1) !== 0 ? "listen" : undefined;
    if (call === undefined) return;
    const error = new SystemError(call, errno());
    libc().close(this.#fd);
    throw error;
  }

  /** The master that the runtime has sent; undefined when none came. The caller closes it. */
  receive(): number | undefined {
    const peer = libc().accept4(this.#fd, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (peer < 0) return undefined;
    try {
      return receiveFd(peer);
    } finally {
      libc().close(peer);
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd < 0) return;
    libc().close(this.#fd);
    this.#fd = -1;
    rmSync(this.path, { force: true });
  }
}

/** One fd out of one message; its text (the container's id) is not needed. */
function receiveFd(socket: number): number | undefined {
  const text = new Uint8Array(4096);
  const iovec = new BigUint64Array([BigInt(ptr(text)), BigInt(text.byteLength)]);
  const control = new Uint8Array(64);
  // struct msghdr: name, namelen, iov, iovlen, control, controllen, flags
  const message = new BigUint64Array([0n, 0n, BigInt(ptr(iovec)), 1n, BigInt(ptr(control)), BigInt(control.byteLength), 0n]);
  if (libc().recvmsg(socket, ptr(message) as Pointer, MSG_CMSG_CLOEXEC) < 0) return undefined;
  const view = new DataView(control.buffer);
  // struct cmsghdr: len (8), level (4), type (4), then the fd
  if (
    (message[5] ?? 0n) < 20n ||
    view.getBigUint64(0, true) < 20n ||
    view.getInt32(8, true) !== SOL_SOCKET ||
    view.getInt32(12, true) !== SCM_RIGHTS
  )
    return undefined;
  return view.getInt32(16, true);
}

/** Takes the master over. `onClose` comes once, when nobody has the terminal any more. */
export function openTerminal(
  master: number,
  options: {
    readonly rows: number;
    readonly columns: number;
    readonly onOutput: (bytes: Uint8Array) => void;
    readonly onClose: () => void;
  },
): TerminalHandle {
  setWindowSize(master, options);
  setNonBlocking(master);
  const input = new TerminalInput(master);
  let isClosed = false;
  const reader = Bun.file(master).stream().getReader();
  const read = async () => {
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        options.onOutput(value);
      }
    } catch {
      // EIO: the last one has closed the other side (pty(7))
    } finally {
      isClosed = true;
      input.close();
      closeSync(master);
      options.onClose();
    }
  };
  const reading = read();
  const close = () => {
    if (!isClosed) void reader.cancel().then(() => reading);
  };
  return {
    write: (bytes) => input.write(bytes),
    close,
    resize: (columns, rows) => {
      if (!isClosed) setWindowSize(master, { columns, rows });
    },
  };
}

/** What a terminal's line discipline does not take at once (4 KiB) waits, up to a bound; beyond it is lost, as typed too fast. */
class TerminalInput {
  readonly #fd: number;
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(bytes: Uint8Array): void {
    if (this.#isClosed || this.#queuedBytes + bytes.byteLength > MAX_INPUT_BYTES) return;
    this.#queue.push(bytes.slice());
    this.#queuedBytes += bytes.byteLength;
    if (this.#retry === undefined) this.#flush();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
  }

  #flush(): void {
    this.#retry = undefined;
    for (let first = this.#queue[0]; first !== undefined && !this.#isClosed; first = this.#queue[0]) {
      let written: number;
      try {
        written = writeSync(this.#fd, first);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EAGAIN") this.#retry = setTimeout(() => this.#flush(), RETRY_MS);
        else this.close(); // EIO: nobody has the terminal any more; the reading side will see it too
        return;
      }
      this.#queuedBytes -= written;
      if (written === first.byteLength) this.#queue.shift();
      else this.#queue[0] = first.subarray(written);
    }
  }
}

const MAX_INPUT_BYTES = 1 << 20;
const RETRY_MS = 5;
