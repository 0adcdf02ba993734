/**
 * The slurm engine: the engine interface over the site's own commands. No daemon of ours, nothing to configure; what
 * Slurm does not tell is null. Commands of users do not come here: they become the site's commands (site/).
 */
import { BerthError, slurmError } from "#job/errors.ts";
import type { JobId, StepKey } from "#job/id.ts";
import { parseStepKey } from "#job/id.ts";
import { shellCode } from "#job/outcome.ts";
import type { AccountedJob, JobRecord, NodeRecord, PartitionRecord, StepRecord } from "#job/record.ts";
import type { JobRequest } from "#job/request.ts";
import { isTerminal } from "#job/state.ts";
import { shortHostName } from "#platform/directories.ts";
import { expandHostlist } from "#options/hostlist.ts";
import type {
  AccountingFilter,
  AllocateEvent,
  AllocationInfo,
  Cancellable,
  Engine,
  EngineConfig,
  EngineInfo,
  HeldAllocation,
  JobFilter,
  JobTarget,
  SignalScope,
  MeasuredStep,
  PlacedTasks,
  StepChannel,
  StepRequest,
} from "../engine.ts";
import type { OwnStep } from "../own-step.ts";
import type { RemoteContainers } from "../remote-containers.ts";
import { HOLD_COMMAND, SallocProcess } from "./allocation.ts";
import { siteError } from "./errors.ts";
import { cancelTogether } from "./cancel-each.ts";
import { matches } from "../job-matches.ts";
import { jobArgv, stepArgv } from "./job-argv.ts";
import { parseJob } from "./records/job.ts";
import { parseNode, parsePartition, parseStep } from "./records/others.ts";
import { requestComment, taskCommand, type ContainerRequest } from "./site/container-request.ts";
import { batchScriptFor } from "./site/script-file.ts";
import { SiteCommands } from "./site-commands.ts";
import { ContainerRecords } from "./accounting/container-records.ts";
import { ErrorPipe } from "./error-pipe.ts";
import { SlurmRemoteContainers } from "./remote/remote-containers.ts";
import { SlurmStepChannel } from "./step-channel.ts";
import { TOKEN_VARIABLE } from "./task/launch-failure.ts";

const never = new AbortController().signal;
const POLL_MS = [20, 50, 100, 200, 300, 500] as const;

export class SlurmEngine implements Engine {
  readonly name = "slurm";
  readonly #site: SiteCommands;
  readonly #records: ContainerRecords;
  #config: Promise<EngineConfig> | undefined;

  constructor(env: Readonly<Record<string, string | undefined>> = process.env) {
    this.#site = new SiteCommands(env);
    this.#records = new ContainerRecords(env);
  }

