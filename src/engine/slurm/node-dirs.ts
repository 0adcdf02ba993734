/**
 * Where Berth keeps things on a node of the site's Slurm. On the node itself, never in the home directory: it is
 * shared by all nodes, and container records, locks and sockets are not.
 */
import { join } from "node:path";
import { directories } from "#platform/directories.ts";
import { ensurePrivateDir } from "#platform/private-directory.ts";

export interface NodeDirs {
  readonly root: string;
  /** One directory for each running task, see task/task-dir.ts. */
  readonly tasks: string;
}

/** Makes the root. @throws BerthError DIRECTORY_UNSAFE */
export function nodeDirs(): NodeDirs {
  const { runtime } = directories();
  ensurePrivateDir(runtime);
  const root = ensurePrivateDir(join(runtime, "node"));
  return { root, tasks: join(root, "tasks") };
}
