/** Directories that are nobody else's business. */
import { lstatSync, mkdirSync } from "node:fs";
import { BerthError } from "#job/errors.ts";

/**
 * Makes a directory that only the user may enter, or proves that the one there is such a one: somebody else could
 * have made it first under /tmp.
 * @throws BerthError DIRECTORY_UNSAFE
 */
export function ensurePrivateDir(path: string): string {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new BerthError("DIRECTORY", `Cannot make directory ${path}: ${(error as Error).message}`, {
      hint: "Berth's records need a place that can be written: set XDG_STATE_HOME, and XDG_RUNTIME_DIR for its sockets, to one",
      cause: error,
    });
  }
  const stat = lstatSync(path);
  const uid = process.getuid?.() ?? 0;
  if (stat.uid !== uid) {
    throw new BerthError("DIRECTORY_UNSAFE", `${path} belongs to uid ${stat.uid}, not to ${uid}`, {
      hint: "have it removed, or set XDG_STATE_HOME and XDG_RUNTIME_DIR to directories of your own",
    });
  }
  if (!stat.isDirectory() || (stat.mode & 0o077) !== 0) {
    throw new BerthError("DIRECTORY_UNSAFE", `${path} is not a directory that only uid ${uid} can enter`, {
      hint: `remove it, or run: chmod 700 ${path}`,
    });
  }
  return path;
}
