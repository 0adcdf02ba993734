/** What is written down of a step before it starts: its record, its plan for the daemon (step/plan.ts), and what it holds. Changes nothing. */
import {
  allocationVariables,
  batchVariables,
  gpusOf,
  stepVariables,
  taskVariables,
  type JobFacts,
  type StepFacts,
} from "#job/environment.ts";
import { nowMs, type StepKey } from "#job/id.ts";
import { EXIT_ZERO } from "#job/outcome.ts";
import type { JobRecord, StepRecord, Tres } from "#job/record.ts";
import type { JobRequest } from "#job/request.ts";
import { compressHostlist } from "#options/hostlist.ts";
import type { ProcessIdentity } from "#platform/process-tree.ts";
import { SCRIPT_FILE, type StepPlan } from "#step/plan.ts";
import type { StepRequest } from "../engine.ts";
import type { OwnStepRequest } from "../own-step.ts";
import { defaultOutput } from "./batch-files.ts";
import { bindStep } from "./bind-step.ts";
import type { ClusterConfig } from "./config.ts";
import type { LiveJob, LiveStep } from "./live-job.ts";
import { stepSocket, stepSpool, type Paths } from "./paths.ts";
import { asksForDevices, type Devices } from "./step-gres.ts";
import type { StepLayout } from "./step-layout.ts";
import { distributionOf, pickCounts, sentProgram, stepStreams, withGpus, withoutGpus } from "./step-plan.ts";

export interface StepDraft {
  readonly record: StepRecord;
  readonly plan: StepPlan;
  readonly held: Pick<LiveStep, "cpuIds" | "gres">;
}

/** Where the facts come from. */
export interface StepDraftsHost {
  readonly config: ClusterConfig;
  readonly paths: Paths;
  jobFacts(job: LiveJob): JobFacts;
}

type NodeShare = JobRecord["shares"][number];

const NOTHING: StepDraft["held"] = { cpuIds: new Map(), gres: new Map() };

export class StepDrafts {
  readonly #host: StepDraftsHost;

  constructor(host: StepDraftsHost) {
    this.#host = host;
  }

