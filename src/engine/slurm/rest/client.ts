/**
 * The slurm engine through slurmrestd, for a host outside of the cluster's munge: submit, query, cancel. It carries no
 * streams, so allocations and steps that somebody holds are refused with a word on where they can be had.
 */
import { BerthError, slurmError } from "#job/errors.ts";
import type { JobId } from "#job/id.ts";
import type { AccountedJob, JobRecord, NodeRecord, PartitionRecord, StepRecord } from "#job/record.ts";
import type { JobRequest } from "#job/request.ts";
import { isTerminal } from "#job/state.ts";
import { shortHostName } from "#platform/directories.ts";
import type {
  AccountingFilter,
  Cancellable,
  Engine,
  EngineConfig,
  EngineInfo,
  HeldAllocation,
  JobFilter,
  JobTarget,
  StepChannel,
} from "../../engine.ts";
import { cancelOneByOne } from "../cancel-each.ts";
import { matches } from "../../job-matches.ts";
import { readDirectives } from "../site/directives.ts";
import { batchTaskLine, requestComment } from "../site/container-request.ts";
import { wrapBatchScript } from "../task/batch-script.ts";
import type { RestAddress } from "./access.ts";
import { RestConnection } from "./connection.ts";
import { jobBody } from "./job-body.ts";
import { jobRecord, nodeRecord, partitionRecord } from "./records.ts";
import { listOf, numberOf, objectOf, textOf, type Json } from "./values.ts";

const POLL_MS = 500;

export class RestEngine implements Engine {
  readonly name = "slurm";
  readonly #rest: RestConnection;
  readonly #address: RestAddress;

  constructor(address: RestAddress, token: string) {
    this.#address = address;
    this.#rest = new RestConnection(address, token);
  }

  /** `v0.0.38` */
  async interfaceVersion({ signal }: Cancellable): Promise<string> {
    return `v0.0.${await this.#rest.version(signal)}`;
  }

  async info(options: Cancellable): Promise<EngineInfo> {
    const { meta } = await this.#rest.ask("GET", "/ping", options);
    const partitions = await this.partitions(options);
    const slurm = objectOf(objectOf(meta)["Slurm"] ?? objectOf(meta)["slurm"]);
    return {
      engine: "slurm",
      clusterName: textOf(slurm["cluster"]) ?? "",
      host: shortHostName(),
      version: textOf(slurm["release"]) ?? "",
      configFile: this.#address.url,
      killWaitSeconds: 30,
      firstPartition: (partitions.find(({ isDefault }) => isDefault) ?? partitions[0])?.name ?? "",
    };
  }

