/**
 * What the controller must not forget, in SQLite (write-ahead log).
 *
 * Every change of a job or step is one transaction, in the file before anybody is told of it, so it survives a
 * killed controller. `sync` adds that it survives a power cut: it waits until the log is on the disk, and is asked for
 * before an accepted job is acknowledged. Many changes may share one sync.
 */
import { Database, type Statement } from "bun:sqlite";
import { chmodSync, closeSync, fdatasync, openSync, statSync } from "node:fs";
import { BerthError } from "#job/errors.ts";
import { parseStepKey, type EpochMs, type JobId, type StepKey } from "#job/id.ts";
import type { AccountedJob, JobRecord, StepRecord } from "#job/record.ts";
import type { JobRequest } from "#job/request.ts";
import { isTerminal } from "#job/state.ts";
import type { ProcessIdentity } from "#platform/process-tree.ts";

const SCHEMA_VERSION = 2;
/** Since version 2: runs of jobs that were requeued, with their steps. */
const EARLIER_RUNS = `
  CREATE TABLE earlier_runs (
    run INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id INTEGER NOT NULL,
    submitted_at INTEGER NOT NULL,
    ended_at INTEGER,
    array_job_id INTEGER,
    record TEXT NOT NULL
  );
  CREATE INDEX earlier_runs_job ON earlier_runs (job_id);
`;
const SCHEMA = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE jobs (
    job_id INTEGER PRIMARY KEY,
    live INTEGER NOT NULL,
    submitted_at INTEGER NOT NULL,
    ended_at INTEGER,
    array_job_id INTEGER,
    record TEXT NOT NULL
  );
  CREATE INDEX jobs_live ON jobs (live) WHERE live = 1;
  CREATE INDEX jobs_ended ON jobs (ended_at);
  CREATE INDEX jobs_array ON jobs (array_job_id) WHERE array_job_id IS NOT NULL;
  CREATE TABLE requests (job_id INTEGER PRIMARY KEY, token TEXT UNIQUE, request TEXT NOT NULL);
  CREATE TABLE holders (job_id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, start_ticks INTEGER NOT NULL);
  CREATE TABLE steps (
    job_id INTEGER NOT NULL,
    step_key TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (job_id, step_key)
  ) WITHOUT ROWID;
  ${EARLIER_RUNS}
