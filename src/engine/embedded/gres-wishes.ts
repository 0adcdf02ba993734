/** Generic resources that a job's options come to: counts by name, or by name and type (`gpu:a100`). */
import type { JobOptions } from "#job/request.ts";
import { parseGpus, parseGres } from "#options/gres.ts";

export type GresWish = Record<string, number>;

/** @param text of --gpus and its kin: `2`, `a100:1,v100:1` */
export function gpuWish(text: string | null): GresWish {
  const counts: GresWish = {};
  for (const { name, type, count } of text === null ? [] : (parseGpus(text) ?? [])) addWish(counts, name, type, count);
  return counts;
}

function addWish(counts: GresWish, name: string, type: string | null, count: number): void {
  const key = type === null ? name : `${name}:${type}`;
  counts[key] = Math.max(counts[key] ?? 0, count);
}

export function gresPerNode(options: Pick<JobOptions, "gres" | "gpusPerNode" | "gpusPerSocket">): GresWish {
  const counts: GresWish = {};
  for (const { name, type, count } of parseGres(options.gres ?? "none") ?? []) addWish(counts, name, type, count);
  for (const text of [options.gpusPerNode, options.gpusPerSocket])
    for (const [name, count] of Object.entries(gpuWish(text))) counts[name] = Math.max(counts[name] ?? 0, count);
  return counts;
}

/** --gpus, and what --ntasks-per-gpu comes to. */
export function gresPerJob(options: Pick<JobOptions, "gpus" | "tasksPerGpu" | "tasks">): GresWish {
  const { gpus, tasksPerGpu, tasks } = options;
  if (gpus === null && tasksPerGpu !== null) return { gpu: Math.max(1, Math.ceil((tasks ?? 1) / tasksPerGpu)) };
  return gpuWish(gpus);
}

/** Of any type. */
export function gpusIn(wish: GresWish): number {
  return Object.entries(wish).reduce((sum, [name, count]) => (name.split(":")[0] === "gpu" ? sum + count : sum), 0);
}

export function gresText(options: JobOptions): string | null {
  const counts = Object.entries(gresPerNode({ ...options, gpusPerSocket: null }));
  return counts.length === 0 ? null : counts.map(([name, count]) => `${name}:${count}`).join(",");
}