  async submit(request: JobRequest, options: Cancellable): Promise<{ readonly jobId: JobId }> {
    const { batch, options: wanted } = request;
    if (batch === null) throw new Error("no batch job");
    const container = wanted.container === null ? undefined : { bundle: wanted.container, containerId: wanted.containerId };
    const script =
      container === undefined
        ? batch.script
        : wrapBatchScript(batch.script, (line) => batchTaskLine(container, line), readDirectives(batch.script, () => false).lines).text;
    const comment = wanted.comment ?? (container === undefined ? null : requestComment(container));
    const submit =
      container === undefined
        ? request.submit
        : { ...request.submit, environment: { ...request.submit.environment, SLURM_CONTAINER: container.bundle } };
    const body = jobBody({ request: { ...request, submit }, batch, script, comment, version: await this.#rest.version(options.signal) });
    const answer = await this.#rest.ask("POST", "/job/submit", { signal: options.signal, body });
    const jobId = numberOf(answer["job_id"]) ?? numberOf(objectOf(answer["result"])["job_id"]);
    if (jobId === null || jobId === 0) throw new BerthError("UNSPECIFIED", "slurmrestd took the job and did not say its id");
    return { jobId: jobId as JobId };
  }

  async cancel(target: JobTarget, options: Cancellable): Promise<void> {
    await this.#end(target, "", options);
  }

  async sendSignal(target: JobTarget & { readonly signalNumber: number; readonly scope: string }, options: Cancellable): Promise<void> {
    if (target.scope !== "steps") return refuse(`scancel --${target.scope}`);
    await this.#end(target, `?signal=${target.signalNumber}`, options);
  }

  async #end({ jobId, arrayTasks, stepKey }: JobTarget, query: string, options: Cancellable): Promise<void> {
    if (stepKey !== null) return refuse("Ending a single step");
    const jobs = arrayTasks === null ? [String(jobId)] : arrayTasks.map((task) => `${jobId}_${task}`);
    for (const job of jobs) await this.#rest.ask("DELETE", `/job/${job}${query}`, options);
  }

  cancelEach(targets: readonly JobTarget[], options: Cancellable): Promise<readonly (BerthError | null)[]> {
    return cancelOneByOne(targets, (target) => this.cancel(target, options));
  }

  async jobs(filter: JobFilter, options: Cancellable): Promise<readonly JobRecord[]> {
    const one = filter.jobIds?.length === 1 ? filter.jobIds[0] : undefined;
    const found = await this.#records(one === undefined ? "/jobs" : `/job/${one}`, "jobs", jobRecord, options).catch((error: unknown) => {
      if (error instanceof BerthError && error.code === "INVALID_JOB_ID") return [];
      throw error;
    });
    return found.filter((job) => matches(job, filter));
  }

  async #records<T>(path: string, key: string, record: (value: Json) => T, options: Cancellable): Promise<readonly T[]> {
    const answer = await this.#rest.ask("GET", path, options);
    return listOf(answer[key]).map((value) => record(objectOf(value)));
  }

  /** The interface tells of no live steps. */
  steps(): Promise<readonly StepRecord[]> {
    return Promise.resolve([]);
  }

  nodes(options: Cancellable): Promise<readonly NodeRecord[]> {
    return this.#records("/nodes", "nodes", nodeRecord, options);
  }

  partitions(options: Cancellable): Promise<readonly PartitionRecord[]> {
    return this.#records("/partitions", "partitions", partitionRecord, options);
  }

  /** What the controller remembers. */
  async accounting(filter: AccountingFilter, options: Cancellable): Promise<readonly AccountedJob[]> {
    const { from, to } = filter;
    const found = await this.jobs(filter, options);
    return found
      .filter((job) => (to === null || job.submittedAt <= to) && (from === null || job.endedAt === null || job.endedAt >= from))
      .map((job) => ({ ...job, steps: [] }));
  }

  async waitForEnd(jobId: number, options: Cancellable): Promise<readonly JobRecord[]> {
    for (;;) {
      const found = await this.jobs({ jobIds: [jobId], userIds: null, states: null, names: null, partitions: null }, options);
      if (found.length === 0) throw slurmError("INVALID_JOB_ID");
      if (found.every((job) => isTerminal(job.state) && job.flags.length === 0)) return found;
      await Bun.sleep(POLL_MS);
    }
  }

  allocate = (): Promise<HeldAllocation> => refuse("An allocation that a command holds");
  findAllocation = (): Promise<never> => refuse("An allocation that a command holds");
  runStep = (): Promise<StepChannel> => refuse("A live step");
  attachStep = (): Promise<never> => refuse("A live step");
  measureSteps = (): Promise<never> => refuse("A live step");
  stepLayout = (): Promise<never> => refuse("A live step");
  openOwnStep = (): Promise<never> => refuse("A container of podman or docker");
  tryJob = (): Promise<never> => refuse("sbatch --test-only");
  hold = (): Promise<void> => refuse("scontrol hold");
  release = (): Promise<void> => refuse("scontrol release");
  notify = (): Promise<void> => refuse("scontrol notify");
  processes = (): Promise<never> => refuse("scontrol listpids");
  requeue = (): Promise<void> => refuse("scontrol requeue");
  suspend = (): Promise<void> => refuse("scontrol suspend");
  resume = (): Promise<void> => refuse("scontrol resume");
  update = (): Promise<void> => refuse("scontrol update");
  updateNodes = (): Promise<void> => refuse("scontrol update");
  updatePartition = (): Promise<void> => refuse("scontrol update");
  config = (): Promise<EngineConfig> => refuse("scontrol show config");
  batchScript = (): Promise<string> => refuse("The script of a job");

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

function refuse(what: string): Promise<never> {
  return Promise.reject(
    new BerthError("NOT_SUPPORTED", `${what} cannot be had through slurmrestd`, {
      hint: "run the command on a login host of the cluster, without BERTH_SLURM_REST",
    }),
  );
}
