/**
 * `berth cluster up | down | status`: a private, throw-away Slurm on this machine, as whoever asks, root or not.
 *
 *   up: lock ─► directory 0700 ─► munge key, slurm.conf ─► munged ─► slurmctld ─► slurmd c1…cN ─► nodes idle
 *
 * Every daemon is written to cluster.json when it has been started. Killed in the middle, the next `up` or `down` takes
 * away what the record and the mark in the daemons' environments lead to, and `up` starts over.
 */
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { runChild } from "#platform/child.ts";
import { ensurePrivateDir, shortHostName } from "#platform/directories.ts";
import { findFreePorts } from "#platform/free-ports.ts";
import { tryLock } from "#platform/libc.ts";
import { descendants, identify, isAlive, isZombie, sendSignal } from "#platform/process-tree.ts";
import { markedProcesses, processesWithFilesIn } from "#platform/marked-processes.ts";
import { spawnDaemon } from "#platform/spawn.ts";
import { userName } from "#platform/users.ts";
import { findSiteProgram } from "../programs.ts";
import { CLUSTER_NAME, cgroupConf, slurmConf } from "./config-text.ts";
import {
  DATABASE_PACKAGES,
  databaseWords,
  installDatabase,
  isDatabaseThere,
  registerCluster,
  slurmdbdConf,
  slurmdbdEnvironment,
  type DatabasePlace,
} from "./database.ts";
import { clusterPaths, type ClusterPaths } from "./paths.ts";
import { deadDaemons, readRecord, writeRecord, type ClusterRecord, type DaemonRecord } from "./record.ts";

const PACKAGES = { munged: "munge", slurmctld: "slurmctld", slurmd: "slurmd", srun: "slurm-client", scontrol: "slurm-client" } as const;
const MARK = "BERTH_CLUSTER";
const READY_MS = 30_000;
const STOP_ROUNDS = 250;
const MAX_NODES = 64;
const LOCK_MS = 60_000;

export interface ClusterStatus {
  readonly state: "up" | "broken" | "down";
  readonly conf: string;
  readonly nodes: number;
  readonly slurmVersion: string | null;
  readonly dead: readonly string[];
  /** `c1 idle` …, from sinfo; empty when the controller does not answer. */
  readonly nodeStates: readonly { readonly name: string; readonly state: string }[];
}

interface Waiting {
  readonly signal: AbortSignal;
}

export interface ClusterWish {
  readonly nodes: number;
  readonly cpusPerNode: number | null;
  /** Whether it accepts JSON web tokens besides munge, as slurmrestd needs. */
  readonly hasTokens: boolean;
  /** Whether it has slurmdbd and a database, so that sacct shows jobs and steps of all times. */
  readonly hasDatabase: boolean;
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
    await start(paths, options);
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

async function start(paths: ClusterPaths, { nodes, cpusPerNode, hasTokens, hasDatabase, signal }: Waiting & ClusterWish): Promise<void> {
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
  const starter = new Starter(paths, { nodes, slurmVersion: version.text, mark: crypto.randomUUID(), hasDatabase, daemons: [] });
  starter.run("munged", "munged", [
    "--foreground",
    "--force",
    `--key-file=${paths.mungeKey}`,
    `--socket=${paths.mungeSocket}`,
    `--pid-file=${paths.root}/munged.pid`,
    `--log-file=${paths.logs}/munged.log`,
    `--seed-file=${paths.root}/munge.seed`,
    "--num-threads=2",
  ]);
  await until("munged makes no socket", signal, () => existsSync(paths.mungeSocket), starter);
  if (hasDatabase) await startDatabase({ paths, user, port: databasePort }, starter, signal);
  starter.run("slurmctld", "slurmctld", ["-D", "-c"]);
  for (let index = 1; index <= nodes; index++) {
    mkdirSync(join(paths.state, `c${index}`), { mode: 0o700, recursive: true });
    starter.run(`c${index}`, "slurmd", ["-D", "-N", `c${index}`]);
  }
  await until(
    "not all nodes become idle",
    signal,
    async () => {
      const states = await readNodeStates(paths, signal);
      return states.length === nodes && states.every(({ state }) => state === "idle");
    },
    starter,
  );
}

/** slurmctld wants to find its cluster there. */
async function startDatabase(place: DatabasePlace, starter: Starter, signal: AbortSignal): Promise<void> {
  const { paths } = place;
  await installDatabase(place, signal);
  writeFileSync(paths.databaseConf, slurmdbdConf(place), { mode: 0o600 });
  starter.run("mariadbd", "mariadbd", databaseWords(place));
  await until("the database makes no socket", signal, () => isDatabaseThere(paths), starter);
  starter.run("slurmdbd", "slurmdbd", ["-D"], slurmdbdEnvironment(paths));
  await until("slurmdbd does not answer", signal, async () => await registerCluster(paths, CLUSTER_NAME, signal), starter);
}

class Starter {
  readonly #paths: ClusterPaths;
  record: ClusterRecord;

