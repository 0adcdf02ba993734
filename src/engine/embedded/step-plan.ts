/** What of a step's plan follows from srun's request alone: streams, environment, the program that is copied. Pure. */
import { GPU_VARIABLES, gpusOf, type StepFacts } from "#job/environment.ts";
import { bcastPath, libraryDir } from "#options/bcast.ts";
import { needsPerTask } from "#options/file-pattern.ts";
import type { StepPlan, StreamPlan } from "#step/plan.ts";
import type { StepRequest } from "../engine.ts";
import type { LiveJob } from "./live-job.ts";
import { bindGpus } from "./step-gres.ts";
import type { StepLayout } from "./step-layout.ts";

/** What tasks are told: in a job of srun's own only what was asked for, or follows from memory; in an allocation also what came of it. */
export function distributionOf(
  job: LiveJob,
  { resources }: StepRequest,
  layout: StepLayout,
): Pick<StepFacts, "distribution" | "planeSize"> {
  const { distribution, planeSize, memPerNodeMib, memPerCpuMib } = resources;
  if (distribution !== null) return { distribution, planeSize: distribution === "plane" ? planeSize : null };
  const isTold = job.record.kind !== "srun" || (memPerNodeMib ?? memPerCpuMib ?? 0) > 0;
  return { distribution: !isTold ? null : layout.tasks <= layout.nodes.length ? "cyclic" : "block", planeSize: null };
}

/** In a job with GPUs a script's own variables for them must not reach a task that sees others, or none. */
export function withoutGpus(environment: Readonly<Record<string, string>>, job: LiveJob): Readonly<Record<string, string>> {
  if (job.record.shares.every(({ gres }) => gpusOf(gres).length === 0)) return environment;
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !GPU_VARIABLES.has(name)));
}

/** What each task sees of its node's GPUs. */
export function withGpus(facts: StepFacts, { resources }: StepRequest): StepFacts {
  const nodes = facts.nodes.map((node) => {
    const seen = bindGpus(resources, node.gpus, node.ranks.length);
    return seen === null ? node : { ...node, gpusByTask: seen };
  });
  return { ...facts, nodes };
}

/** What a step runs whose program srun copies before it starts, and where its libraries are. */
export function sentProgram(
  { options, submit }: StepRequest,
  step: Parameters<typeof bcastPath>[1],
): { readonly command: readonly string[]; readonly variables: Readonly<Record<string, string>> } | undefined {
  const { bcastCopy, command } = options;
  if (bcastCopy === null) return undefined;
  const path = bcastPath(bcastCopy.destination, step);
  const inherited = submit.environment["LD_LIBRARY_PATH"];
  const libraries = [libraryDir(path), ...(inherited === undefined || inherited === "" ? [] : [inherited])].join(":");
  return { command: [path, ...command.slice(1)], variables: bcastCopy.sendLibs ? { LD_LIBRARY_PATH: libraries } : {} };
}

/** `srun --preserve-env` keeps the counts that the caller has (srun(1), -E). */
export function pickCounts(environment: Readonly<Record<string, string>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of ["SLURM_NNODES", "SLURM_NTASKS", "SLURM_NPROCS", "SLURM_TASKS_PER_NODE"]) {
    const value = environment[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}

/** The streams that the step daemon opens itself; everything else passes through srun (commands.md §2.5). */
export function stepStreams(request: StepRequest, tasks: number): Pick<StepPlan, "stdin" | "stdout" | "stderr"> {
  const { input, output, error, openMode } = request.options;
  const plan = (text: string | null): StreamPlan => {
    if (text === null || isClientMode(text, tasks)) return { kind: "client" };
    if (text === "none") return { kind: "null" };
    return needsPerTask(text) ? { kind: "file", pattern: text, append: openMode === "append" } : { kind: "client" };
  };
  const stdout = plan(output);
  return { stdin: plan(input), stdout, stderr: error === null && stdout.kind === "file" ? { kind: "stdout" } : plan(error ?? output) };
}

/** `all…`, `-…` and task numbers are modes of srun itself. */
function isClientMode(text: string, tasks: number): boolean {
  return text.startsWith("all") || text.startsWith("-") || (/^\d+$/.test(text) && Number(text) < tasks);
}
