/**
 * The C library calls that Bun does not offer, and that not every command needs (those are in system.ts). Each wrapper reads its
 * result at once and throws a typed error.
 */
import { dlopen, ptr } from "bun:ffi";
import { errno, SystemError } from "./system.ts";

const symbols = dlopen("libc.so.6", {
  dup2: { args: ["i32", "i32"], returns: "i32" },
  flock: { args: ["i32", "i32"], returns: "i32" },
  setsid: { args: [], returns: "i32" },
  isatty: { args: ["i32"], returns: "i32" },
  sched_getaffinity: { args: ["i32", "u64", "ptr"], returns: "i32" },
  sched_setaffinity: { args: ["i32", "u64", "ptr"], returns: "i32" },
  ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
  mkfifo: { args: ["ptr", "u32"], returns: "i32" },
  syscall: { args: ["i64", "i64", "i64"], returns: "i64" },
  prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
  cfmakeraw: { args: ["ptr"], returns: "void" },
  tcgetattr: { args: ["i32", "ptr"], returns: "i32" },
  tcsetattr: { args: ["i32", "i32", "ptr"], returns: "i32" },
  wait4: { args: ["i32", "ptr", "i32", "ptr"], returns: "i32" },
}).symbols;

const LOCK_EX = 2;
const LOCK_NB = 4;
const EWOULDBLOCK = 11;

