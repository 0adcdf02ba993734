/**
 * `berth cluster up | down | status`: a private, throw-away Slurm on this machine, as whoever asks, root or not.
 *
 *   up: lock ─► directory 0700 ─► munge key, slurm.conf ─► munged ─► slurmctld ─► slurmd c1…cN ─► nodes idle
 *
 * Every daemon is written to cluster.json when it has been started. Killed in the middle, the next `up` or `down` takes
 * away what the record and the mark in the daemons' environments lead to, and `up` starts over.
 */
import { closeSync, existsSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { ensurePrivateDir } from "#platform/private-directory.ts";
import { tryLock } from "#platform/libc.ts";
import { findSiteProgram } from "../programs.ts";
import { lastLogLine, takeDown } from "./daemons.ts";
import { DATABASE_PACKAGES } from "./database.ts";
import { readNodeStates, type NodeState } from "./node-states.ts";
import { clusterPaths } from "./paths.ts";
import { deadDaemons, readRecord } from "./record.ts";
import { startCluster, type ClusterWish } from "./start.ts";

const PACKAGES = { munged: "munge", slurmctld: "slurmctld", slurmd: "slurmd", srun: "slurm-client", scontrol: "slurm-client" } as const;
const MAX_NODES = 64;
const LOCK_MS = 60_000;

export interface ClusterStatus {
  readonly state: "up" | "broken" | "down";
  readonly conf: string;
  readonly nodes: number;
  readonly slurmVersion: string | null;
  readonly dead: readonly string[];
  /** Empty when the controller does not answer. */
  readonly nodeStates: readonly NodeState[];
}

interface Waiting {
  readonly signal: AbortSignal;
}

/** Idempotent: a cluster of the same size that works is left alone. @throws BerthError CLUSTER_* */
export async function clusterUp(options: Waiting & ClusterWish): Promise<ClusterStatus & { readonly isNew: boolean }> {
  const { nodes, signal } = options;
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > MAX_NODES) {
    throw new BerthError("CLUSTER_NODES", `Cannot make a cluster of ${nodes} nodes`, {
      hint: `--nodes wants a number from 1 to ${MAX_NODES}`,
    });
  }
  requirePrograms(options.hasDatabase ? { ...PACKAGES, ...DATABASE_PACKAGES } : PACKAGES);
  using _lock = await lockCluster(signal);
  const before = await clusterStatus({ signal });
  if (before.state === "up" && before.nodes === nodes) return { ...before, isNew: false };
  if (before.state === "up") {
    throw new BerthError("CLUSTER_NODES", `A cluster of ${before.nodes} nodes is up`, { hint: "take it down first: berth cluster down" });
  }
  const paths = clusterPaths();
  await takeDown(paths);
  try {
    await startCluster(paths, options);
  } catch (error) {
    const advice = lastLogLine(paths);
    await takeDown(paths);
    throw error instanceof BerthError && advice !== undefined && error.hint === undefined
      ? new BerthError(error.code, error.message, { hint: `the log's last word: ${advice}`, cause: error })
      : error;
  }
  return { ...(await clusterStatus({ signal })), isNew: true };
}

/** Ends every process and removes every file. Idempotent. True when there was something. */
export async function clusterDown({ signal }: Waiting): Promise<boolean> {
  const paths = clusterPaths();
  using _lock = await lockCluster(signal);
  const existed = existsSync(paths.root);
  await takeDown(paths);
  rmSync(paths.lock, { force: true });
  return existed;
}

export async function clusterStatus({ signal }: Waiting): Promise<ClusterStatus> {
  const paths = clusterPaths();
  const record = readRecord(paths.record);
  if (record === undefined) return { state: "down", conf: paths.conf, nodes: 0, slurmVersion: null, dead: [], nodeStates: [] };
  const dead = deadDaemons(record).map(({ name }) => name);
  const nodeStates = await readNodeStates(paths, signal);
  const isWhole =
    dead.length === 0 &&
    record.daemons.length === record.nodes + (record.hasDatabase === true ? 4 : 2) &&
    nodeStates.length === record.nodes;
  return { state: isWhole ? "up" : "broken", conf: paths.conf, nodes: record.nodes, slurmVersion: record.slurmVersion, dead, nodeStates };
}

function requirePrograms(wanted: Readonly<Record<string, string>>): void {
  const missing = Object.keys(wanted).filter((name) => findSiteProgram(name) === undefined);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((name) => wanted[name]))].join(" ");
  throw new BerthError(
    "CLUSTER_PROGRAMS",
    `Cannot start a cluster: ${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} not installed`,
    {
      hint: `on Debian and Ubuntu: sudo apt-get install --no-install-recommends ${packages}`,
    },
  );
}

async function lockCluster(signal: AbortSignal): Promise<Disposable> {
  const { lock } = clusterPaths();
  ensurePrivateDir(join(lock, ".."));
  const fd = openSync(lock, "a", 0o600);
  for (let waited = 0; !tryLock(fd); waited += 50) {
    if (waited > LOCK_MS) {
      closeSync(fd);
      throw new BerthError("CLUSTER_BUSY", "Another berth cluster command is at work", { hint: "wait for it to end" });
    }
    signal.throwIfAborted();
    await Bun.sleep(50);
  }
  return { [Symbol.dispose]: () => closeSync(fd) };
}
