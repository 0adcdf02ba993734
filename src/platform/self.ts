/** How to start another Berth: the same executable, even when the file was replaced or removed meanwhile. */
import { join } from "node:path";

const isCompiled = Bun.main.startsWith("/$bunfs");

export function selfCommand(...args: readonly string[]): [string, ...string[]] {
  return isCompiled ? ["/proc/self/exe", ...args] : [process.execPath, Bun.main, ...args];
}

/** The path of the executable that runs, for links; undefined from source. */
export function selfPath(): string | undefined {
  return isCompiled ? process.execPath : undefined;
}

/** The same for another host that sees this file, or for later: by its path. From source also inside a test. */
export function selfOnDisk(...args: readonly string[]): [string, ...string[]] {
  return isCompiled ? [process.execPath, ...args] : [process.execPath, join(import.meta.dir, "..", "main.ts"), ...args];
}