  async info(options: Cancellable): Promise<EngineInfo> {
    const config = new Map(await this.#settings(options));
    const partitions = await this.partitions(options);
    return {
      engine: "slurm",
      clusterName: config.get("ClusterName") ?? "",
      host: shortHostName(),
      version: config.get("SLURM_VERSION") ?? "",
      configFile: this.#site.conf ?? config.get("SLURM_CONF") ?? "",
      killWaitSeconds: Number.parseInt(config.get("KillWait") ?? "30", 10),
      firstPartition: (partitions.find(({ isDefault }) => isDefault) ?? partitions[0])?.name ?? "",
    };
  }

  #settings(options: Cancellable): Promise<EngineConfig> {
    this.#config ??= this.config(options).catch((error: unknown) => {
      this.#config = undefined;
      throw error;
    });
    return this.#config;
  }

  async submit(request: JobRequest, options: Cancellable): Promise<{ readonly jobId: JobId }> {
    const stdout = await this.#sbatch(request, ["--parsable"], options);
    const jobId = Number(/^(\d+)/.exec(stdout.stdout)?.[1]);
    if (shellCode(stdout.status) !== 0 || !(jobId > 0)) throw siteError("sbatch", `${stdout.stdout}\n${stdout.stderr}`);
    const container = containerOf(request.options);
    if (container !== undefined)
      this.#records.write(String(jobId), { container: container.bundle, id: container.containerId, annotations: {} });
    return { jobId: jobId as JobId };
  }

  async #sbatch(request: JobRequest, first: readonly string[], { signal }: Cancellable) {
    const { batch, submit, options } = request;
    if (batch === null) throw new Error("no batch job");
    const container = containerOf(options);
    using script = batchScriptFor(batch.script, options.name ?? "sbatch", container);
    const add = (name: string, value: string | null) => (value === null ? [] : [`--${name}=${value}`]);
    const comment = container === undefined || options.comment !== null ? [] : [`--comment=${requestComment(container)}`];
    const env = container === undefined ? submit.environment : { ...submit.environment, SLURM_CONTAINER: container.bundle };
    return await this.#site.call(
      "sbatch",
      [
        ...first,
        ...jobArgv(options, "batch"),
        ...comment,
        `--chdir=${submit.workDir}`,
        ...add("input", batch.input),
        ...add("output", batch.output),
        ...add("error", batch.error),
        ...add("open-mode", batch.openMode),
        ...add("array", batch.array),
        script.path,
        ...batch.args,
      ],
      { signal, env },
    );
  }

  async allocate(
    request: JobRequest,
    options: Cancellable & { readonly onEvent: (event: AllocateEvent) => void },
  ): Promise<HeldAllocation> {
    options.signal.throwIfAborted();
    const salloc = new SallocProcess(
      this.#site.start("salloc", [...jobArgv(request.options, "salloc"), `--chdir=${request.submit.workDir}`, ...HOLD_COMMAND], {
        env: request.submit.environment,
      }),
    );
    const { jobId, environment, waited } = await salloc.granted({
      signal: options.signal,
      onQueued: (queued, configUnavailable) => options.onEvent({ kind: "queued", jobId: queued, configUnavailable }),
    });
    const job = await this.#getJob(jobId, { signal: never });
    const { killWaitSeconds } = await this.info({ signal: never });
    const slurms = Object.fromEntries(Object.entries(environment).filter(([name]) => name.startsWith("SLURM")));
    options.onEvent({ kind: "granted", waited, info: { job, environment: slurms, killWaitSeconds } });
    const giveUp = new AbortController();
    const ended = this.#endOf(jobId, { signal: giveUp.signal }).then(([record = job]) => record);
    ended.catch(() => undefined); // somebody who awaits it hears of it; a wait that was given up is nobody's
    let isDetached = false;
    const release = async (exit: { readonly code: number; readonly signal: number }) => {
      if (!isDetached) await salloc.release(exit);
    };
    return {
      jobId,
      ended,
      release,
      detach: async () => {
        isDetached = true;
        await salloc.abandon();
        giveUp.abort(new Error("the allocation was detached"));
      },
      [Symbol.asyncDispose]: () => release({ code: 0, signal: 0 }),
    };
  }

  async findAllocation(jobId: number, options: Cancellable): Promise<AllocationInfo> {
    const job = await this.#getJob(jobId, options);
    if (isTerminal(job.state)) throw slurmError("ALREADY_DONE");
    if (job.state === "PENDING") throw slurmError("JOB_PENDING");
    const { killWaitSeconds } = await this.info(options);
    return {
      job,
      environment: { SLURM_JOB_ID: String(job.jobId), SLURM_JOB_NAME: job.name, SLURM_JOB_NUM_NODES: String(job.nodes.length) },
      killWaitSeconds,
    };
  }

  async runStep(request: StepRequest, options: Cancellable & { readonly onWaiting: (text: string) => void }): Promise<StepChannel> {
    if (request.hasTerminal !== null) {
      throw new BerthError("NOT_SUPPORTED", "A terminal cannot be passed through this engine's channel", {
        hint: "use berth srun --pty, which is Slurm's own",
      });
    }
    const { options: step, submit } = request;
    const container = containerOf({ container: request.container, containerId: request.containerId });
    const command = container === undefined ? step.command : taskCommand(container, step.command);
    const token = crypto.randomUUID();
    const env = {
      ...submit.environment,
      ...(container === undefined ? {} : { SLURM_CONTAINER: container.bundle, [TOKEN_VARIABLE]: token }),
    };
    const isSingle = step.command.length > 0 && request.resources.tasks === 1 && (request.resources.nodesMin ?? 1) === 1;
    const killWaitSeconds = Number.parseInt(new Map(await this.#settings(options)).get("KillWait") ?? "30", 10);
    const errors = isSingle ? new ErrorPipe() : undefined;
    const streams = errors === undefined ? ["--label"] : ["--error", errors.path];
    const srun = this.#site.start("srun", ["-v", ...streams, ...stepArgv(request), ...command], { env });
    const startedAt = Date.now() as StepRecord["startedAt"];
    return await SlurmStepChannel.open(srun, {
      ...options,
      errors,
      token,
      control: {
        killWaitMs: killWaitSeconds * 1000,
        signal: async (stepId, signal) => {
          await this.#site.call("scancel", ["--signal", String(signal), stepId], { signal: never });
        },
      },
      describe: (stepId, nodes): StepRecord => {
        const [, key = "0"] = stepId.split(".");
        const tasksPerNode = [...nodes.values()].map((ranks) => ranks.length);
        const tasks = tasksPerNode.reduce((sum, count) => sum + count, 0);
        return {
          jobId: request.jobId,
          stepKey: stepKeyOf(key),
          name: request.name,
          userId: process.getuid?.() ?? 0,
          userName: "",
          partition: "",
          state: "RUNNING",
          exit: { code: 0, signal: 0 },
          cancelledBy: null,
          startedAt,
          endedAt: null,
          suspendedMs: 0,
          timeLimitMinutes: request.timeLimitMinutes,
          nodes: [...nodes.keys()],
          tasksPerNode,
          cpus: tasks,
          tasks,
          allocated: null,
          distribution: null,
          srunHost: shortHostName(),
          srunPid: srun.pid,
          container: container?.bundle ?? null,
          containerId: container?.containerId ?? null,
          submitLine: submit.submitLine,
          usage: null,
        };
      },
    });
  }

  attachStep(): Promise<StepChannel> {
    throw slurmError("NOT_SUPPORTED", { hint: "use the cluster's own sattach" });
  }

  measureSteps(): Promise<readonly MeasuredStep[]> {
    throw slurmError("NOT_SUPPORTED", { hint: "use the cluster's own sstat" });
  }

  stepLayout(): Promise<readonly PlacedTasks[]> {
    throw slurmError("NOT_SUPPORTED", { hint: "use the cluster's own sattach" });
  }

  readonly remote: RemoteContainers = new SlurmRemoteContainers();

  /** Nobody's process here can be a step of a job that runs elsewhere: see `remote`. */
  openOwnStep(): Promise<OwnStep> {
    throw slurmError("NOT_SUPPORTED");
  }

  async tryJob(request: JobRequest, options: Cancellable): ReturnType<Engine["tryJob"]> {
    const { stdout, stderr } = await this.#sbatch(request, ["--test-only"], options);
    const found = /Job (\d+) to start at (\S+)(?: a)? using (\d+) processors on nodes (\S+) in partition (\S+)/.exec(stdout + stderr);
    if (found === null) throw siteError("sbatch", `${stdout}\n${stderr}`);
    return {
      jobId: Number(found[1]) as JobId,
      startAt: new Date(found[2] ?? "").getTime() as never,
      cpus: Number(found[3]),
      nodes: expandHostlist(found[4] ?? ""),
      partition: found[5] ?? "",
    };
  }

  // --- Changing jobs ----------------------------------------------------------------------------------------------

  async cancel(target: JobTarget, options: Cancellable): Promise<void> {
    await this.#scancel(target, [], options);
  }

  cancelEach(targets: readonly JobTarget[], options: Cancellable): Promise<readonly (BerthError | null)[]> {
    return cancelTogether(targets, {
      scancel: (jobIds) => this.#site.call("scancel", ["-v", ...jobIds], options),
      cancel: (target) => this.cancel(target, options),
    });
  }

  notify(): Promise<void> {
    throw slurmError("NOT_SUPPORTED", { hint: "use the cluster's own scontrol" });
  }

  processes(): Promise<never> {
    throw slurmError("NOT_SUPPORTED", { hint: "use the cluster's own scontrol" });
  }

  async sendSignal(
    target: JobTarget & { readonly signalNumber: number; readonly scope: SignalScope },
    options: Cancellable,
  ): Promise<void> {
    const scope = target.scope === "batch" ? ["--batch"] : target.scope === "full" ? ["--full"] : [];
    await this.#scancel(target, ["--signal", String(target.signalNumber), ...scope], options);
  }

  /** scancel says nothing of a job that does not exist, unless it is asked to be verbose. */
  async #scancel(target: JobTarget, args: readonly string[], { signal }: Cancellable): Promise<void> {
    const { stdout, stderr, status } = await this.#site.call("scancel", ["-v", ...args, targetText(target)], { signal });
    const said = `${stdout}\n${stderr}`;
    if (shellCode(status) === 0 && !/error/i.test(said)) return;
    const error = siteError("scancel", said);
    // Slurm has no word for a step that has ended meanwhile: it is as if its job had never been.
    if (target.stepKey !== null && (error.code === "INVALID_JOB_ID" || error.code === "ALREADY_DONE")) return;
    throw error;
  }

  async hold(target: JobTarget, options: Cancellable): Promise<void> {
    await this.#scontrol(["hold", targetText(target)], options);
  }
  async release(target: JobTarget, options: Cancellable): Promise<void> {
    await this.#scontrol(["release", targetText(target)], options);
  }
  async requeue(target: JobTarget & { readonly hold: boolean }, options: Cancellable): Promise<void> {
    await this.#scontrol([target.hold ? "requeuehold" : "requeue", targetText(target)], options);
  }
  async suspend(target: JobTarget, options: Cancellable): Promise<void> {
    await this.#scontrol(["suspend", targetText(target)], options);
  }
  async resume(target: JobTarget, options: Cancellable): Promise<void> {
    await this.#scontrol(["resume", targetText(target)], options);
  }
  async update(target: JobTarget & { readonly changes: Readonly<Record<string, string>> }, options: Cancellable): Promise<void> {
    await this.#scontrol(
      ["update", `JobId=${targetText(target)}`, ...Object.entries(target.changes).map(([name, value]) => `${name}=${value}`)],
      options,
    );
  }

  async updateNodes(names: readonly string[], changes: Readonly<Record<string, string>>, options: Cancellable): Promise<void> {
    await this.#scontrol(
      ["update", `NodeName=${names.join(",")}`, ...Object.entries(changes).map(([name, value]) => `${name}=${value}`)],
      options,
    );
  }
  async updatePartition(name: string, changes: Readonly<Record<string, string>>, options: Cancellable): Promise<void> {
    await this.#scontrol(["update", `PartitionName=${name}`, ...Object.entries(changes).map(([key, value]) => `${key}=${value}`)], options);
  }

  async #scontrol(args: readonly string[], options: Cancellable): Promise<void> {
    await this.#site.ask("scontrol", args, options);
  }

  // --- Questions --------------------------------------------------------------------------------------------------

  async jobs(filter: JobFilter, options: Cancellable): Promise<readonly JobRecord[]> {
    const one = filter.jobIds?.length === 1 ? filter.jobIds[0] : undefined;
    const found = one === undefined ? await this.#showJobs([], options) : await this.#showJobs([String(one)], options).catch(ifNoSuchJob);
    return found.filter((job) => matches(job, filter));
  }

  async #showJobs(args: readonly string[], options: Cancellable): Promise<readonly JobRecord[]> {
    const found = parsed(await this.#site.ask("scontrol", ["-d", "-o", "show", "job", ...args], options), parseJob);
    return found.map((job) => (job.container === null ? { ...job, ...this.#containerOf(String(job.jobId), job.submittedAt) } : job));
  }

  /** What neither Slurm nor the job's comment says. */
  #containerOf(key: string, since: number): Partial<Pick<StepRecord, "container" | "containerId" | "annotations">> {
    const facts = this.#records.read(key, since);
    if (facts === undefined) return {};
    const { annotations } = facts;
    return { container: facts.container, containerId: facts.id, ...(Object.keys(annotations).length === 0 ? {} : { annotations }) };
  }

  async #getJob(jobId: number, options: Cancellable): Promise<JobRecord> {
    const found = await this.#showJobs([String(jobId)], options);
    const job = found.find((record) => record.jobId === jobId) ?? found[0];
    if (job === undefined) throw slurmError("INVALID_JOB_ID");
    return job;
  }

  async steps(filter: { readonly jobId: number | null }, options: Cancellable): Promise<readonly StepRecord[]> {
    const stdout = await this.#site
      .ask("scontrol", ["-o", "show", "step", ...(filter.jobId === null ? [] : [String(filter.jobId)])], options)
      .catch((error: unknown) => {
        if (error instanceof BerthError && (error.code === "INVALID_JOB_ID" || /not found/.test(error.message))) return "";
        throw error;
      });
    return parsed(stdout, parseStep).map((step) => ({ ...step, ...this.#containerOf(`${step.jobId}.${step.stepKey}`, step.startedAt) }));
  }

  async nodes(options: Cancellable): Promise<readonly NodeRecord[]> {
    return parsed(await this.#site.ask("scontrol", ["-o", "show", "node"], options), parseNode);
  }

  async partitions(options: Cancellable): Promise<readonly PartitionRecord[]> {
    return parsed(await this.#site.ask("scontrol", ["-o", "show", "partition"], options), parsePartition);
  }

  async config(options: Cancellable): Promise<EngineConfig> {
    const stdout = await this.#site.ask("scontrol", ["show", "config"], options);
    return stdout.split("\n").flatMap((line) => {
      const match = /^(\S+)\s*= ?(.*)$/.exec(line);
      return match === null ? [] : [[match[1] ?? "", (match[2] ?? "").trim()] as const];
    });
  }

  /** What the controller remembers, with the steps that live. Those that have ended are known to slurmdbd alone. */
  async accounting(filter: AccountingFilter, options: Cancellable): Promise<readonly AccountedJob[]> {
    const [found, steps] = await Promise.all([this.jobs(filter, options), this.steps({ jobId: null }, options)]);
    const { from, to } = filter;
    return found
      .filter((job) => (to === null || job.submittedAt <= to) && (from === null || job.endedAt === null || job.endedAt >= from))
      .map((job) => ({ ...job, steps: steps.filter((step) => step.jobId === job.jobId) }));
  }

  async batchScript(jobId: number, options: Cancellable): Promise<string> {
    const { stdout, stderr, status } = await this.#site.call("scontrol", ["write", "batch_script", String(jobId), "-"], options);
    if (shellCode(status) !== 0 || /retrieval failed/.test(stdout + stderr)) throw siteError("scontrol", `${stderr}\n${stdout}`);
    return stdout;
  }

  async waitForEnd(jobId: number, options: Cancellable): Promise<readonly JobRecord[]> {
    return await this.#endOf(jobId, options);
  }

  /** Slurm has no stream of changes: it is asked, ever more slowly. */
  async #endOf(jobId: number, { signal }: Cancellable): Promise<readonly JobRecord[]> {
    for (let round = 0; ; round++) {
      const found = await this.#showJobs([String(jobId)], { signal });
      if (found.length === 0) throw slurmError("INVALID_JOB_ID");
      if (found.every((job) => isTerminal(job.state) && job.flags.length === 0)) return found;
      await sleep(POLL_MS[Math.min(round, POLL_MS.length - 1)] ?? 500, signal);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(); // allocations belong to those who hold them
  }
}

async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  const timer = setTimeout(resolve, ms);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

function containerOf({
  container,
  containerId,
}: {
  readonly container: string | null;
  readonly containerId: string | null;
}): ContainerRequest | undefined {
  return container === null ? undefined : { bundle: container, containerId };
}

function parsed<T>(text: string, parse: (line: string) => T | undefined): T[] {
  return text.split("\n").flatMap((line) => parse(line) ?? []);
}

function stepKeyOf(text: string): StepKey {
  return parseStepKey(text.toLowerCase()) ?? 0;
}

function targetText({ jobId, arrayTasks, stepKey }: JobTarget): string {
  const job = arrayTasks === null ? String(jobId) : `${jobId}_[${arrayTasks.join(",")}]`;
  return stepKey === null ? job : `${job}.${stepKey}`;
}

function ifNoSuchJob(error: unknown): readonly JobRecord[] {
  if (error instanceof BerthError && error.code === "INVALID_JOB_ID") return [];
  throw error;
}
