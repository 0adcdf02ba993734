// Requests in the words of the commands' own options, so that a case reads like a command line, and what comes back of
// a step in one value.
import { hostname } from "node:os";
import type { AllocationInfo, Engine, HeldAllocation, JobFilter, JobTarget, StepChannel, StepEvent, StepRequest } from "#engine/engine.ts";
import type { AccountedJob, JobRecord } from "#job/record.ts";
import type { JobRequest, SubmitContext } from "#job/request.ts";
import type { ExitStatus } from "#job/outcome.ts";
import { parseSalloc } from "#options/salloc.ts";
import { parseSbatchDirectives } from "#options/batch-script.ts";
import { mergeSbatch, parseSbatch } from "#options/sbatch.ts";
import { parseSrun } from "#options/srun.ts";

export interface Cancellable {
  readonly signal: AbortSignal;
}

/** Where a subject's jobs work: files appear in `workDir`. */
export interface Place {
  workDir: string;
  /** A busybox bundle; null where containers cannot run. */
  readonly bundle: string | null;
}

export function context(place: Place) {
  return { cwd: place.workDir, now: Date.now() as never, isRoot: false, readFile: () => undefined };
}

export function submitContext(place: Place, environment: Readonly<Record<string, string>> = {}): SubmitContext {
  return {
    submitDir: "/tmp",
    workDir: place.workDir,
    host: hostname().split(".", 1)[0] ?? "",
    sid: 1,
    submitLine: "contract",
    umask: 0o022,
    rlimits: {},
    environment: { PATH: "/usr/local/bin:/usr/bin:/bin", HOME: place.workDir, ...environment },
  };
}

/** As `sbatch OPTIONS` with the script on standard input. */
export function batch(place: Place, script: string, ...options: readonly string[]): JobRequest {
  const text = script.startsWith("#!") ? script : `#!/bin/sh\n${script}\n`;
  const merged = mergeSbatch({ line: parseSbatch(options, {}), directives: parseSbatchDirectives(text), env: {}, context: context(place) });
  return {
    kind: "batch",
    options: { ...merged.job, name: merged.job.name ?? "contract" },
    submit: { ...submitContext(place), submitDir: "/tmp", workDir: merged.chdir ?? place.workDir },
    batch: { ...merged.batch, script: text, scriptPath: null },
    command: null,
  };
}

/** As `salloc OPTIONS`. */
export function allocation(place: Place, ...options: readonly string[]): JobRequest {
  const line = parseSalloc([...options, "true"], {}, context(place));
  return { kind: "salloc", options: line.job, submit: submitContext(place), batch: null, command: "true" };
}

/** As `srun OPTIONS COMMAND`, inside a job. */
export function step(
  place: Place,
  jobId: number,
  words: readonly string[],
  more: { readonly environment?: Readonly<Record<string, string>> } = {},
): StepRequest {
  const line = parseSrun(words, {}, context(place));
  return {
    jobId: jobId as StepRequest["jobId"],
    options: line.step,
    resources: line.resources,
    name: line.stepName,
    submit: submitContext(place, { ...more.environment }),
    container: line.job.container,
    containerId: line.job.containerId,
    timeLimitMinutes: null,
    kind: "normal",
    insideStep: null,
    hasTerminal: null,
    immediateSeconds: line.job.immediateSeconds,
  };
}

export const target = (jobId: number, arrayTasks: readonly number[] | null = null, stepKey: JobTarget["stepKey"] = null): JobTarget => ({
  jobId,
  arrayTasks,
  stepKey,
});
export const byId = (...jobIds: readonly number[]): JobFilter => ({ jobIds, userIds: null, states: null, names: null, partitions: null });

export async function grant(
  engine: Engine,
  request: JobRequest,
  { signal }: Cancellable,
): Promise<{ held: HeldAllocation; info: AllocationInfo }> {
  let info: AllocationInfo | undefined;
  const held = await engine.allocate(request, {
    signal,
    onEvent: (event) => {
      if (event.kind === "granted") ({ info } = event);
    },
  });
  if (info === undefined) throw new Error("granted without an event");
  return { held, info };
}

export interface StepSeen {
  readonly events: readonly StepEvent[];
  readonly stdout: ReadonlyMap<number, string>;
  readonly stderr: ReadonlyMap<number, string>;
  readonly exits: ReadonlyMap<number, ExitStatus>;
  readonly launchFailure: Extract<StepEvent, { kind: "launchFailed" }> | undefined;
  readonly exit: { readonly code: number; readonly signal: number } | "lost";
}

/** Follows a step to its end. `onEvent` may act on the channel meanwhile. */
export async function follow(channel: StepChannel, onEvent: (event: StepEvent) => void = () => undefined): Promise<StepSeen> {
  const events: StepEvent[] = [];
  const texts = { stdout: new Map<number, string>(), stderr: new Map<number, string>() };
  const exits = new Map<number, ExitStatus>();
  const decoder = new TextDecoder();
  let launchFailure: StepSeen["launchFailure"];
  let exit: StepSeen["exit"] = "lost";
  for await (const event of channel) {
    events.push(event);
    onEvent(event);
    if (event.kind === "output")
      texts[event.stream].set(event.task, (texts[event.stream].get(event.task) ?? "") + decoder.decode(event.bytes));
    else if (event.kind === "exited") exits.set(event.task, event.status);
    else if (event.kind === "launchFailed") launchFailure = event;
    else if (event.kind === "ended") ({ exit } = event);
  }
  return { events, ...texts, exits, launchFailure, exit };
}

/** Runs a step to its end with nothing on its standard input. */
export async function runStep(
  engine: Engine,
  request: StepRequest,
  { signal }: Cancellable,
  input: string | null = null,
): Promise<StepSeen> {
  await using channel = await engine.runStep(request, { signal, onWaiting: () => undefined });
  if (input !== null) channel.writeInput(Buffer.from(input), null);
  channel.closeInput();
  return await follow(channel);
}

/** The job's last record. */
export async function ended(engine: Engine, jobId: number, { signal }: Cancellable): Promise<JobRecord> {
  const [job] = await engine.waitForEnd(jobId, { signal });
  if (job === undefined) throw new Error(`job ${jobId} has no record`);
  return job;
}

export async function find(engine: Engine, jobId: number, { signal }: Cancellable): Promise<JobRecord> {
  const jobs = await engine.jobs(byId(jobId), { signal });
  const job = jobs.find((record) => record.jobId === jobId) ?? jobs[0];
  if (job === undefined) throw new Error(`job ${jobId} is not known`);
  return job;
}

export async function account(engine: Engine, jobId: number, { signal }: Cancellable): Promise<AccountedJob> {
  const [job] = await engine.accounting({ ...byId(jobId), from: null, to: null, earlierRuns: false }, { signal });
  if (job === undefined) throw new Error(`job ${jobId} is not accounted`);
  return job;
}

/** Looks until the job is as wanted; engines that have no stream of changes are asked again. */
export async function when(engine: Engine, jobId: number, is: (job: JobRecord) => boolean, { signal }: Cancellable): Promise<JobRecord> {
  for (;;) {
    const job = await find(engine, jobId, { signal });
    if (is(job)) return job;
    signal.throwIfAborted();
    await Bun.sleep(20);
  }
}
