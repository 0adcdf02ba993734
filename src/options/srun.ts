/** srun's command line (commands.md §2). */
import type { StepResources } from "#engine/engine.ts";
import type { JobOptions, StepOptions } from "#job/request.ts";
import { hintedType } from "./bind-variables.ts";
import {
  applyLevel,
  fitNodesToTasks,
  readEnvironment,
  readWords,
  refuseComponents,
  throwGetoptError,
  type Grammar,
} from "./apply-options.ts";
import { parseCpuBind } from "./cpu-bind.ts";
import { emptyCommon, emptyStreams, type Action, type StreamDraft } from "./job-draft.ts";
import { plainStep, type StepFields } from "./plain-step.ts";
import { rowsOf } from "./job-option-row.ts";
import { JOB_OPTIONS } from "./job-option-table.ts";
import { hostsInFile, JOB_FLAGS, JOB_SETTERS, STREAM_SETTERS, type Flag, type Setter } from "./job-setters.ts";
import { absolutePath, baseName } from "./path.ts";
import { countOf, errorExitOf, type Env, type ParseContext } from "./site.ts";
import { SRUN_OPTIONS } from "./srun-option-table.ts";
import { UsageError } from "./usage-error.ts";

export interface SrunLine {
  readonly action: Action;
  readonly job: JobOptions;
  readonly step: StepOptions;
  readonly resources: StepResources;
  /** -J as said to srun itself, else the command's base name: a job's SLURM_JOB_NAME does not name its steps. */
  readonly stepName: string;
  readonly verbose: number;
  readonly quiet: boolean;
  readonly clusters: string | null;
  /** --send-libs and --bcast-exclude as they were said. */
  readonly bcast: { readonly sendLibs: string | null; readonly exclude: string | null };
  /** Long names said on the command line, whatever the environment says. */
  readonly given: ReadonlySet<string>;
  /** Lines for stderr, complete. */
  readonly warnings: readonly string[];
}

interface SrunDraft extends StreamDraft {
  readonly bcast: { sendLibs: string | null; exclude: string | null };
  readonly step: StepFields;
}

const FLAGS: Readonly<Record<string, Flag<SrunDraft>>> = {
  "disable-status": ({ step }, isOn) => {
    step.disableStatus = isOn;
  },
  exact: ({ step }, isOn) => {
    step.exact = isOn;
  },
  interactive: ({ step }, isOn) => {
    step.interactive = isOn;
  },
  label: ({ step }, isOn) => {
    step.label = isOn;
  },
  "multi-prog": ({ step }, isOn) => {
    step.multiProg = isOn;
  },
  "preserve-env": ({ step }, isOn) => {
    step.preserveEnv = isOn;
  },
  "quit-on-interrupt": ({ step }, isOn) => {
    step.quitOnInterrupt = isOn;
  },
  unbuffered: ({ step }, isOn) => {
    step.unbuffered = isOn;
  },
};

const SETTERS: Readonly<Record<string, Setter<SrunDraft>>> = {
  bcast: ({ step }, value) => {
    step.bcast = value;
  },
  "bcast-exclude": ({ bcast }, value) => {
    bcast.exclude = value;
  },
  "send-libs": ({ bcast }, value) => {
    bcast.sendLibs = value === "" ? "yes" : value;
  },
  "cpu-bind": ({ step }, value, site) => {
    step.cpuBind = value;
    step.cpuBinding = parseCpuBind(value, site.errorExit);
  },
  epilog: ({ step }, value) => {
    step.epilog = value;
  },
  "het-group": (_draft, _value, site) => {
    throw new UsageError(["srun: error: --het-group: Heterogeneous jobs are not supported"], site.errorExit);
  },
  jobid: ({ step }, value, site) => {
    step.jobId = countOf(value, site);
  },
  "kill-on-bad-exit": ({ step }, value, site) => {
    step.killOnBadExit = value === "" || countOf(value, site, 0) !== 0;
  },
  mpi: (draft, value) => {
    if (value === "list") draft.action = "mpiList";
    else draft.step.mpi = value;
  },
  overlap: ({ step }, value) => {
    step.overlap = value !== "0" && value !== "no";
  },
  prolog: ({ step }, value) => {
    step.prolog = value;
  },
  pty: ({ step }) => {
    step.pty = true;
  },
  relative: ({ step }, value, site) => {
    step.relativeNode = countOf(value, site, 0);
  },
  "task-epilog": ({ step }, value, site) => {
    step.taskEpilog = scriptPath(site.cwd, value);
  },
  "task-prolog": ({ step }, value, site) => {
    step.taskProlog = scriptPath(site.cwd, value);
  },
  wait: ({ step }, value, site) => {
    step.waitSeconds = countOf(value, site, 0);
  },
};

