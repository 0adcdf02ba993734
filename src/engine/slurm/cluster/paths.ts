/** Where the private cluster keeps its things: one directory, which `down` removes whole. */
import { join } from "node:path";
import { directories } from "#platform/directories.ts";

export interface ClusterPaths {
  readonly root: string;
  readonly conf: string;
  readonly mungeKey: string;
  readonly mungeSocket: string;
  /** Only with --jwt. */
  readonly jwtKey: string;
  /** Only with --dbd. */
  readonly database: string;
  readonly databaseSocket: string;
  readonly databaseConf: string;
  /** What runs: see record.ts. */
  readonly record: string;
  readonly logs: string;
  readonly state: string;
  readonly lock: string;
}

/** A socket's path must fit into 107 bytes, so this is below the runtime directory and not below the state directory. */
export function clusterPaths(): ClusterPaths {
  const { runtime } = directories();
  const root = join(runtime, "slurm");
  return {
    root,
    conf: join(root, "slurm.conf"),
    mungeKey: join(root, "munge.key"),
    mungeSocket: join(root, "munge.sock"),
    jwtKey: join(root, "jwt.key"),
    database: join(root, "db"),
    databaseSocket: join(root, "db.sock"),
    databaseConf: join(root, "slurmdbd.conf"), // slurmdbd looks for it beside slurm.conf
    record: join(root, "cluster.json"),
    logs: join(root, "log"),
    state: join(root, "state"),
    lock: join(runtime, "slurm.lock"),
  };
}
