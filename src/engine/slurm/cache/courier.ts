/**
 * The courier: for batch jobs that were submitted from this host with a bundle their nodes do not share, it waits until they start,
 * and brings bundle and executable to the node of the script. The job waits there (node-scripts.ts, AWAIT).
 *
 *   squeue ─► a job runs ─► "coming" ─► probe, send (stage.ts) ─► "shared" | "cached" | "failed"       squeue ─► it has ended ─► forgotten
 *
 * Killed at any moment, its successor starts over: everything it does may be done twice.
 */
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { captureOutput } from "#platform/spawn.ts";
import { getSiteProgram } from "../programs.ts";
import { courierRecords, removeCourierRecord, startCourierIfNeeded, takeCourierLock, type CourierRecord } from "./courier-records.ts";
import { TELL } from "./node-scripts.ts";
import { deliver, nodeCache, stepWords } from "./stage.ts";

const FIRST_POLL_MS = 250;
const MAX_POLL_MS = 15_000;
const POLL_GROWTH = 1.3;
/** A job that we have never seen has ended before we came; but a controller of several may lag behind the other. */
const FORGET_MS = 20_000;
const GIVE_UP_MS = 30 * 86_400_000;
const TRIES = 3;

interface RunningJob {
  readonly jobId: number;
  /** Of the whole array. */
  readonly arrayId: number;
  readonly state: string;
  readonly node: string;
  /** Tells one run of a requeued job from the next. */
  readonly startedAt: string;
}

/** @param executable what is sent to nodes; over when no job is left, or when another courier is at work */
export async function runCourier(executable: string, options: { readonly signal: AbortSignal }): Promise<void> {
  {
    using lock = takeCourierLock();
    if (lock === undefined) return;
    await bringToJobs(executable, options);
  }
  // Whoever submitted while we were on our way out has seen a courier.
  if (!options.signal.aborted) startCourierIfNeeded();
}

async function bringToJobs(executable: string, { signal }: { readonly signal: AbortSignal }): Promise<void> {
  const served = new Set<string>();
  const atNode = new Map<string, Promise<void>>();
  const lastSeen = new Map<number, number>();
  let known = 0;
  for (let waitMs = FIRST_POLL_MS; !signal.aborted; ) {
    const records = courierRecords();
    if (records.length === 0 && atNode.size === 0) return;
    for (const [conf, group] of Map.groupBy(records, ({ env }) => env["SLURM_CONF"])) {
      const live = await listJobs(group[0]?.env ?? {});
      if (live === undefined) {
        // The controller does not answer: it may be restarting, or its cluster may be no more.
        for (const record of group) if (Date.now() - record.submittedAt > GIVE_UP_MS) removeCourierRecord(record);
        continue;
      }
      for (const record of group) {
        const jobs = live.filter(({ arrayId, jobId }) => arrayId === record.jobId || jobId === record.jobId);
        if (jobs.length > 0) lastSeen.set(record.jobId, Date.now());
        else if (Date.now() - (lastSeen.get(record.jobId) ?? record.submittedAt) > (lastSeen.has(record.jobId) ? 0 : FORGET_MS))
          removeCourierRecord(record);
        for (const job of jobs) {
          const run = `${conf} ${job.jobId} ${job.startedAt}`;
          if (job.state !== "RUNNING" || served.has(run)) continue;
          served.add(run);
          waitMs = FIRST_POLL_MS;
          // One after the other at each node, so that the tasks of an array get one copy.
          const before = atNode.get(job.node) ?? Promise.resolve();
          const serving = before.then(() => serve(record, job, { executable, signal }));
          atNode.set(job.node, serving);
          void serving.finally(() => (atNode.get(job.node) === serving ? atNode.delete(job.node) : undefined));
        }
      }
    }
    if (records.length > known) waitMs = FIRST_POLL_MS; // somebody has just submitted
    known = records.length;
    await Bun.sleep(waitMs);
    waitMs = Math.min(waitMs * POLL_GROWTH, MAX_POLL_MS);
  }
}

async function listJobs(env: Readonly<Record<string, string>>): Promise<readonly RunningJob[] | undefined> {
  const uid = String(process.getuid?.() ?? 0);
  const { status, stdout } = await captureOutput([getSiteProgram("squeue"), "-h", "-r", "-u", uid, "-o", "%A %F %T %B %S"], env);
  if (shellCode(status) !== 0) return undefined;
  return stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => {
      const [jobId = "", arrayId = "", state = "", node = "", startedAt = ""] = line.split(" ");
      return { jobId: Number(jobId), arrayId: Number(arrayId), state, node, startedAt };
    });
}

async function serve(
  record: CourierRecord,
  job: RunningJob,
  { executable, signal }: { readonly executable: string; readonly signal: AbortSignal },
): Promise<void> {
  const env = { ...record.env, SLURM_JOB_ID: String(job.jobId) };
  const tell = (...words: readonly string[]) =>
    captureOutput([...tellWords(job.node), nodeCache(env), `${job.jobId}-${record.token}`, ...words], env).then(({ status }) =>
      shellCode(status),
    );
  try {
    await tell("coming");
    for (let tried = 1; ; tried++) {
      try {
        const found = await deliver(record.bundle, { env, executable, isCopy: record.isCopy, nodes: [job.node], signal });
        const words = found.kind === "shared" ? ["shared", executable, record.bundle] : ["cached", found.executableSha, found.bundleSha];
        if ((await tell(...words)) !== 0) throw new BerthError("TRANSFER", `Cannot tell ${job.node} that everything is there`);
        return;
      } catch (error) {
        if (!(error instanceof BerthError) || tried >= TRIES) throw error;
        await Bun.sleep(1000 * tried);
      }
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    console.error(`job ${job.jobId} at ${job.node}: ${reason}`);
    await tell("failed", reason.replaceAll(/\s+/g, " ").slice(0, 1000));
  }
}

function tellWords(node: string): [string, ...string[]] {
  return [...stepWords([node]), "--input=none", "/bin/sh", "-c", TELL, "sh"] as unknown as [string, ...string[]];
}
