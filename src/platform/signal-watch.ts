/**
 * Hearing of signals that a process of ours does not take: the first process of a pid namespace is spared by those it has no handler for, Ctrl-C at its
 * terminal included, and nobody else hears of that. Whoever traces a process is told of each one before it is dropped (ptrace(2), PTRACE_SEIZE).
 *
 * All calls have to be our main thread's, which JavaScript's are. When we are killed, the kernel lets go of the process.
 */
import { readFileSync } from "node:fs";
import { dlopen, ptr } from "bun:ffi";

const PTRACE_CONT = 7n;
const PTRACE_DETACH = 17n;
const PTRACE_SEIZE = 0x4206n;
const PTRACE_INTERRUPT = 0x4207n;
const P_PID = 1;
const WNOHANG = 1;
const WSTOPPED = 2;
const WALL = 0x40000000;
/** siginfo_t of a child's change, on 64-bit hosts. */
const INFO_BYTES = 128;
const INFO_PID = 16;
const INFO_STATUS = 24;
const SIGINT = 2;
const DETACH_MS = 2000;

let loaded: ReturnType<typeof load> | undefined;
const load = () =>
  dlopen("libc.so.6", {
    ptrace: { args: ["u64", "i32", "u64", "u64"], returns: "i64" },
    waitid: { args: ["i32", "i32", "ptr", "i32"], returns: "i32" },
  }).symbols;
const libc = () => (loaded ??= load());

export class SignalWatch {
  readonly #pid: number;
  readonly #onSignal: (signal: number) => void;
  readonly #onChild = () => this.#look();

  /** Of a child of ours. Undefined when it takes Ctrl-C by itself, one way or another, or may not be traced. */
  static start(pid: number, onSignal: (signal: number) => void): SignalWatch | undefined {
    if (!sparesInterrupt(pid) || libc().ptrace(PTRACE_SEIZE, pid, 0n, 0n) !== 0n) return undefined;
    return new SignalWatch(pid, onSignal);
  }

  private constructor(pid: number, onSignal: (signal: number) => void) {
    this.#pid = pid;
    this.#onSignal = onSignal;
    process.on("SIGCHLD", this.#onChild);
    this.#look();
  }

  #look(): void {
    for (let signal = this.#stopped(); signal !== undefined; signal = this.#stopped()) {
      libc().ptrace(PTRACE_CONT, this.#pid, 0n, BigInt(signal));
      if (signal !== 0) this.#onSignal(signal);
    }
  }

  /** The signal that it has stopped for, 0 when it has stopped for us. Undefined when it goes on. */
  #stopped(): number | undefined {
    const info = Buffer.alloc(INFO_BYTES);
    if (libc().waitid(P_PID, this.#pid, ptr(info), WNOHANG | WSTOPPED | WALL) !== 0 || info.readInt32LE(INFO_PID) === 0) return undefined;
    const status = info.readInt32LE(INFO_STATUS);
    return status > 0xff ? 0 : status; // above it is an event of ptrace's
  }

  /** Over when it is as it was; it can be let go of only while it stands still. */
  async stop(): Promise<void> {
    process.off("SIGCHLD", this.#onChild);
    libc().ptrace(PTRACE_INTERRUPT, this.#pid, 0n, 0n);
    for (const deadline = performance.now() + DETACH_MS; performance.now() < deadline; await Bun.sleep(1)) {
      const signal = this.#stopped();
      if (signal === undefined && isThere(this.#pid)) continue;
      if (signal !== undefined) libc().ptrace(PTRACE_DETACH, this.#pid, 0n, BigInt(signal));
      return;
    }
  }
}

function isThere(pid: number): boolean {
  return /^State:\s*[^ZX]/m.test(statusOf(pid));
}

/** The first of a pid namespace, without a handler for it. */
function sparesInterrupt(pid: number): boolean {
  const text = statusOf(pid);
  const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(text)?.[1] ?? "";
  const caught = BigInt(`0x${field("SigCgt") || "0"}`);
  return /\s1$/.test(field("NSpid")) && (caught & (1n << BigInt(SIGINT - 1))) === 0n;
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, "latin1");
  } catch {
    return "";
  }
}
