/** Files that were open before we began: of a shell, or of an engine that does not close them for its children. */
import { closeSync, readdirSync, readlinkSync } from "node:fs";

const FIRST = 3;

/**
 * Closes them, but standard streams and `keep`. To be called before anything of our own is opened; what Bun has open by then has no name in any
 * file system (epoll, eventfd). Bun keeps them from children, but it does not close them.
 */
export function closeInherited({ keep }: { readonly keep: readonly number[] }): void {
  for (const name of readdirSync("/proc/self/fd")) {
    const fd = Number(name);
    if (fd < FIRST || keep.includes(fd)) continue;
    try {
      if (!readlinkSync(`/proc/self/fd/${name}`).startsWith("anon_inode:")) closeSync(fd);
    } catch {
      // The directory itself, which was open while it was read.
    }
  }
}