function scriptPath(cwd: string, value: string): string | null {
  return value === "" || value.toLowerCase() === "none" ? null : absolutePath(cwd, value);
}

export const SRUN_ROWS = [...rowsOf("srun", JOB_OPTIONS), ...SRUN_OPTIONS];

const GRAMMAR: Grammar<SrunDraft> = {
  command: "srun",
  rows: SRUN_ROWS,
  flags: [JOB_FLAGS, FLAGS],
  setters: [JOB_SETTERS, STREAM_SETTERS, SETTERS],
};

/**
 * Reads srun's options. Variables stand for options not said; inside a job they are the job's own counts
 * (SLURM_NTASKS, SLURM_JOB_NUM_NODES, …), so `given` tells what was asked of this srun.
 * @throws UsageError; BerthError INVALID_NODE_NAME for an unreadable host list
 */
export function parseSrun(argv: readonly string[], env: Env, context: ParseContext): SrunLine {
  const draft: SrunDraft = { ...emptyCommon(), ...emptyStreams(), step: plainStep(), bcast: { sendLibs: null, exclude: null } };
  const words = readWords(GRAMMAR, argv);
  const fromEnv = readEnvironment(GRAMMAR, env);
  applyLevel(draft, GRAMMAR, fromEnv, { ...context, env, source: "environment" });
  applyPlaneSize(draft, env);
  applyHostFile(draft, env, context);
  applyLevel(draft, GRAMMAR, words.options, { ...context, env, source: "commandLine" });
  const given = new Set(words.options.map(({ row }) => row.name));
  if (draft.action === "run") {
    throwGetoptError("srun", words);
    refuseComponents("srun", words.rest, env);
    if (words.rest.length === 0) throw new UsageError(["srun: fatal: No command given to execute."], errorExitOf(env));
  }
  return finish(draft, words.rest, given, env);
}

function finish(draft: SrunDraft, command: readonly string[], given: ReadonlySet<string>, env: Env): SrunLine {
  checkHosts(draft, env);
  const warnings = [...dropTasksPerNode(draft), ...fitNodesToTasks("srun", draft)];
  const { action, job, verbose, quiet, clusters, step, bcast } = draft;
  const programName = baseName(command[0] ?? "");
  const stepName = given.has("job-name") ? (job.name ?? programName) : programName;
  job.name ??= programName;
  return {
    action,
    job,
    stepName,
    verbose,
    quiet,
    clusters,
    bcast,
    given,
    warnings,
    step: {
      ...step,
      command,
      // Whoever says how many CPUs a task needs gets those, and no others (srun(1), --cpus-per-task).
      exact: step.exact || (given.has("exclusive") && step.jobId !== null) || given.has("cpus-per-task"),
      input: draft.input,
      output: draft.output,
      error: draft.error,
      openMode: draft.openMode,
      export: draft.export,
      chdir: draft.chdir,
      testOnly: draft.testOnly,
      hintedBinding: hintedType(draft.job.unused) ?? null,
    },
    resources: resourcesOf(job, given),
  };
}

