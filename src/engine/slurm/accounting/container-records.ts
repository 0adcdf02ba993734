/**
 * What Slurm itself has no place for: which container a job or a step ran in, its id, and its bundle's annotations. One small
 * file each, in the user's state directory, which login hosts and nodes mostly share:
 *
 *   $XDG_STATE_HOME/berth/slurm@CLUSTER/12/12345.json      the job's        written by sbatch, or by the job's first task
 *                                          12345.0.json    the step's       written by its task 0
 *
 * Written beside and renamed. They outlive node, controller and Slurm's own memory of the job. Job numbers begin again with a
 * new cluster of the same name, so a record counts only for a job that was there when it was written.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { directories } from "#platform/directories.ts";
import { clusterName } from "./cluster-name.ts";

export interface ContainerFacts {
  readonly container: string;
  readonly id: string | null;
  readonly annotations: Readonly<Record<string, string>>;
}

interface StoredRecord extends ContainerFacts {
  readonly at: number;
}

/** Clocks of nodes, login hosts and controller may differ by so much. */
const SKEW_MS = 120_000;
const JOBS_PER_DIR = 1000;
const KEPT_MS = 400 * 86_400_000;
const NO_TIME = 0;

/** Never throws: a job does not depend on its record. */
export class ContainerRecords {
  readonly #root: string;

  constructor(env: Readonly<Record<string, string | undefined>>) {
    // No host is named so: hosts have directories of their own beside it.
    this.#root = join(dirname(directories(env).state), `slurm@${clusterName(env).replace(/[^\w.-]/g, "_")}`);
  }

  /** @param key `12` for the job itself, `12.0` or `12.batch` for a step */
  write(key: string, facts: ContainerFacts): void {
    const file = this.#file(key);
    const part = `${file}.part-${process.pid}`;
    const text = JSON.stringify({ ...facts, at: Date.now() } satisfies StoredRecord);
    try {
      const dir = dirname(file);
      if (mkdirSync(dir, { recursive: true, mode: 0o700 }) !== undefined) this.#sweep();
      writeFileSync(part, text, { mode: 0o600 });
      renameSync(part, file);
    } catch {
      rmSync(part, { force: true }); // a full or read-only home directory
    }
  }

  /** @param since when the job was submitted, or the step started; 0 when nobody knows */
  read(key: string, since: number = NO_TIME): ContainerFacts | undefined {
    try {
      const record = JSON.parse(readFileSync(this.#file(key), "utf8")) as StoredRecord; // our own file in our own 0700 directory
      return record.at >= since - SKEW_MS ? record : undefined;
    } catch {
      return undefined; // none was written, or nobody may read it
    }
  }

  #file(key: string): string {
    return join(this.#root, String(Math.floor(Number.parseInt(key, 10) / JOBS_PER_DIR)), `${key}.json`);
  }

  /** With each new directory of a thousand jobs, those that are more than a year old go. */
  #sweep(): void {
    for (const name of readdirSync(this.#root)) {
      const dir = join(this.#root, name);
      if (Date.now() - statSync(dir).mtimeMs > KEPT_MS) rmSync(dir, { recursive: true, force: true });
    }
  }
}

/** Of the image that a bundle was made of, where its annotations say so. */
export function imageDigest({ annotations }: ContainerFacts): string | undefined {
  const named = Object.entries(annotations).filter(([name]) => /(^|[.\-/])(image|manifest|base)?[.-]?digest$/i.test(name));
  return named.map(([, value]) => value).find((value) => /^sha(?:256|512):[0-9a-f]{64,128}$/.test(value));
}