`;

export class Store implements Disposable {
  readonly #db: Database;
  readonly #path: string;
  readonly #saveJob: Statement;
  readonly #saveStep: Statement;
  #walFd: number | undefined;
  #syncing: Promise<void> | undefined;
  #nextSync: Promise<void> | undefined;
  readonly #inode: number;

  constructor(path: string) {
    this.#path = path;
    this.#db = this.#open();
    this.#saveJob =
      this.#db.prepare(`INSERT INTO jobs (job_id, live, submitted_at, ended_at, array_job_id, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
      ON CONFLICT (job_id) DO UPDATE SET live = ?2, submitted_at = ?3, ended_at = ?4, array_job_id = ?5, record = ?6`);
    this.#saveStep = this.#db.prepare("INSERT OR REPLACE INTO steps (job_id, step_key, record) VALUES (?, ?, ?)");
    chmodSync(path, 0o600);
    this.#inode = statSync(path).ino;
  }

  /**
   * Somebody may tidy the directory up while we run, and what is written into a removed file is gone when we end.
   * @throws BerthError STORE_GONE
   */
  proveInPlace(): void {
    if (statSync(this.#path, { throwIfNoEntry: false })?.ino === this.#inode) return;
    throw new BerthError("STORE_GONE", `The database ${this.#path} was removed while the controller ran: nothing can be recorded`, {
      hint: "put it back, or begin a new one: berth daemon restart",
    });
  }

  #open(): Database {
    try {
      const db = new Database(this.#path, { create: true, strict: true });
      db.run("PRAGMA journal_mode = WAL");
      db.run("PRAGMA synchronous = NORMAL");
      db.run("PRAGMA cache_size = -2000");
      this.#migrate(db);
      return db;
    } catch (error) {
      if (error instanceof BerthError) throw error;
      throw new BerthError("STORE", `Cannot use the database ${this.#path}: ${(error as Error).message}`, {
        hint: "if it is damaged, move it away (with -wal and -shm) to start with no history",
        cause: error,
      });
    }
  }

  #migrate(db: Database): void {
    const version = db.query<{ user_version: number }, []>("PRAGMA user_version").get()?.user_version ?? 0;
    if (version === SCHEMA_VERSION) return;
    if (version !== 0 && version !== 1) {
      throw new BerthError(
        "STORE_VERSION",
        `${this.#path} was written by another version of Berth (schema ${version}, this one knows ${SCHEMA_VERSION})`,
        {
          hint: "use the Berth that wrote it, or move the file away to start with no history",
        },
      );
    }
    db.transaction(() => {
      db.run(version === 0 ? SCHEMA : EARLIER_RUNS);
      db.run(`PRAGMA user_version = ${SCHEMA_VERSION}`);
    }).immediate();
  }

  transaction<T>(work: () => T): T {
    return this.#db.transaction(work).immediate();
  }

  /** Resolves when everything written so far is on the disk. Begins at once, so that what the caller does next takes no time of its own. */
  sync(): Promise<void> {
    if (this.#syncing === undefined) return this.#beginSync();
    // One that is under way may have begun before the last change; the one after it serves everybody who asks meanwhile.
    this.#nextSync ??= this.#syncing
      .catch(() => undefined) // its own callers hear of it
      .then(() => {
        this.#nextSync = undefined;
        return this.#beginSync();
      });
    return this.#nextSync;
  }

  #beginSync(): Promise<void> {
    this.#walFd ??= openSync(`${this.#path}-wal`, "r+");
    const fd = this.#walFd;
    const syncing = new Promise<void>((resolve, reject) => {
      fdatasync(fd, (error) => {
        this.#syncing = undefined;
        if (error === null) resolve();
        else reject(error);
      });
    });
    this.#syncing = syncing;
    return syncing;
  }

  meta(key: string): string | undefined {
    return this.#db.query<{ value: string }, [string]>("SELECT value FROM meta WHERE key = ?").get(key)?.value;
  }

  setMeta(key: string, value: string): void {
    this.#db.query("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)").run(key, value);
  }

  /** @throws the database's error when there is no room for about this much */
  proveRoom(text: string): void {
    this.setMeta("room", text);
  }

  /** One above every id that was ever given out, and not below `first` (FirstJobId). */
  nextJobId(first = 1): JobId {
    const next = Math.max(Number(this.meta("nextJobId") ?? 1), first);
    this.setMeta("nextJobId", String(next + 1));
    return next as JobId;
  }

  saveJob(job: JobRecord): void {
    const isLive = !isTerminal(job.state) || job.flags.includes("COMPLETING");
    this.#saveJob.run(job.jobId, isLive ? 1 : 0, job.submittedAt, job.endedAt, job.array?.jobId ?? null, JSON.stringify(job));
  }

  /** The run of a job that is to run again: its record is kept beside the job's, and its steps with it. */
  saveEarlierRun(job: AccountedJob): void {
    this.#db
      .query("INSERT INTO earlier_runs (job_id, submitted_at, ended_at, array_job_id, record) VALUES (?, ?, ?, ?, ?)")
      .run(job.jobId, job.submittedAt, job.endedAt, job.array?.jobId ?? null, JSON.stringify(job));
    this.#db.query("DELETE FROM steps WHERE job_id = ?").run(job.jobId);
  }

  addRequest(jobId: JobId, request: JobRequest, token: string | null): void {
    this.#db.query("INSERT INTO requests (job_id, token, request) VALUES (?, ?, ?)").run(jobId, token, JSON.stringify(request));
  }

  /** In the place of what the job was submitted with. */
  saveRequest(jobId: JobId, request: JobRequest): void {
    this.#db
      .query("INSERT INTO requests (job_id, request) VALUES (?1, ?2) ON CONFLICT (job_id) DO UPDATE SET request = ?2")
      .run(jobId, JSON.stringify(request));
  }

  /** The job that this token was spent on, if it was. */
  findToken(token: string): JobId | undefined {
    return this.#db.query<{ job_id: number }, [string]>("SELECT job_id FROM requests WHERE token = ?").get(token)?.job_id as
      | JobId
      | undefined;
  }

  request(jobId: JobId): JobRequest | undefined {
    const row = this.#db.query<{ request: string }, [number]>("SELECT request FROM requests WHERE job_id = ?").get(jobId);
    return row === null ? undefined : (JSON.parse(row.request) as JobRequest);
  }

  /** Who holds an interactive allocation; undefined lets it live on by itself. */
  setHolder(jobId: JobId, holder: ProcessIdentity | undefined): void {
    if (holder === undefined) this.#db.query("DELETE FROM holders WHERE job_id = ?").run(jobId);
    else
      this.#db
        .query("INSERT OR REPLACE INTO holders (job_id, pid, start_ticks) VALUES (?, ?, ?)")
        .run(jobId, holder.pid, holder.startTicks);
  }

  holder(jobId: JobId): ProcessIdentity | undefined {
    const row = this.#db
      .query<{ pid: number; start_ticks: number }, [number]>("SELECT pid, start_ticks FROM holders WHERE job_id = ?")
      .get(jobId);
    return row === null ? undefined : { pid: row.pid, startTicks: row.start_ticks };
  }

  saveStep(step: StepRecord): void {
    this.#saveStep.run(step.jobId, String(step.stepKey), JSON.stringify(step));
  }

  liveJobs(): JobRecord[] {
    return this.#jobs("WHERE live = 1", []);
  }

  /** Ended jobs that the controller still shows (MinJobAge). */
  recentlyEnded(since: EpochMs): JobRecord[] {
    return this.#jobs("WHERE live = 0 AND ended_at >= ?", [since]);
  }

  #jobs(where: string, values: number[]): JobRecord[] {
    return this.#db
      .query<{ record: string }, number[]>(`SELECT record FROM jobs ${where} ORDER BY job_id`)
      .all(...values)
      .map((row) => JSON.parse(row.record) as JobRecord);
  }

  steps(jobId: JobId): StepRecord[] {
    return this.#db
      .query<{ record: string }, [number]>("SELECT record FROM steps WHERE job_id = ?")
      .all(jobId)
      .map((row) => JSON.parse(row.record) as StepRecord);
  }

  stepKeys(jobId: JobId): StepKey[] {
    return this.#db
      .query<{ step_key: string }, [number]>("SELECT step_key FROM steps WHERE job_id = ?")
      .all(jobId)
      .flatMap((row) => parseStepKey(row.step_key) ?? []);
  }

  /** Jobs that overlap the window, oldest first, or exactly the ones of `jobIds` (ids of arrays stand for their tasks). */
  accounting(window: {
    readonly jobIds: readonly number[] | null;
    readonly from: EpochMs | null;
    readonly to: EpochMs | null;
    readonly earlierRuns?: boolean;
  }): AccountedJob[] {
    const conditions: string[] = [];
    const values: number[] = [];
    if (window.jobIds !== null) {
      const marks = window.jobIds.map(() => "?").join(",");
      conditions.push(`(job_id IN (${marks}) OR array_job_id IN (${marks}))`);
      values.push(...window.jobIds, ...window.jobIds);
    }
    if (window.from !== null) {
      conditions.push("(ended_at IS NULL OR ended_at >= ?)");
      values.push(window.from);
    }
    if (window.to !== null) {
      conditions.push("submitted_at <= ?");
      values.push(window.to);
    }
    const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
    const jobs = this.#jobs(where, values).map((job): AccountedJob => ({ ...job, steps: this.steps(job.jobId) }));
    if (window.earlierRuns !== true) return jobs;
    const runs = this.#db
      .query<{ record: string }, number[]>(`SELECT record FROM earlier_runs ${where} ORDER BY job_id, run`)
      .all(...values);
    const earlier = runs.map((row) => JSON.parse(row.record) as AccountedJob);
    return earlier.length === 0 ? jobs : [...earlier, ...jobs].sort((a, b) => a.jobId - b.jobId); // stable: the last run comes last
  }

  [Symbol.dispose](): void {
    if (this.#walFd !== undefined) closeSync(this.#walFd);
    this.#db.close();
  }
}
