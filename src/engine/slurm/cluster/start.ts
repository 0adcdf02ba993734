/** Starting the private cluster's daemons, each when the one before it is ready: munged, a database if wanted, slurmctld, slurmd. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { runChild } from "#platform/child.ts";
import { shortHostName } from "#platform/directories.ts";
import { ensurePrivateDir } from "#platform/private-directory.ts";
import { findFreePorts } from "#platform/free-ports.ts";
import { userName } from "#platform/users.ts";
import { findSiteProgram } from "../programs.ts";
import { CLUSTER_NAME, cgroupConf, slurmConf } from "./config-text.ts";
import { ClusterDaemons } from "./daemons.ts";
import {
  databaseWords,
  installDatabase,
  isDatabaseThere,
  registerCluster,
  slurmdbdConf,
  slurmdbdEnvironment,
  type DatabasePlace,
} from "./database.ts";
import { readNodeStates } from "./node-states.ts";
import type { ClusterPaths } from "./paths.ts";

export interface ClusterWish {
  readonly nodes: number;
  readonly cpusPerNode: number | null;
  /** Whether it accepts JSON web tokens besides munge, as slurmrestd needs. */
  readonly hasTokens: boolean;
  /** Whether it has slurmdbd and a database, so that sacct shows jobs and steps of all times. */
  readonly hasDatabase: boolean;
}

/** Over when all nodes are idle. @throws BerthError CLUSTER_PATH, CLUSTER_START */
export async function startCluster(
  paths: ClusterPaths,
  { nodes, cpusPerNode, hasTokens, hasDatabase, signal }: ClusterWish & { readonly signal: AbortSignal },
): Promise<void> {
  if (paths.mungeSocket.length > 107) {
    throw new BerthError("CLUSTER_PATH", `The path of munge's socket is too long for a socket: ${paths.mungeSocket}`, {
      hint: "set XDG_RUNTIME_DIR to a shorter directory of yours, mode 0700",
    });
  }
  for (const dir of [paths.root, paths.logs, paths.state]) ensurePrivateDir(dir);
  const version = await slurmVersion(signal);
  const user = userName(process.getuid?.() ?? 0);
  const [controllerPort = 0, databasePort = 0, ...nodePorts] = findFreePorts(nodes + 2);
  writeFileSync(paths.mungeKey, crypto.getRandomValues(new Uint8Array(128)), { mode: 0o400 });
  if (hasTokens) writeFileSync(paths.jwtKey, crypto.getRandomValues(new Uint8Array(32)), { mode: 0o600 });
  writeFileSync(
    paths.conf,
    slurmConf({
      paths,
      user,
      host: shortHostName(),
      hasTokens,
      databasePort: hasDatabase ? databasePort : null,
      controllerPort,
      nodePorts,
      version: version.numbers,
      cpusPerNode: cpusPerNode ?? Math.max(4, availableParallelism()),
      memMibPerNode: Math.max(512, Math.floor(totalmem() / 2 ** 20 / nodes / 2)),
    }),
    { mode: 0o600 },
  );
  const cgroup = cgroupConf(version.numbers);
  if (cgroup !== undefined) writeFileSync(join(paths.root, "cgroup.conf"), cgroup, { mode: 0o600 });
  const daemons = new ClusterDaemons(paths, { nodes, slurmVersion: version.text, mark: crypto.randomUUID(), hasDatabase, daemons: [] });
  daemons.run("munged", "munged", [
    "--foreground",
    "--force",
    `--key-file=${paths.mungeKey}`,
    `--socket=${paths.mungeSocket}`,
    `--pid-file=${paths.root}/munged.pid`,
    `--log-file=${paths.logs}/munged.log`,
    `--seed-file=${paths.root}/munge.seed`,
    "--num-threads=2",
  ]);
  await daemons.until("munged makes no socket", signal, () => existsSync(paths.mungeSocket));
  if (hasDatabase) await startDatabase({ paths, user, port: databasePort }, daemons, signal);
  daemons.run("slurmctld", "slurmctld", ["-D", "-c"]);
  for (let index = 1; index <= nodes; index++) {
    mkdirSync(join(paths.state, `c${index}`), { mode: 0o700, recursive: true });
    daemons.run(`c${index}`, "slurmd", ["-D", "-N", `c${index}`]);
  }
  await daemons.until("not all nodes become idle", signal, async () => {
    const states = await readNodeStates(paths, signal);
    return states.length === nodes && states.every(({ state }) => state === "idle");
  });
}

/** slurmctld wants to find its cluster there. */
async function startDatabase(place: DatabasePlace, daemons: ClusterDaemons, signal: AbortSignal): Promise<void> {
  const { paths } = place;
  await installDatabase(place, signal);
  writeFileSync(paths.databaseConf, slurmdbdConf(place), { mode: 0o600 });
  daemons.run("mariadbd", "mariadbd", databaseWords(place));
  await daemons.until("the database makes no socket", signal, () => isDatabaseThere(paths));
  daemons.run("slurmdbd", "slurmdbd", ["-D"], slurmdbdEnvironment(paths));
  await daemons.until("slurmdbd does not answer", signal, async () => await registerCluster(paths, CLUSTER_NAME, signal));
}

async function slurmVersion(signal: AbortSignal): Promise<{ readonly text: string; readonly numbers: readonly [number, number] }> {
  const { stdout } = await runChild([findSiteProgram("slurmctld") ?? "slurmctld", "-V"], {
    env: { PATH: "/usr/bin:/bin" },
    cwd: "/",
    signal,
    timeoutMs: 5000,
  });
  const [, text = "0.0", major = "0", minor = "0"] = /((\d+)\.(\d+)[.\w-]*)/.exec(stdout) ?? [];
  return { text, numbers: [Number(major), Number(minor)] };
}
