/**
 * Becoming another program (execve(2)): no process of ours stays, so signals, terminal, exit status and speed are
 * that program's own. What the JavaScript engine changed at its start is put back first: ignored signals stay ignored across
 * execve, and Bun ignores SIGPIPE and SIGXFSZ and raises the soft limit of open files.
 */
import { dlopen, ptr } from "bun:ffi";
import { readFileSync } from "node:fs";

const SIGPIPE = 13;
const SIGXFSZ = 25;

/** Returns only when it failed. @throws Error with the reason in words */
export function replaceProcess(path: string, argv: readonly [string, ...string[]], env: Readonly<Record<string, string>>): never {
  const libc = open();
  libc.signal(SIGPIPE, null);
  libc.signal(SIGXFSZ, null);
  restoreFileLimit(libc);
  const kept: Buffer[] = []; // the kernel reads them during the call
  const argvTable = stringTable(argv, kept);
  const envTable = stringTable(
    Object.entries(env).map(([name, value]) => `${name}=${value}`),
    kept,
  );
  const file = Buffer.from(`${path}\0`);
  libc.execve(ptr(file), ptr(argvTable), ptr(envTable));
  throw new Error(`Cannot execute ${path} (${kept.length} words)`);
}

/** A table of its own, not libc.ts's: half a millisecond of every command that becomes another one. */
function open() {
  return dlopen("libc.so.6", {
    execve: { args: ["ptr", "ptr", "ptr"], returns: "i32" },
    prlimit64: { args: ["i32", "i32", "ptr", "ptr"], returns: "i32" },
    signal: { args: ["i32", "ptr"], returns: "ptr" },
  }).symbols;
}

function stringTable(strings: readonly string[], kept: Buffer[]): BigUint64Array {
  const table = new BigUint64Array(strings.length + 1);
  for (const [index, text] of strings.entries()) {
    const bytes = Buffer.from(`${text}\0`);
    kept.push(bytes);
    table[index] = BigInt(ptr(bytes));
  }
  return table;
}

const RLIMIT_NOFILE = 7;

/** The limit that we were started with is our parent's, as far as anybody can tell. */
export function restoreFileLimit(libc = open()): void {
  const soft = parentFileLimit();
  const pair = new BigUint64Array(2);
  if (soft === undefined || libc.prlimit64(0, RLIMIT_NOFILE, null, ptr(pair)) !== 0) return;
  const [, hard = soft] = pair;
  if (hard < soft) pair[0] = hard;
  else pair[0] = soft;
  libc.prlimit64(0, RLIMIT_NOFILE, ptr(pair), null);
}

function parentFileLimit(): bigint | undefined {
  try {
    const line = /^Max open files +(\d+|unlimited)/m.exec(readFileSync(`/proc/${process.ppid}/limits`, "latin1"));
    return line?.[1] === undefined || line[1] === "unlimited" ? undefined : BigInt(line[1]);
  } catch {
    return undefined; // another user's process: nothing is known
  }
}