  /** A step of tasks, for srun. */
  step(job: LiveJob, stepKey: StepKey, request: StepRequest, how: { readonly layout: StepLayout; readonly overlaps: boolean }): StepDraft {
    const { layout, overlaps } = how;
    const record = this.#stepRecord(job, stepKey, {
      name: request.name,
      layout,
      submitLine: request.submit.submitLine,
      timeLimitMinutes: request.timeLimitMinutes,
      container: request.container,
      containerId: request.containerId,
      srun: { host: request.submit.host, pid: request.submit.sid },
    });
    const unbound = this.#stepFacts(job, stepKey, layout, {
      umask: request.submit.umask,
      mpi: this.#mpiOf(request),
      ...distributionOf(job, request, layout),
      cpusPerTask: request.resources.cpusPerTask,
    });
    const { facts: bound, refusal } = bindStep(unbound, layout, request, this.#host.config);
    const facts = withGpus(bound, request);
    const preserved = request.options.preserveEnv ? request.submit.environment : {};
    const isHolder = asksForDevices(request.resources) && !overlaps;
    const sent = sentProgram(request, { jobId: job.id, stepKey, node: record.nodes[0] ?? "" });
    const plan: StepPlan = {
      ...this.#commonPlan(job, stepKey, facts),
      commands: request.options.taskCommands ?? [sent?.command ?? request.options.command],
      environment: {
        ...withoutGpus(request.submit.environment, job),
        ...stepVariables(this.#host.jobFacts(job), facts),
        ...pickCounts(preserved),
        ...sent?.variables,
      },
      workDir: request.submit.workDir,
      rlimits: request.submit.rlimits,
      ...stepStreams(request, layout.tasks),
      terminal: request.hasTerminal,
      container: request.container === null ? null : { bundle: request.container, gres: gresOf(layout) },
      refusal,
      heldGres: isHolder ? Object.fromEntries(devicesOf(layout)) : {},
      isBatch: false,
      taskProlog: request.options.taskProlog,
      taskEpilog: request.options.taskEpilog,
    };
    const held = { cpuIds: overlaps ? new Map() : cpusOf(layout), gres: isHolder ? devicesOf(layout) : new Map() };
    return { record, plan, held };
  }

  #mpiOf({ kind, options }: StepRequest): string | null {
    return options.mpi ?? (kind === "interactive" ? null : this.#host.config.mpiDefault);
  }

  /** A step of one task that `owner` runs. */
  ownStep(
    job: LiveJob,
    stepKey: StepKey,
    request: OwnStepRequest,
    on: { readonly owner: ProcessIdentity; readonly share: NodeShare },
  ): StepDraft {
    const { owner, share } = on;
    const layout = onOneNode(share);
    const record: StepRecord = {
      ...this.#stepRecord(job, stepKey, {
        name: request.name,
        layout,
        submitLine: request.submit.submitLine,
        timeLimitMinutes: null,
        container: request.container,
        containerId: request.containerId,
        srun: { host: request.submit.host, pid: owner.pid },
      }),
      annotations: request.annotations,
    };
    const facts = this.#stepFacts(job, stepKey, layout, { umask: request.submit.umask, mpi: null, distribution: null, planeSize: null });
    const known = this.#host.jobFacts(job);
    const environment = { ...allocationVariables(known), ...stepVariables(known, facts), ...taskVariables(facts, { rank: 0 }) };
    const plan: StepPlan = {
      ...this.#commonPlan(job, stepKey, facts),
      isOwned: true,
      commands: [],
      environment,
      workDir: request.submit.workDir,
      rlimits: {},
      stdin: { kind: "null" },
      stdout: { kind: "null" },
      stderr: { kind: "null" },
      terminal: null,
      container: request.container === null ? null : { bundle: request.container, gres: gresOf(layout) },
      isBatch: false,
      taskProlog: null,
      taskEpilog: null,
    };
    return { record, plan, held: NOTHING };
  }

  /** The batch script, as step `batch` on the job's first node. */
  batchStep(
    job: LiveJob,
    request: JobRequest,
    on: { readonly batch: NonNullable<JobRequest["batch"]>; readonly share: NodeShare },
  ): StepDraft {
    const { batch } = on;
    const layout = onOneNode(on.share);
    const record = this.#stepRecord(job, "batch", {
      name: "batch",
      layout,
      submitLine: null,
      timeLimitMinutes: null,
      srun: null,
      container: job.record.container,
      containerId: job.record.containerId,
    });
    const facts = this.#stepFacts(job, "batch", layout, { umask: request.submit.umask, mpi: null, distribution: null, planeSize: null });
    const environment = request.submit.environment;
    const output = batch.output ?? defaultOutput(job.record);
    const isAppend = batch.openMode === "append";
    const script =
      job.record.container === null ? `${stepSpool(this.#host.paths, job.record, "batch")}/${SCRIPT_FILE}` : "/tmp/slurm/startup";
    const exportText = batch.export.text;
    const plan: StepPlan = {
      ...this.#commonPlan(job, "batch", facts),
      commands: [[script, ...batch.args]],
      environment: {
        ...environment,
        ...batchVariables(this.#host.jobFacts(job), { hasTmpdir: environment["TMPDIR"] !== undefined }),
        ...(exportText === null ? {} : { SLURM_EXPORT_ENV: exportText }),
      },
      workDir: request.submit.workDir,
      rlimits: request.submit.rlimits,
      stdin: batch.input === null ? { kind: "null" } : { kind: "file", pattern: batch.input, append: false },
      stdout: { kind: "file", pattern: output, append: isAppend },
      stderr: batch.error === null ? { kind: "stdout" } : { kind: "file", pattern: batch.error, append: isAppend },
      terminal: null,
      container: job.record.container === null ? null : { bundle: job.record.container, gres: gresOf(layout) },
      isBatch: true,
      taskProlog: null,
      taskEpilog: null,
    };
    return { record, plan, held: NOTHING };
  }

  #commonPlan(
    job: LiveJob,
    stepKey: StepKey,
    facts: StepFacts,
  ): Pick<
    StepPlan,
    | "facts"
    | "jobName"
    | "user"
    | "arrayJobId"
    | "arrayTaskId"
    | "killWaitSeconds"
    | "socketPath"
    | "configDirs"
    | "stateDir"
    | "runtimeRoot"
    | "siteTaskProlog"
    | "siteTaskEpilog"
  > {
    const { config, paths } = this.#host;
    return {
      facts,
      jobName: job.record.name,
      user: { name: job.record.userName, uid: job.record.userId, gid: job.record.groupId },
      arrayJobId: job.record.array?.jobId ?? job.id,
      arrayTaskId: job.record.array?.taskId ?? null,
      killWaitSeconds: config.killWaitSeconds,
      socketPath: stepSocket(paths, job.record, stepKey),
      configDirs: paths.configDirs,
      stateDir: paths.state,
      runtimeRoot: paths.runtimeRoot,
      siteTaskProlog: config.taskProlog,
      siteTaskEpilog: config.taskEpilog,
    };
  }

  #stepRecord(
    job: LiveJob,
    stepKey: StepKey,
    facts: {
      readonly name: string;
      readonly layout: StepLayout;
      readonly submitLine: string | null;
      readonly timeLimitMinutes: number | null;
      readonly container: string | null;
      readonly containerId: string | null;
      readonly srun: { readonly host: string; readonly pid: number } | null;
    },
  ): StepRecord {
    const { layout } = facts;
    const cpus = layout.nodes.reduce((sum, node) => sum + node.cpuIds.length, 0);
    const gres: Record<string, number> = {};
    for (const node of layout.nodes) for (const [name, ids] of Object.entries(node.gres)) gres[name] = (gres[name] ?? 0) + ids.length;
    const allocated: Tres = { cpus, memMib: job.record.allocated?.memMib ?? null, nodes: layout.nodes.length, gres };
    return {
      jobId: job.id,
      stepKey,
      name: facts.name,
      userId: job.record.userId,
      userName: job.record.userName,
      partition: job.record.partition,
      state: "RUNNING",
      exit: EXIT_ZERO,
      cancelledBy: null,
      startedAt: nowMs(),
      endedAt: null,
      suspendedMs: 0,
      timeLimitMinutes: facts.timeLimitMinutes,
      nodes: layout.nodes.map((node) => node.name),
      tasksPerNode: layout.nodes.map((node) => node.ranks.length),
      cpus,
      tasks: layout.tasks,
      allocated,
      distribution: stepKey === "batch" ? null : layout.isCyclic || layout.tasks === layout.nodes.length ? "cyclic" : "block",
      srunHost: facts.srun?.host ?? null,
      srunPid: facts.srun?.pid ?? null,
      container: facts.container,
      containerId: facts.containerId,
      submitLine: facts.submitLine,
      usage: null,
    };
  }

  #stepFacts(
    job: LiveJob,
    stepKey: StepKey,
    layout: StepLayout,
    options: Pick<StepFacts, "umask" | "mpi" | "distribution" | "planeSize" | "cpusPerTask">,
  ): StepFacts {
    return {
      jobId: job.id,
      stepKey,
      nodes: layout.nodes.map((node) => ({ name: node.name, ranks: node.ranks, cpus: node.cpuIds.length, gpus: gpusOf(node.gres) })),
      nodeList: compressHostlist(layout.nodes.map((node) => node.name)),
      tasks: layout.tasks,
      umask: options.umask,
      mpi: options.mpi,
      distribution: options.distribution,
      planeSize: options.planeSize,
      cpusPerTask: options.cpusPerTask ?? null,
    };
  }
}

function onOneNode({ node, cpuIds, gres }: NodeShare): StepLayout {
  return { tasks: 1, isCyclic: false, nodes: [{ name: node, ranks: [0], cpuIds, gres }] };
}

function devicesOf(layout: StepLayout): Map<string, Devices> {
  return new Map(layout.nodes.map((node) => [node.name, node.gres]));
}

function cpusOf(layout: StepLayout): Map<string, readonly number[]> {
  return new Map(layout.nodes.map((node) => [node.name, node.cpuIds]));
}

function gresOf(layout: StepLayout): Record<string, StepLayout["nodes"][number]["gres"]> {
  return Object.fromEntries(layout.nodes.map((node) => [node.name, node.gres]));
}
