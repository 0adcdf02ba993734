/** Which of a job's devices a step gets on each node (srun(1), --gres, --gpus…). Pure. */
import { slurmError } from "#job/errors.ts";
import { gpusByTask, type GpuBind } from "#job/gpu-binding.ts";
import { parseGres } from "#options/gres.ts";
import type { NodeShare } from "#job/record.ts";
import type { StepResources } from "../engine.ts";
import { countIn, sumOf, takeFrom, times, type Counts } from "./gres-pools.ts";
import { gpuWish } from "./gres-wishes.ts";

export type Devices = Readonly<Record<string, readonly number[]>>;

export interface StepGresPlace {
  readonly share: NodeShare;
  readonly tasks: number;
  /** Devices that other steps hold here, by pool. */
  readonly busy: Devices;
}

/** Nothing was said of devices: the step sees all of the job's, and keeps none from others. */
export function asksForDevices(resources: StepResources): boolean {
  const { gres, gpus, gpusPerNode, gpusPerTask, tasksPerGpu } = resources;
  return gres !== null || gpus !== null || gpusPerNode !== null || gpusPerTask !== null || tasksPerGpu !== null;
}

/** By node, in order. Undefined: other steps hold too many now. @throws BerthError INVALID_GRES: the job has not so many */
export function chooseDevices(resources: StepResources, places: readonly StepGresPlace[]): Devices[] | undefined {
  const perJob = ofJob(resources, places);
  const found: Devices[] = [];
  const left: Record<string, number> = { ...perJob };
  for (const [index, { share, tasks, busy }] of places.entries()) {
    const counts = mapCounts(share.gres, (ids) => ids.length);
    const free = Object.fromEntries(
      Object.entries(share.gres).map(([pool, ids]) => [pool, ids.filter((id) => busy[pool]?.includes(id) !== true)]),
    );
    const parts: Record<string, number> = {};
    for (const [name, total] of Object.entries(left)) {
      const nodesAfter = places.length - index - 1;
      parts[name] = Math.max(0, Math.min(countIn(counts, name), total - Math.min(nodesAfter, total)));
      left[name] = total - parts[name];
    }
    const wish = sumOf(ofNode(resources), times(gpuWish(resources.gpusPerTask), tasks), parts);
    if (takeFrom(counts, wish) === undefined) throw tooMany(wish, counts);
    const taken = takeFrom(
      mapCounts(free, (ids) => ids.length),
      wish,
    );
    if (taken === undefined) return undefined;
    found.push(Object.fromEntries(Object.entries(taken).map(([pool, count]) => [pool, (free[pool] ?? []).slice(0, count)])));
  }
  const missing = Object.values(left).some((count) => count > 0);
  if (missing) throw tooMany(perJob, sumOf(...places.map(({ share }) => mapCounts(share.gres, (ids) => ids.length))));
  return found;
}

function tooMany(wish: Counts, has: Counts): Error {
  const text = (counts: Counts) =>
    Object.entries(counts)
      .map(([name, count]) => `${name}:${count}`)
      .join(",");
  return slurmError("INVALID_GRES", {
    before: [`error: Step requested gres_per_node=${text(wish)} is more than the job's gres_per_node=${text(has) || "(null)"}`],
  });
}

function ofNode({ gres, gpusPerNode }: StepResources): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { name, type, count } of parseGres(gres ?? "none") ?? []) counts[type === null ? name : `${name}:${type}`] = count;
  return { ...counts, ...gpuWish(gpusPerNode) };
}

function ofJob({ gpus, gpusPerTask, tasksPerGpu }: StepResources, places: readonly StepGresPlace[]): Record<string, number> {
  if (gpusPerTask !== null) return {};
  if (gpus !== null || tasksPerGpu === null) return gpuWish(gpus);
  return { gpu: Math.ceil(places.reduce((sum, { tasks }) => sum + tasks, 0) / tasksPerGpu) };
}

function mapCounts<T>(record: Readonly<Record<string, T>>, count: (value: T) => number): Record<string, number> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, count(value)]));
}

/** By place of the task; null: each sees all. */
export function bindGpus(
  { gpuBinding, gpusPerTask, tasksPerGpu }: StepResources,
  gpus: readonly number[],
  tasks: number,
): readonly (readonly number[])[] | null {
  const perTask = Object.values(gpuWish(gpusPerTask)).reduce((sum, count) => sum + count, 0);
  const bind: GpuBind | null =
    gpuBinding ??
    (perTask > 0 ? { kind: "per_task", gpus: perTask } : tasksPerGpu !== null ? { kind: "single", tasks: tasksPerGpu } : null);
  return bind === null ? null : gpusByTask(bind, gpus, tasks);
}