/** flock(2), exclusive, without waiting. False when somebody else holds it. The kernel drops it with the last fd. */
export function tryLock(fd: number): boolean {
  if (symbols.flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const code = errno();
  if (code === EWOULDBLOCK) return false;
  throw new SystemError("flock", code);
}

/** mkfifo(3). Mode is subject to the umask. */
export function makeFifo(path: string, mode: number): void {
  if (symbols.mkfifo(Buffer.from(`${path}\0`), mode) !== 0) throw new SystemError(`mkfifo ${path}`, errno());
}

/** PR_SET_CHILD_SUBREAPER (prctl(2)): orphaned descendants become our children instead of init's. */
export function becomeSubreaper(): void {
  if (symbols.prctl(36, 1, 0, 0, 0) !== 0) throw new SystemError("prctl(PR_SET_CHILD_SUBREAPER)", errno());
}

/** TIOCSWINSZ (ioctl_tty(2)); a terminal that has gone is no error. */
export function setWindowSize(fd: number, { rows, columns }: { readonly rows: number; readonly columns: number }): void {
  symbols.ioctl(fd, 0x5414n, ptr(new Uint16Array([rows, columns, 0, 0])));
}

/** dup2(2): `to` becomes another name of `from`; what it was before is closed. */
export function replaceFd(from: number, to: number): void {
  if (symbols.dup2(from, to) < 0) throw new SystemError("dup2", errno());
}

/** FIONBIO (ioctl(2)): reads and writes of this open file do not wait. */
export function setNonBlocking(fd: number): void {
  if (symbols.ioctl(fd, 0x5421n, ptr(new Int32Array([1]))) !== 0) throw new SystemError("ioctl(FIONBIO)", errno());
}

/** PR_SET_PDEATHSIG (prctl(2)): the kernel sends us this signal when the thread that started us is gone. */
export function signalOnParentDeath(signal: number): void {
  if (symbols.prctl(1, BigInt(signal), 0, 0, 0) !== 0) throw new SystemError("prctl(PR_SET_PDEATHSIG)", errno());
}

/** setsid(2), in the root directory: for one that stays, started by somebody who goes. One that leads a session already stays its leader. */
export function leadSession(): void {
  symbols.setsid();
  process.chdir("/");
}

/** isatty(3). Node's own loads its network streams too, 2 ms of them. */
export function isTerminal(fd: number): boolean {
  return symbols.isatty(fd) === 1;
}

export interface ReapedChild {
  /** As wait(2) gives it. */
  readonly waitStatus: number;
  /** Of the child and of what it waited for (getrusage(2)). */
  readonly userCpuMs: number;
  readonly systemCpuMs: number;
  readonly maxRssKib: number;
}

/** Room for struct termios of every Linux architecture. */
const TERMIOS_BYTES = 256;
const TCSADRAIN = 1;

/**
 * Passes every byte through the terminal both ways (cfmakeraw(3)), which Bun's raw mode does not: it keeps changing
 * newlines on output. The result puts things back; it may be called twice. Undefined when fd is no terminal.
 */
export function makeTerminalRaw(fd: number): (() => void) | undefined {
  const before = new Uint8Array(TERMIOS_BYTES);
  if (symbols.tcgetattr(fd, ptr(before)) !== 0) return undefined;
  const raw = before.slice();
  symbols.cfmakeraw(ptr(raw));
  if (symbols.tcsetattr(fd, TCSADRAIN, ptr(raw)) !== 0) return undefined;
  return () => {
    symbols.tcsetattr(fd, TCSADRAIN, ptr(before));
  };
}

/** Reaps one child that Bun does not know (an orphan that a subreaper inherited). Undefined while it runs or is not ours. */
export function reapChild(pid: number): ReapedChild | undefined {
  const status = new Int32Array(1);
  const rusage = new BigInt64Array(18); // struct rusage: two timevals, then 14 longs of which the first is ru_maxrss
  if (symbols.wait4(pid, ptr(status), 1 /* WNOHANG */, ptr(rusage)) !== pid) return undefined;
  const [userS = 0n, userUs = 0n, systemS = 0n, systemUs = 0n, maxRss = 0n] = rusage;
  const milliseconds = (seconds: bigint, micros: bigint) => Math.round(Number(seconds) * 1000 + Number(micros) / 1000);
  return {
    waitStatus: status[0] ?? 0,
    userCpuMs: milliseconds(userS, userUs),
    systemCpuMs: milliseconds(systemS, systemUs),
    maxRssKib: Number(maxRss),
  };
}

const SYS_PIDFD_OPEN = 434;
/** _IOWR(0xFF, 11, struct pidfd_info) with the structure's first 64 bytes (linux/pidfd.h). */
const PIDFD_GET_INFO = 0xc040ff0bn;
const PIDFD_INFO_EXIT = 1n << 3n;

/** pidfd_open(2); undefined when there is no such process, or the kernel is too old. The caller closes it. */
export function openPidFd(pid: number): number | undefined {
  const fd = Number(symbols.syscall(BigInt(SYS_PIDFD_OPEN), BigInt(pid), 0n));
  return fd < 0 ? undefined : fd;
}

/** Wait status of a process that somebody else has reaped; undefined before Linux 6.15, or while it runs. */
export function readExitOfPidFd(fd: number): number | undefined {
  const info = new BigUint64Array(8);
  info[0] = PIDFD_INFO_EXIT;
  if (symbols.ioctl(fd, PIDFD_GET_INFO, ptr(info)) !== 0 || ((info[0] ?? 0n) & PIDFD_INFO_EXIT) === 0n) return undefined;
  return new Int32Array(info.buffer)[15];
}

/** Room for 8192 CPUs, the most that Linux can be built for. */
const CPU_SET_BYTES = 1024;

/** CPUs that this thread may run on, ascending (sched_getaffinity(2)). */
export function readAffinity(): number[] {
  const set = new Uint8Array(CPU_SET_BYTES);
  if (symbols.sched_getaffinity(0, BigInt(CPU_SET_BYTES), ptr(set)) < 0) throw new SystemError("sched_getaffinity", errno());
  const cpus: number[] = [];
  for (const [index, byte] of set.entries()) for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) cpus.push(index * 8 + bit);
  return cpus;
}

/** For this thread and the processes that it starts. False when none of them is ours to use. */
export function setAffinity(cpus: readonly number[]): boolean {
  const set = new Uint8Array(CPU_SET_BYTES);
  for (const cpu of cpus) if (cpu < CPU_SET_BYTES * 8) set[cpu >> 3] = (set[cpu >> 3] ?? 0) | (1 << (cpu & 7));
  return symbols.sched_setaffinity(0, BigInt(CPU_SET_BYTES), ptr(set)) === 0;
}
