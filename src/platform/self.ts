/** How to start another Berth: the same executable, even when the file was replaced or removed meanwhile. */
const isCompiled = Bun.main.startsWith("/$bunfs");

export function selfCommand(...args: readonly string[]): [string, ...string[]] {
  return isCompiled ? ["/proc/self/exe", ...args] : [process.execPath, Bun.main, ...args];
}

/** The path of the executable that runs, for links; undefined from source. */
export function selfPath(): string | undefined {
  return isCompiled ? process.execPath : undefined;
}

/** The same for another host that sees this file, or for later: by its path. */
export function selfOnDisk(...args: readonly string[]): [string, ...string[]] {
  return isCompiled ? [process.execPath, ...args] : [process.execPath, Bun.main, ...args];
}
