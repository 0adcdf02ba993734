/**
 * Becoming another program (execve(2)): no process of ours stays, so signals, terminal, exit status and speed are
 * that program's own. What the JavaScript engine changed at its start is put back first: ignored signals stay ignored across
 * execve, and Bun ignores SIGPIPE and SIGXFSZ and raises the soft limit of open files.
 */
import { dlopen, ptr } from "bun:ffi";
import { readFileSync } from "node:fs";
import { setSoftLimits } from "./libc.ts";

const SIGPIPE = 13;
const SIGXFSZ = 25;

/** Returns only when it failed. @throws Error with the reason in words */
export function replaceProcess(path: string, argv: readonly [string, ...string[]], env: Readonly<Record<string, string>>): never {
  const libc = dlopen("libc.so.6", {
    execve: { args: ["ptr", "ptr", "ptr"], returns: "i32" },
    signal: { args: ["i32", "ptr"], returns: "ptr" },
  }).symbols;
  libc.signal(SIGPIPE, null);
  libc.signal(SIGXFSZ, null);
  restoreFileLimit();
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

function stringTable(strings: readonly string[], kept: Buffer[]): BigUint64Array {
  const table = new BigUint64Array(strings.length + 1);
  for (const [index, text] of strings.entries()) {
    const bytes = Buffer.from(`${text}\0`);
    kept.push(bytes);
    table[index] = BigInt(ptr(bytes));
  }
  return table;
}

/** The limit that we were started with is our parent's, as far as anybody can tell. */
export function restoreFileLimit(): void {
  const soft = parentFileLimit();
  if (soft !== undefined) setSoftLimits({ NOFILE: soft });
}

function parentFileLimit(): number | undefined {
  try {
    const line = /^Max open files +(\d+|unlimited)/m.exec(readFileSync(`/proc/${process.ppid}/limits`, "latin1"));
    return line?.[1] === undefined || line[1] === "unlimited" ? undefined : Number(line[1]);
  } catch {
    return undefined; // another user's process: nothing is known
  }
}
