/**
 * One task of a container step under the site's own Slurm: what a step daemon does for `--container`, in the place of
 * the task's program.
 *
 *   slurmstepd ─► sh ─► berth task ─► runtime ─► program          streams, terminal and process group are the task's
 *                        └ sweeps what killed tasks left, prepares the container, waits, deletes it, ends as the program did
 *
 * Either the program runs in its container or the task fails and says why: it never runs on the bare node.
 */
import { findOciConf } from "#container/oci-conf.ts";
import { readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { openStepContainer } from "#container/open-step-container.ts";
import type { ContainerStep, PreparedTask, StepContainer } from "#container/step-container.ts";
import { BerthError } from "#job/errors.ts";
import { shellCode, type ExitStatus } from "#job/outcome.ts";
import { directories, shortHostName, SITE_CONFIG_DIR } from "#platform/directories.ts";
import { becomeSubreaper, isTerminal, signalOnParentDeath } from "#platform/libc.ts";
import { setSoftLimits } from "#platform/system.ts";
import { OrphanReaper } from "#platform/orphans.ts";
import { sendSignal } from "#platform/process-tree.ts";
import { spawnForeground, type RunningProcess } from "#platform/spawn.ts";
import { userName } from "#platform/users.ts";
import { startCreated } from "#step/created-container.ts";
import { ContainerRecords } from "../accounting/container-records.ts";
import { boxOf } from "../cache/box.ts";
import { evict, isCached, markUsed } from "../cache/evict.ts";
import { nodeDirs } from "../node-dirs.ts";
import { restoreScript } from "./batch-script.ts";
import { FILE_LIMIT_VARIABLE } from "./file-limit.ts";
import { TOKEN_VARIABLE } from "./launch-failure.ts";
import { readTaskFacts, type TaskFacts } from "./facts.ts";
import { bundlesInUse, sweepLeftovers, TaskDir } from "./task-dir.ts";

export interface TaskRequest {
  readonly bundle: string;
  /** First word and arguments; for a batch script its path on the node and its arguments. */
  readonly command: readonly string[];
  /** The script's own interpreter line; null for everything but a batch script. */
  readonly batchFirstLine: string | null;
  /** The container is the job's, and not only the step's. */
  readonly isJobs: boolean;
  /** The program gets the bundle's variables and Slurm's, and nothing of ours: a container engine's container. */
  readonly isClean: boolean;
  /** What went wrong beside the program's own result. */
  readonly tell: (line: string) => void;
}

/**
 * Runs the task to its end. @throws BerthError when the container cannot be had; nothing ran then
 */
export async function runTask(request: TaskRequest): Promise<ExitStatus> {
  const facts = readTaskFacts(process.env, { isBatch: request.batchFirstLine !== null, hostName: shortHostName() });
  const dirs = nodeDirs();
  markUsed(request.bundle);
  await sweepLeftovers(dirs);
  using _box = boxOf(request.bundle);
  using dir = new TaskDir(dirs, `${facts.jobId}.${facts.stepKey}.${facts.rank}`);
  const signals = new PassedSignals(request.batchFirstLine !== null);
  const step = describeStep(request, facts, { dir, stateDir: dirs.root });
  dir.own(step, facts.localId);
  await using container = await openStepContainer(step, { signal: signals.stopped });
  const prepared = await container.prepareTask({
    localId: facts.localId,
    globalId: facts.rank,
    args: request.command,
    env: programEnvironment(container, request),
  });
  signals.stopped.throwIfAborted();
  restoreLimits();
  const run = () => {
    const runtime = spawnForeground(prepared.argv, prepared.env);
    signals.passTo(runtime);
    // While the runtime is at work: nobody waits for it.
    if (facts.rank === 0) recordContainer(request, facts, container);
    return runtime.exited;
  };
  const status =
    container.flow === "run" ? await run() : await createAndStart(container, facts.localId, { prepared, run, tell: request.tell });
  try {
    await container.finishTask(facts.localId, { pid: null });
  } catch (error) {
    if (!(error instanceof BerthError)) throw error;
    request.tell(error.message); // the program's own result matters more
  }
  if (isCached(request.bundle)) evict(dirname(request.bundle), () => bundlesInUse(dirs));
  return status;
}

/** For sacct and scontrol, in the words of the request: the bundle may be here from a cache. */
function recordContainer(request: TaskRequest, { jobId, stepKey }: TaskFacts, { annotations }: StepContainer): void {
  const { SLURM_CONTAINER: asked, SLURM_CONTAINER_ID: id } = process.env;
  const records = new ContainerRecords(process.env);
  const facts = { container: asked ?? request.bundle, id: id ?? null, annotations };
  records.write(`${jobId}.${stepKey}`, facts);
  if (request.isJobs) records.write(String(jobId), facts);
}

function describeStep(
  request: TaskRequest,
  facts: TaskFacts,
  { dir, stateDir }: { readonly dir: TaskDir; readonly stateDir: string },
): ContainerStep {
  const uid = process.getuid?.() ?? 0;
  return {
    bundle: request.bundle,
    jobId: facts.jobId,
    stepKey: facts.stepKey,
    nodeName: facts.nodeName,
    userName: userName(uid),
    userId: uid,
    groupId: process.getgid?.() ?? 0,
    workDir: process.cwd(),
    spoolRoot: dir.spool,
    confFile: findOciConf([...facts.slurmDirs, directories().config, SITE_CONFIG_DIR]) ?? null,
    stateDir,
    runtimeRoot: dir.runtimeRoot,
    hasPty: isTerminal(0) && isTerminal(1),
    batch: request.batchFirstLine === null ? null : batchFiles(request, dir.path),
  };
}

function batchFiles({ command, batchFirstLine }: TaskRequest, dir: string): NonNullable<ContainerStep["batch"]> {
  const scriptPath = join(dir, "slurm_script");
  writeFileSync(scriptPath, restoreScript(readFileSync(command[0] ?? "", "utf8"), batchFirstLine ?? ""), { mode: 0o700 });
  return { scriptPath, stdin: regularFile(0), stdout: regularFile(1), stderr: regularFile(2) };
}

/** The file behind one of our streams, when it is one. */
function regularFile(fd: number): string | null {
  try {
    const path = readlinkSync(`/proc/self/fd/${fd}`);
    return path.startsWith("/") && statSync(path).isFile() ? path : null;
  } catch {
    return null;
  }
}

/** The image's own variables win over the job's, and Slurm's win over both (oci-conf §8.1). */
function programEnvironment(container: StepContainer, { isClean }: TaskRequest): Record<string, string> {
  const job: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env))
    if (value !== undefined && name !== FILE_LIMIT_VARIABLE && name !== TOKEN_VARIABLE) job[name] = value;
  const slurms = Object.entries(job).filter(([name]) => name.startsWith("SLURM"));
  return { ...container.environment(isClean ? {} : job), ...Object.fromEntries(slurms) };
}

