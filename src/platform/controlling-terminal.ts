/** A terminal whose keys are signals to us (ioctl_tty(2)), for as long as nobody else has it for that. */
import { dlopen, ptr } from "bun:ffi";

const TIOCSCTTY = 0x540en;
const TIOCNOTTY = 0x5422n;
const SIGHUP = 1;
const SIG_IGN = 1n;
/** struct sigaction: the handler, a mask of 1024 bits, flags, and a restorer. */
const SIGACTION_BYTES = 152;

let loaded: ReturnType<typeof load> | undefined;
const load = () =>
  dlopen("libc.so.6", {
    ioctl: { args: ["i32", "u64", "u64"], returns: "i32" },
    sigaction: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  }).symbols;
const libc = () => (loaded ??= load());

/**
 * Ours has to be a session without one. Gives the way back, after which another session can take it: whoever lets go of a terminal is hung
 * up, which we must not hear. When we cannot have it, keys are signals to nobody.
 */
export function controlTerminal(fd: number): () => void {
  if (libc().ioctl(fd, TIOCSCTTY, 0n) !== 0) return () => undefined;
  return () => {
    const ignore = Buffer.alloc(SIGACTION_BYTES);
    ignore.writeBigUInt64LE(SIG_IGN);
    const before = Buffer.alloc(SIGACTION_BYTES);
    libc().sigaction(SIGHUP, ptr(ignore), ptr(before));
    libc().ioctl(fd, TIOCNOTTY, 0n);
    libc().sigaction(SIGHUP, ptr(before), null);
  };
}
