/** Output of a short program that cannot hang on us; "" when it cannot be run. Blocks. */
export function outputOf(argv: readonly [string, ...string[]]): string {
  try {
    return Bun.spawnSync([...argv], { stdin: "ignore", stderr: "ignore", timeout: 10_000 }).stdout.toString();
  } catch {
    return "";
  }
}
