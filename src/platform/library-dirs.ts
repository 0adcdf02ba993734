/** Where shared libraries are, on hosts of either kind: Debian's directories by architecture, or lib64. */
import { readdirSync } from "node:fs";
import { join } from "node:path";

export function libraryDirs(): string[] {
  const roots = ["/usr/local/lib", "/usr/lib64", "/usr/lib"];
  return [...roots, ...roots.flatMap((root) => subdirectories(root).filter((dir) => /-linux-gnu/.test(dir)))];
}

function subdirectories(dir: string): string[] {
  try {
    return readdirSync(dir).map((name) => join(dir, name));
  } catch {
    return []; // not on this host
  }
}