  constructor(paths: ClusterPaths, record: ClusterRecord) {
    this.#paths = paths;
    this.record = record;
    writeRecord(paths.record, record);
  }

  run(name: string, program: string, args: readonly string[], more: Readonly<Record<string, string>> = {}): void {
    const path = findSiteProgram(program);
    if (path === undefined) throw new Error(`${program} has gone`);
    const logFd = openSync(join(this.#paths.logs, `${name}.out`), "a", 0o600);
    try {
      const { pid } = spawnDaemon([path, ...args], {
        logFd,
        argv0: program,
        env: {
          PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin",
          HOME: process.env["HOME"] ?? "/",
          SLURM_CONF: this.#paths.conf,
          [MARK]: this.record.mark,
          ...more,
        },
      });
      const daemon: DaemonRecord = { name, ...(identify(pid) ?? { pid, startTicks: 0 }) };
      this.record = { ...this.record, daemons: [...this.record.daemons, daemon] };
      writeRecord(this.#paths.record, this.record);
    } finally {
      closeSync(logFd);
    }
  }
}

async function until(problem: string, signal: AbortSignal, isReady: () => boolean | Promise<boolean>, starter: Starter): Promise<void> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    if (await isReady()) return;
    signal.throwIfAborted();
    const dead = deadDaemons(starter.record)[0]?.name;
    if (dead !== undefined)
      throw new BerthError("CLUSTER_START", `Cannot start the cluster: ${/^c\d/.test(dead) ? `slurmd of ${dead}` : dead} ended at once`);
    if (performance.now() > deadline)
      throw new BerthError("CLUSTER_START", `Cannot start the cluster: ${problem} within ${READY_MS / 1000} s`);
    await Bun.sleep(50);
  }
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

async function readNodeStates(paths: ClusterPaths, signal: AbortSignal): Promise<ClusterStatus["nodeStates"]> {
  const sinfo = findSiteProgram("sinfo");
  if (sinfo === undefined || !existsSync(paths.conf)) return [];
  const { stdout } = await runChild([sinfo, "-h", "-N", "-o", "%N %T"], {
    env: { PATH: "/usr/bin:/bin", SLURM_CONF: paths.conf },
    cwd: "/",
    signal,
    timeoutMs: 5000,
  });
  return stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => {
      const [name = "", state = ""] = line.split(" ");
      return { name, state };
    });
}

/** Killed, not asked: nothing of its state is needed again. What is being killed may still fork, hence the rounds. */
async function takeDown(paths: ClusterPaths): Promise<void> {
  const record = readRecord(paths.record);
  if (record !== undefined) {
    for (let round = 0; round < STOP_ROUNDS; round++) {
      const found = [
        // slurmstepd writes its title over its environment, from 23.11 on.
        ...record.daemons.filter(isAlive).map(({ pid }) => pid),
        ...markedProcesses(MARK, record.mark),
        ...processesWithFilesIn(paths.root, /^(?:slurm|munged)/),
      ];
      const left = [...new Set(found)].filter((pid) => !isZombie(pid));
      if (left.length === 0) break;
      for (const pid of left) {
        // Tasks are below their step daemon, with the user's environment and without the mark.
        for (const { pid: task } of descendants(pid).reverse()) sendSignal(task, 9);
        sendSignal(pid, 9);
      }
      await Bun.sleep(20);
    }
  }
  rmSync(paths.root, { recursive: true, force: true });
}

function lastLogLine(paths: ClusterPaths): string | undefined {
  for (const name of [
    "slurmctld.log",
    "slurmctld.out",
    "munged.out",
    "slurmdbd.log",
    "slurmdbd.out",
    "mariadbd.out",
    "slurmd.c1.log",
    "c1.out",
  ]) {
    let text: string;
    try {
      text = readFileSync(join(paths.logs, name), "utf8");
    } catch {
      continue;
    }
    const line = text
      .trim()
      .split("\n")
      .findLast((entry) => /error|fatal|denied|insecure/i.test(entry));
    if (line !== undefined) return line;
  }
  return undefined;
}
