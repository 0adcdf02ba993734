/**
 * A batch job as slurmrestd wants it. What its interface has no word for is refused: a request is kept or refused, never
 * forgotten. Pure.
 */
import { BerthError } from "#job/errors.ts";
import type { BatchRequest, JobOptions, JobRequest } from "#job/request.ts";
import type { Json } from "./values.ts";

/** From v0.0.39 on, environments are lists and numbers say whether they are set. */
const NEW_FORM = 39;
/** These belong to the one who asks, not to the job: with the token the job could act for its owner everywhere. */
const NOT_FOR_JOBS = ["SLURM_JWT", "BERTH_SLURM_TOKEN_FILE", "BERTH_SLURM_REST"];

const CARRIED = {
  name: true,
  partition: true,
  account: true,
  qos: true,
  wckey: true,
  reservation: true,
  comment: true,
  nodesMin: true,
  nodesMax: true,
  tasks: true,
  tasksPerNode: true,
  cpusPerTask: true,
  memPerNodeMib: true,
  memPerCpuMib: true,
  constraint: true,
  licenses: true,
  timeLimitMinutes: true,
  timeMinMinutes: true,
  dependency: true,
  hold: true,
  priority: true,
  nice: true,
  // These are not the job's: they became the script, or say nothing to a batch job.
  container: true,
  containerId: true,
  immediateSeconds: true,
} as const satisfies Partial<Record<keyof JobOptions, true>>;

/** @throws BerthError NOT_SUPPORTED */
export function jobBody({
  request,
  batch,
  script,
  comment,
  version,
}: {
  readonly request: JobRequest;
  readonly batch: BatchRequest;
  readonly script: string;
  readonly comment: string | null;
  readonly version: number;
}): Json {
  const { options, submit } = request;
  refuseOthers(options, batch);
  const isNew = version >= NEW_FORM;
  const environment = Object.fromEntries(Object.entries(submit.environment).filter(([name]) => !NOT_FOR_JOBS.includes(name)));
  const said: Record<string, unknown> = {
    name: options.name ?? "sbatch",
    partition: options.partition,
    account: options.account,
    qos: options.qos,
    wckey: options.wckey,
    reservation: options.reservation,
    comment,
    nodes: nodesOf(options),
    tasks: options.tasks,
    tasks_per_node: options.tasksPerNode,
    cpus_per_task: options.cpusPerTask,
    memory_per_node: numberFor(options.memPerNodeMib, isNew),
    memory_per_cpu: numberFor(options.memPerCpuMib, isNew),
    constraints: options.constraint,
    licenses: options.licenses,
    time_limit: options.timeLimitMinutes === "unlimited" ? unlimited(isNew) : numberFor(options.timeLimitMinutes, isNew),
    time_minimum: numberFor(options.timeMinMinutes, isNew),
    dependency: options.dependency,
    hold: options.hold ? true : null,
    priority: priorityOf(options.priority, isNew),
    nice: options.nice,
    array: batch.array,
    standard_input: batch.input,
    standard_output: batch.output,
    standard_error: batch.error,
    open_mode: batch.openMode,
    current_working_directory: submit.workDir,
    environment: isNew ? Object.entries(environment).map(([name, value]) => `${name}=${value}`) : environment,
  };
  const job = Object.fromEntries(Object.entries(said).filter(([, value]) => value !== null));
  return { script, job };
}

/** A text in all versions: 22.05 takes the list that its description names, and forgets it. */
function nodesOf({ nodesMin, nodesMax }: JobOptions): string | null {
  if (nodesMin === null) return null;
  return nodesMax === null ? String(nodesMin) : `${nodesMin}-${nodesMax}`;
}

function numberFor(value: number | null, isNew: boolean): unknown {
  return value === null || !isNew ? value : { set: true, infinite: false, number: value };
}

/** A text to v0.0.38. */
function priorityOf(priority: JobOptions["priority"], isNew: boolean): unknown {
  if (priority === null || priority === "top") return null;
  return isNew ? numberFor(priority, isNew) : String(priority);
}

function unlimited(isNew: boolean): unknown {
  return isNew ? { set: true, infinite: true, number: 0 } : 0xffff_ffff;
}

function refuseOthers(options: JobOptions, batch: BatchRequest): void {
  const others = (Object.entries(options) as [keyof JobOptions, unknown][])
    .filter(
      ([name, value]) => !Object.hasOwn(CARRIED, name) && name !== "unused" && !(name === "requeue" && value === false) && isSaid(value),
    )
    .map(([name]) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`);
  others.push(...Object.keys(options.unused).map((name) => `--${name}`));
  // 22.05 takes "requeue": false and forgets it.
  if (options.requeue === false) others.push("--no-requeue");
  if (options.priority === "top") others.push("--priority=TOP");
  if (batch.args.length > 0) others.push("arguments of the script");
  if (others.length === 0) return;
  throw new BerthError("NOT_SUPPORTED", `Berth cannot send this through slurmrestd: ${others.join(", ")}`, {
    hint: "leave it out, or submit on a login host of the cluster",
  });
}

function isSaid(value: unknown): boolean {
  return value !== null && value !== false && !(Array.isArray(value) && value.length === 0);
}
