/** How to start another Berth: the same executable, even when the file was replaced or removed meanwhile. */
const isCompiled = Bun.main.startsWith("/$bunfs");

export function selfCommand(...args: readonly string[]): [string, ...string[]] {
  return isCompiled ? ["/proc/self/exe", ...args] : [process.execPath, Bun.main, ...args];
}

/** The path of the executable that runs, for links; undefined from source. */
export function selfPath(): string | undefined {
  return isCompiled ? process.execPath : undefined;
}
