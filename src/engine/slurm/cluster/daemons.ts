/**
 * The daemons of the private cluster: each is in the record when it has been started, and has the record's mark in its
 * environment, so that all of them are found again whatever was killed in between.
 */
import { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { markedProcesses, processesWithFilesIn } from "#platform/marked-processes.ts";
import { descendants, identify, isAlive, isZombie, sendSignal } from "#platform/process-tree.ts";
import { spawnDaemon } from "#platform/spawn.ts";
import { findSiteProgram } from "../programs.ts";
import type { ClusterPaths } from "./paths.ts";
import { deadDaemons, readRecord, writeRecord, type ClusterRecord, type DaemonRecord } from "./record.ts";

const MARK = "BERTH_CLUSTER";
const READY_MS = 30_000;
const STOP_ROUNDS = 250;

export class ClusterDaemons {
  readonly #paths: ClusterPaths;
  #record: ClusterRecord;

  constructor(paths: ClusterPaths, record: ClusterRecord) {
    this.#paths = paths;
    this.#record = record;
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
          [MARK]: this.#record.mark,
          ...more,
        },
      });
      const daemon: DaemonRecord = { name, ...(identify(pid) ?? { pid, startTicks: 0 }) };
      this.#record = { ...this.#record, daemons: [...this.#record.daemons, daemon] };
      writeRecord(this.#paths.record, this.#record);
    } finally {
      closeSync(logFd);
    }
  }

  /** Waits until it is so. @throws BerthError CLUSTER_START when a daemon ends meanwhile, or half a minute has passed */
  async until(problem: string, signal: AbortSignal, isReady: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + READY_MS;
    for (;;) {
      if (await isReady()) return;
      signal.throwIfAborted();
      const dead = deadDaemons(this.#record)[0]?.name;
      if (dead !== undefined)
        throw new BerthError("CLUSTER_START", `Cannot start the cluster: ${/^c\d/.test(dead) ? `slurmd of ${dead}` : dead} ended at once`);
      if (performance.now() > deadline)
        throw new BerthError("CLUSTER_START", `Cannot start the cluster: ${problem} within ${READY_MS / 1000} s`);
      await Bun.sleep(50);
    }
  }
}

/** Killed, not asked: nothing of its state is needed again. What is being killed may still fork, hence the rounds. */
export async function takeDown(paths: ClusterPaths): Promise<void> {
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

/** What a daemon that failed said last. */
export function lastLogLine(paths: ClusterPaths): string | undefined {
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