/** Bun raised our soft limit of open files; the program gets the one that Slurm had set. */
function restoreLimits(): void {
  const text = process.env[FILE_LIMIT_VARIABLE] ?? "";
  if (/^\d{1,9}$/.test(text)) setSoftLimits({ NOFILE: Number(text) });
}

/** The container's first process becomes our child when the create command ends, and its status is the task's. */
async function createAndStart(
  container: StepContainer,
  localId: number,
  {
    prepared,
    run,
    tell,
  }: { readonly prepared: PreparedTask; readonly run: () => Promise<ExitStatus>; readonly tell: (line: string) => void },
): Promise<ExitStatus> {
  becomeSubreaper();
  using reaper = new OrphanReaper();
  const created = await run();
  if (shellCode(created) !== 0) return created;
  const started = await startCreated({
    container,
    localId,
    spoolDir: prepared.spoolDir,
    signal: new AbortController().signal,
    expectOrphan: (identity) => reaper.expect(identity),
    created: () => undefined, // nobody takes over from a task: Slurm's own daemon owns it
  });
  if ("reason" in started) {
    tell(started.reason);
    return started;
  }
  return await started.exited;
}

/**
 * Slurm sends its signals to every process of a step, the program in the container included; we only must not die of
 * them. A batch script's `scancel --batch` reaches us alone, as the script's shell, and is passed on.
 */
class PassedSignals {
  readonly #stop = new AbortController();
  readonly #isBatch: boolean;
  readonly #parent = process.ppid;
  #runtime: RunningProcess | undefined;

  constructor(isBatch: boolean) {
    this.#isBatch = isBatch;
    for (const [name, number] of Object.entries(NUMBERS)) process.on(name, () => this.#take(number));
    signalOnParentDeath(NUMBERS.SIGHUP);
  }

  /** Fires when the task is to end before its program started. */
  get stopped(): AbortSignal {
    return this.#stop.signal;
  }

  passTo(runtime: RunningProcess): void {
    this.#runtime = runtime;
  }

  #take(number: number): void {
    if (number === NUMBERS.SIGHUP && process.ppid !== this.#parent) {
      this.#orphaned();
      return;
    }
    if (this.#runtime === undefined) {
      if (ENDING.has(number)) this.#stop.abort(new Stopped(number));
    } else if (this.#isBatch) sendSignal(this.#runtime.pid, number);
  }

  /** The node's slurmstepd was killed, so nobody wants our result; the container must not stay behind. */
  #orphaned(): void {
    if (this.#runtime === undefined) this.#stop.abort(new Stopped(SIGKILL));
    else sendSignal(this.#runtime.pid, SIGKILL);
  }
}

const SIGKILL = 9;
const NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGUSR1: 10, SIGUSR2: 12, SIGTERM: 15, SIGCONT: 18, SIGWINCH: 28 } as const;
const ENDING: ReadonlySet<number> = new Set([1, 2, 3, 15]);

/** A signal ended the task while its container was being prepared. */
export class Stopped extends Error {
  readonly signal: number;
  constructor(signal: number) {
    super(`stopped by signal ${signal}`);
    this.signal = signal;
  }
}
