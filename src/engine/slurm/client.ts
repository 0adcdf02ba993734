/**
 * The slurm engine: the engine interface over the site's own commands. No daemon of ours, nothing to configure; what
 * Slurm does not tell is null. Commands of users do not come here: they become the site's commands (site/).
 */
import { type BerthError, slurmError } from "#job/errors.ts";
import type { JobId } from "#job/id.ts";
import { shellCode } from "#job/outcome.ts";
import type { AccountedJob, JobRecord, NodeRecord, PartitionRecord, StepRecord } from "#job/record.ts";
import type { JobRequest } from "#job/request.ts";
import { isTerminal } from "#job/state.ts";
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
  MeasuredStep,
  PlacedTasks,
  SignalScope,
  StepChannel,
  StepRequest,
} from "../engine.ts";
import type { OwnStep } from "../own-step.ts";
import type { RemoteContainers } from "../remote-containers.ts";
import { ContainerRecords } from "./accounting/container-records.ts";
import { HOLD_COMMAND, SallocProcess } from "./allocation.ts";
import { cancelTogether } from "./cancel-each.ts";
import { siteError } from "./errors.ts";
import { jobArgv } from "./job-argv.ts";
import { launchStep } from "./launch-step.ts";
import { SlurmRemoteContainers } from "./remote/remote-containers.ts";
import { containerOf } from "./site/container-request.ts";
import { SiteCommands } from "./site-commands.ts";
import { SiteRecords } from "./site-records.ts";
import { submitBatch, tryBatch } from "./submit.ts";

const never = new AbortController().signal;

export class SlurmEngine implements Engine {
  readonly name = "slurm";
  readonly #site: SiteCommands;
  readonly #containers: ContainerRecords;
  readonly #records: SiteRecords;

  constructor(env: Readonly<Record<string, string | undefined>> = process.env) {
    this.#site = new SiteCommands(env);
    this.#containers = new ContainerRecords(env);
    this.#records = new SiteRecords(this.#site, this.#containers);
  }

  async info(options: Cancellable): Promise<EngineInfo> {
    return await this.#records.info(options);
  }

  async submit(request: JobRequest, options: Cancellable): Promise<{ readonly jobId: JobId }> {
    const submitted = await submitBatch(this.#site, request, options);
    const container = containerOf(request.options);
    if (container !== undefined)
      this.#containers.write(String(submitted.jobId), { container: container.bundle, id: container.containerId, annotations: {} });
    return submitted;
  }

  async tryJob(request: JobRequest, options: Cancellable): ReturnType<Engine["tryJob"]> {
    return await tryBatch(this.#site, request, options);
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
    const job = await this.#records.getJob(jobId, { signal: never });
    const killWaitSeconds = await this.#records.killWaitSeconds({ signal: never });
    const slurms = Object.fromEntries(Object.entries(environment).filter(([name]) => name.startsWith("SLURM")));
    options.onEvent({ kind: "granted", waited, info: { job, environment: slurms, killWaitSeconds } });
    const giveUp = new AbortController();
    const ended = this.#records.endOf(jobId, { signal: giveUp.signal }).then(([record = job]) => record);
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
    const job = await this.#records.getJob(jobId, options);
    if (isTerminal(job.state)) throw slurmError("ALREADY_DONE");
    if (job.state === "PENDING") throw slurmError("JOB_PENDING");
    const killWaitSeconds = await this.#records.killWaitSeconds(options);
    return {
      job,
      environment: { SLURM_JOB_ID: String(job.jobId), SLURM_JOB_NAME: job.name, SLURM_JOB_NUM_NODES: String(job.nodes.length) },
      killWaitSeconds,
    };
  }

  async runStep(request: StepRequest, options: Cancellable & { readonly onWaiting: (text: string) => void }): Promise<StepChannel> {
    return await launchStep(request, { ...options, site: this.#site, killWaitSeconds: () => this.#records.killWaitSeconds(options) });
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
    return await this.#records.jobs(filter, options);
  }
  async steps(filter: { readonly jobId: number | null }, options: Cancellable): Promise<readonly StepRecord[]> {
    return await this.#records.steps(filter, options);
  }
  async nodes(options: Cancellable): Promise<readonly NodeRecord[]> {
    return await this.#records.nodes(options);
  }
  async partitions(options: Cancellable): Promise<readonly PartitionRecord[]> {
    return await this.#records.partitions(options);
  }
  async config(options: Cancellable): Promise<EngineConfig> {
    return await this.#records.config(options);
  }
  async accounting(filter: AccountingFilter, options: Cancellable): Promise<readonly AccountedJob[]> {
    return await this.#records.accounting(filter, options);
  }
  async batchScript(jobId: number, options: Cancellable): Promise<string> {
    return await this.#records.batchScript(jobId, options);
  }
  async waitForEnd(jobId: number, options: Cancellable): Promise<readonly JobRecord[]> {
    return await this.#records.endOf(jobId, options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(); // allocations belong to those who hold them
  }
}

function targetText({ jobId, arrayTasks, stepKey }: JobTarget): string {
  const job = arrayTasks === null ? String(jobId) : `${jobId}_[${arrayTasks.join(",")}]`;
  return stepKey === null ? job : `${job}.${stepKey}`;
}
