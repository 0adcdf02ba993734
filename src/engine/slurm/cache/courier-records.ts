/**
 * Batch jobs whose bundles this host has to bring to the nodes when they start, one small file each, and the courier that does it:
 *
 *   $XDG_STATE_HOME/berth/HOST/couriers/JOB.json    written by sbatch before it prints the job's number
 *                                       lock        held by the courier, one for each user and host
 *                                       log         its words
 *
 * A courier that was killed is started again by the next berth sbatch or squeue on this host.
 */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { directories } from "#platform/directories.ts";
import { ensurePrivateDir } from "#platform/private-directory.ts";
import { tryLock } from "#platform/libc.ts";
import { selfCommand } from "#platform/self.ts";
import { spawnDaemon } from "#platform/spawn.ts";

export interface CourierRecord {
  readonly jobId: number;
  readonly bundle: string;
  readonly isCopy: boolean;
  /** Of this submission. */
  readonly token: string;
  /** What the site's commands and the caches need of the submitter's environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly submittedAt: number;
}

function courierDir(): string {
  return join(directories().state, "couriers");
}

const KEPT_VARIABLES = /^(?:PATH|HOME|USER|LANG|LD_LIBRARY_PATH|SLURM_CONF|XDG_\w+|BERTH_\w+)$/;

/** To be called before anybody hears of the job. */
export function addCourierRecord(
  jobId: number,
  { bundle, isCopy, token, env }: Pick<CourierRecord, "bundle" | "isCopy" | "token"> & { readonly env: Readonly<Record<string, string>> },
): void {
  const kept = Object.fromEntries(Object.entries(env).filter(([name]) => KEPT_VARIABLES.test(name)));
  const record: CourierRecord = { jobId, bundle, isCopy, token, env: kept, submittedAt: Date.now() };
  ensurePrivateDir(directories().state);
  const file = join(ensurePrivateDir(courierDir()), `${jobId}.json`);
  writeFileSync(`${file}.part`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${file}.part`, file);
}

export function courierRecords(): CourierRecord[] {
  return readdirSync(courierDir())
    .filter((name) => /^\d+\.json$/.test(name))
    .flatMap((name) => {
      try {
        return [JSON.parse(readFileSync(join(courierDir(), name), "utf8")) as CourierRecord]; // our own file in our own 0700 directory
      } catch {
        return []; // it has just gone
      }
    });
}

export function removeCourierRecord({ jobId }: CourierRecord): void {
  rmSync(join(courierDir(), `${jobId}.json`), { force: true });
}

/** Undefined when there is a courier. The lock is held as long as the process lives, or until it is disposed of. */
export function takeCourierLock(): Disposable | undefined {
  const fd = openSync(join(ensurePrivateDir(courierDir()), "lock"), "a", 0o600);
  if (tryLock(fd)) return { [Symbol.dispose]: () => closeSync(fd) };
  closeSync(fd);
  return undefined;
}

/** Where there is something to bring and nobody who does. Cheap where there never was anything. */
export function startCourierIfNeeded(): void {
  if (!existsSync(courierDir()) || courierRecords().length === 0) return;
  const free = takeCourierLock();
  if (free === undefined) return;
  free[Symbol.dispose]();
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined && KEPT_VARIABLES.test(name)) env[name] = value;
  const logFd = openSync(join(courierDir(), "log"), "a", 0o600);
  try {
    spawnDaemon(selfCommand("stage", "--courier"), { logFd, env, argv0: "berth-courier" });
  } finally {
    closeSync(logFd);
  }
}
