/** Looking at processes through /proc (proc(5)). */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** A pid alone is no identity: the kernel reuses it. Start time is in clock ticks since boot. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: number;
}

interface Stat {
  readonly state: string;
  readonly parent: number;
  readonly startTicks: number;
}

function readStat(pid: number | string): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined; // gone
  }
  // The name is in parentheses and may hold anything, parentheses too.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "Z", parent: Number(fields[1]), startTicks: Number(fields[19]) };
}

export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid);
  return stat === undefined ? undefined : { pid, startTicks: stat.startTicks };
}

/** True while this very process exists and is no zombie. */
export function isAlive(identity: ProcessIdentity): boolean {
  const stat = readStat(identity.pid);
  return stat !== undefined && stat.startTicks === identity.startTicks && stat.state !== "Z" && stat.state !== "X";
}

export function isZombie(pid: number): boolean {
  return readStat(pid)?.state === "Z";
}

export function parentOf(pid: number): number | undefined {
  return readStat(pid)?.parent;
}

export function isChildOf(pid: number, parent: number): boolean {
  return readStat(pid)?.parent === parent;
}

export interface FoundProcess {
  readonly pid: number;
  readonly parent: number;
  readonly isZombie: boolean;
}

export function children(pid: number): number[] {
  const pids: number[] = [];
  let threads: string[];
  try {
    // Our own children belong to our first thread: Bun starts them there, and orphans are given to it. We have many threads.
    threads = pid === process.pid ? [String(pid)] : readdirSync(`/proc/${pid}/task`);
  } catch {
    return pids;
  }
  for (const thread of threads) {
    try {
      const text = readFileSync(`/proc/${pid}/task/${thread}/children`, "latin1").trim();
      if (text !== "") pids.push(...text.split(" ").map(Number));
    } catch {
      // The thread ended between the two reads.
    }
  }
  return pids;
}

/** All descendants of a process, parents before children. A snapshot: repeat it until it is empty to be sure. */
export function descendants(root: number): FoundProcess[] {
  const found: FoundProcess[] = [];
  const queue = [root];
  for (let parent = queue.pop(); parent !== undefined; parent = queue.pop()) {
    for (const pid of children(parent)) {
      found.push({ pid, parent, isZombie: isZombie(pid) });
      queue.push(pid);
    }
  }
  return found;
}

/** SIGKILL to a process and everything below it. */
export function killTree(pid: number): void {
  const below = descendants(pid);
  for (const found of [{ pid, isZombie: false }, ...below]) if (!found.isZombie) sendSignal(found.pid, 9);
}

/** Sends a signal; a process that has gone, or may not be signalled, is no error. */
export function sendSignal(pid: number, signal: number): void {
  if (pid <= 1) throw new Error(`refusing to signal process ${pid}`);
  try {
    process.kill(pid, signal);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}

/** `isReadOnly`: it is open for reading and nothing else. */
export interface ProcessMark {
  argument(text: string): boolean;
  openFile(path: string, isReadOnly: () => boolean): boolean;
}

/**
 * The uppermost of our user's processes that has such an argument or such an open file, ourselves left out: where a
 * process is that nobody wrote down.
 */
export function findProcess(mark: ProcessMark): ProcessIdentity | undefined {
  const marked = new Map<number, Stat>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const stat = readStat(pid);
    if (stat !== undefined && stat.state !== "Z" && isMarked(pid, mark)) marked.set(pid, stat);
  }
  for (const [pid, { parent, startTicks }] of marked) if (!marked.has(parent)) return { pid, startTicks };
  return undefined;
}

function isMarked(pid: number, mark: ProcessMark): boolean {
  try {
    if (
      readFileSync(`/proc/${pid}/cmdline`, "utf8")
        .split("\0")
        .some((text) => mark.argument(text))
    )
      return true;
    return readdirSync(`/proc/${pid}/fd`).some((fd) => mark.openFile(readlinkSync(`/proc/${pid}/fd/${fd}`), () => isReadOnly(pid, fd)));
  } catch {
    return false; // gone, or somebody else's
  }
}

/** proc(5), fdinfo: the flags are octal, and the access mode is their last two bits. */
function isReadOnly(pid: number, fd: string): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "latin1"))?.[1] ?? "";
  return (Number.parseInt(flags, 8) & 3) === 0;
}

/** The processes of a container: those in its pid namespace when it has one of its own, else its first one and all below it. */
export function processesOf(init: number): number[] {
  const namespaceOf = (pid: number | string) => {
    try {
      return readlinkSync(`/proc/${pid}/ns/pid`);
    } catch {
      return undefined; // gone, or somebody else's
    }
  };
  const namespace = namespaceOf(init);
  if (namespace === undefined || namespace === namespaceOf("self")) return [init, ...descendants(init).map(({ pid }) => pid)];
  return readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) && namespaceOf(name) === namespace ? [Number(name)] : []));
}
