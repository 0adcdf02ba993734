/** Where this host has PMIx's library, by its name of interface version 2 (PMIx 3 and 4), as Debian's libpmix2 installs it. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

const NAME = "libpmix.so.2";

/** Undefined when it is not installed. */
export function findPmixLibrary(): string | undefined {
  const roots = ["/usr/local/lib", "/usr/lib64", "/usr/lib"];
  const triplets = [...roots, ...roots.flatMap((root) => subdirectories(root).filter((dir) => /-linux-gnu/.test(dir)))];
  return triplets.flatMap((dir) => [join(dir, NAME), join(dir, "pmix2/lib", NAME)]).find((path) => existsSync(path));
}

function subdirectories(dir: string): string[] {
  try {
    return readdirSync(dir).map((name) => join(dir, name));
  } catch {
    return []; // not on this host
  }
}
