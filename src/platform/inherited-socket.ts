/**
 * A socket pair of which a child inherits one end as a file descriptor (socketpair(2)): how a process manager talks with
 * its tasks when it starts them itself. Nobody else can connect, and both ends go with their processes.
 */
import { orDie } from "./fail-fast.ts";
import { closeSync } from "node:fs";
import { dlopen, ptr } from "bun:ffi";
import { errno, SystemError } from "./system.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;

let loaded: ReturnType<typeof load> | undefined;
const load = () => dlopen("libc.so.6", { socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" } }).symbols;
const libc = () => (loaded ??= load());

export interface SocketHandlers {
  /** The bytes are the handler's for the call only. */
  data(bytes: Uint8Array): void;
  /** Once; the child and whoever it gave the descriptor to have closed it. */
  closed(): void;
}

/** Our end. What the child does not read waits in memory; `write` to a child that has gone does nothing. */
export interface InheritedSocket {
  /** For the child; `closeChildEnd` after the spawn. */
  readonly childFd: number;
  closeChildEnd(): void;
  write(bytes: Uint8Array): void;
  close(): void;
}

/** @throws SystemError when there are no descriptors left */
export async function openInheritedSocket(handlers: SocketHandlers): Promise<InheritedSocket> {
  const fds = new Int32Array(2);
  if (libc().socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ptr(fds)) !== 0) throw new SystemError("socketpair", errno());
  const [ourFd = -1, childFd = -1] = fds;
  const pending: Uint8Array[] = [];
  let isClosed = false;
  const flush = (socket: { write(bytes: Uint8Array): number }) => {
    for (let first = pending[0]; first !== undefined; first = pending[0]) {
      const written = Math.max(0, socket.write(first));
      if (written < first.byteLength) {
        pending[0] = first.subarray(written);
        return;
      }
      pending.shift();
    }
  };
  const close = () => {
    if (isClosed) return;
    isClosed = true;
    pending.length = 0;
    handlers.closed();
  };
  // The types of Bun.connect leave `fd` out.
  const options: { readonly fd: number; readonly socket: Bun.SocketHandler } = {
    fd: ourFd,
    socket: {
      data: (_socket, chunk) => {
        orDie(() => handlers.data(chunk));
      },
      drain: (self) => flush(self),
      close: () => orDie(close),
      error: () => orDie(close),
    },
  };
  const socket = await Bun.connect(options as unknown as Bun.UnixSocketOptions);
  let isChildEndOpen = true;
  return {
    childFd,
    closeChildEnd: () => {
      if (isChildEndOpen) closeSync(childFd);
      isChildEndOpen = false;
    },
    write: (bytes) => {
      if (isClosed) return;
      pending.push(bytes.slice());
      if (pending.length === 1) flush(socket);
    },
    close: () => socket.terminate(),
  };
}