const GPU_OPTIONS = ["gres", "gpus", "gpus-per-node", "gpus-per-task", "ntasks-per-gpu"];

/** The part of a job's options that a step can ask for too. What is said of GPUs replaces what variables of the job say. */
export function resourcesOf(job: JobOptions, given: ReadonlySet<string> = new Set()): StepResources {
  const isSaid = GPU_OPTIONS.some((name) => given.has(name));
  const gpuOption = <T>(name: string, value: T): T | null => (isSaid && !given.has(name) ? null : value);
  const { nodesMin, nodesMax, tasks, tasksPerNode, cpusPerTask, memPerNodeMib, memPerCpuMib } = job;
  const { nodeList, excludeNodes, distribution, planeSize, overcommit, gpuBinding } = job;
  return {
    nodesMin,
    nodesMax,
    tasks,
    tasksPerNode,
    cpusPerTask,
    memPerNodeMib,
    memPerCpuMib,
    nodeList,
    excludeNodes,
    gres: given.has("gres") ? (job.gres ?? "none") : gpuOption("gres", job.gres),
    gpus: gpuOption("gpus", job.gpus),
    gpusPerNode: gpuOption("gpus-per-node", job.gpusPerNode),
    gpusPerTask: gpuOption("gpus-per-task", job.gpusPerTask),
    tasksPerGpu: gpuOption("ntasks-per-gpu", job.tasksPerGpu),
    gpuBinding,
    distribution,
    planeSize,
    overcommit,
  };
}

/** -m arbitrary takes one name for each task. */
function checkHosts({ job, action }: SrunDraft, env: Env): void {
  if (action !== "run" || job.distribution !== "arbitrary") return;
  if (job.nodeList === null) {
    const why = "With Arbitrary distribution you need to specify a nodelist or hostfile with the -w option";
    throw new UsageError([`srun: error: ${why}`], errorExitOf(env));
  }
  job.tasks ??= job.nodeList.length;
  if (job.nodeList.length >= job.tasks) return;
  const more = (env["SLURM_HOSTFILE"] ?? "") === "" ? [] : ["srun: error: Failure getting NodeNames from hostfile"];
  throw new UsageError(["srun: error: Too few NodeNames in Slurm Hostfile", ...more], errorExitOf(env));
}

/** Counts that contradict each other: tasks and nodes count. */
function dropTasksPerNode({ job }: SrunDraft): string[] {
  const { tasks, nodesMin, nodesMax, tasksPerNode } = job;
  if (tasks === null || nodesMin === null || tasksPerNode === null || tasks === nodesMin * tasksPerNode) return [];
  if ((nodesMax ?? nodesMin) !== nodesMin || job.distribution === "arbitrary") return [];
  job.tasksPerNode = null;
  return [
    `srun: Warning: can't honor --ntasks-per-node set to ${tasksPerNode} which doesn't match the requested tasks ${tasks} with the number of requested nodes ${nodesMin}. Ignoring --ntasks-per-node.`,
  ];
}

/** SLURM_HOSTFILE names one node for each task, in order. */
function applyHostFile(draft: SrunDraft, env: Env, context: ParseContext): void {
  const path = env["SLURM_HOSTFILE"];
  if (path === undefined || path === "") return;
  draft.job.nodeList = hostsInFile(path, {
    ...context,
    command: "srun",
    option: "nodefile",
    source: "environment",
    errorExit: errorExitOf(env),
  });
  draft.job.distribution = "arbitrary";
}

/** Plane sizes have a variable of their own: SLURM_DISTRIBUTION says only "plane". */
function applyPlaneSize(draft: SrunDraft, env: Env): void {
  const size = /^[1-9]\d{0,8}$/.exec(env["SLURM_DIST_PLANESIZE"] ?? "")?.[0];
  if (draft.job.distribution === "plane" && draft.job.planeSize === null && size !== undefined) draft.job.planeSize = Number(size);
}
