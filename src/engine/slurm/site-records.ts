/** What the site's Slurm tells of its jobs, steps, nodes and settings, asked through its own commands. Changes nothing. */
import { BerthError, slurmError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import type { AccountedJob, JobRecord, NodeRecord, PartitionRecord, StepRecord } from "#job/record.ts";
import { isTerminal } from "#job/state.ts";
import { shortHostName } from "#platform/directories.ts";
import type { AccountingFilter, Cancellable, EngineConfig, EngineInfo, JobFilter } from "../engine.ts";
import { matches } from "../job-matches.ts";
import type { ContainerRecords } from "./accounting/container-records.ts";
import { siteError } from "./errors.ts";
import { parseJob } from "./records/job.ts";
import { parseNode, parsePartition, parseStep } from "./records/others.ts";
import type { SiteCommands } from "./site-commands.ts";

const POLL_MS = [20, 50, 100, 200, 300, 500] as const;

export class SiteRecords {
  readonly #site: SiteCommands;
  readonly #containers: ContainerRecords;
  #config: Promise<EngineConfig> | undefined;

  constructor(site: SiteCommands, containers: ContainerRecords) {
    this.#site = site;
    this.#containers = containers;
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
      killWaitSeconds: await this.killWaitSeconds(options),
      firstPartition: (partitions.find(({ isDefault }) => isDefault) ?? partitions[0])?.name ?? "",
    };
  }

  async killWaitSeconds(options: Cancellable): Promise<number> {
    return Number.parseInt(new Map(await this.#settings(options)).get("KillWait") ?? "30", 10);
  }

  /** Asked once. */
  #settings(options: Cancellable): Promise<EngineConfig> {
    this.#config ??= this.config(options).catch((error: unknown) => {
      this.#config = undefined;
      throw error;
    });
    return this.#config;
  }

  async jobs(filter: JobFilter, options: Cancellable): Promise<readonly JobRecord[]> {
    const one = filter.jobIds?.length === 1 ? filter.jobIds[0] : undefined;
    const found = one === undefined ? await this.showJobs([], options) : await this.showJobs([String(one)], options).catch(ifNoSuchJob);
    return found.filter((job) => matches(job, filter));
  }

  /** Of one job, when `args` name it. @throws BerthError INVALID_JOB_ID */
  async showJobs(args: readonly string[], options: Cancellable): Promise<readonly JobRecord[]> {
    const found = parsed(await this.#site.ask("scontrol", ["-d", "-o", "show", "job", ...args], options), parseJob);
    return found.map((job) => (job.container === null ? { ...job, ...this.#containerOf(String(job.jobId), job.submittedAt) } : job));
  }

  /** What neither Slurm nor the job's comment says. */
  #containerOf(key: string, since: number): Partial<Pick<StepRecord, "container" | "containerId" | "annotations">> {
    const facts = this.#containers.read(key, since);
    if (facts === undefined) return {};
    const { annotations } = facts;
    return { container: facts.container, containerId: facts.id, ...(Object.keys(annotations).length === 0 ? {} : { annotations }) };
  }

  /** @throws BerthError INVALID_JOB_ID */
  async getJob(jobId: number, options: Cancellable): Promise<JobRecord> {
    const found = await this.showJobs([String(jobId)], options);
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

  /** Slurm has no stream of changes: it is asked, ever more slowly. */
  async endOf(jobId: number, { signal }: Cancellable): Promise<readonly JobRecord[]> {
    for (let round = 0; ; round++) {
      const found = await this.showJobs([String(jobId)], { signal });
      if (found.length === 0) throw slurmError("INVALID_JOB_ID");
      if (found.every((job) => isTerminal(job.state) && job.flags.length === 0)) return found;
      await sleep(POLL_MS[Math.min(round, POLL_MS.length - 1)] ?? 500, signal);
    }
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

function parsed<T>(text: string, parse: (line: string) => T | undefined): T[] {
  return text.split("\n").flatMap((line) => parse(line) ?? []);
}

function ifNoSuchJob(error: unknown): readonly JobRecord[] {
  if (error instanceof BerthError && error.code === "INVALID_JOB_ID") return [];
  throw error;
}
