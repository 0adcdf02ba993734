/** Which of a node's GPUs each task sees (srun(1), --gpu-bind, --gpus-per-task, --ntasks-per-gpu). Pure. */
export type GpuBind =
  | { readonly kind: "closest" }
  /** The variables are left out: every task sees what the step has. */
  | { readonly kind: "none" }
  /** So many tasks share one GPU. */
  | { readonly kind: "single"; readonly tasks: number }
  | { readonly kind: "per_task"; readonly gpus: number }
  | { readonly kind: "map_gpu"; readonly list: readonly number[] }
  /** Hexadecimal. */
  | { readonly kind: "mask_gpu"; readonly list: readonly string[] };

/** By place of the task on the node. Numbers of a list count the step's own GPUs from 0. */
export function gpusByTask(bind: GpuBind, gpus: readonly number[], tasks: number): readonly (readonly number[])[] {
  const at = (index: number) => gpus[index % Math.max(1, gpus.length)];
  const known = (indices: readonly number[]) => [...new Set(indices)].flatMap((index) => at(index) ?? []).sort((a, b) => a - b);
  const seenBy = (task: number): readonly number[] => {
    switch (bind.kind) {
      case "closest":
        return gpus;
      case "none":
        return [];
      case "single":
        return known([Math.floor(task / bind.tasks)]);
      case "per_task":
        return known(Array.from({ length: bind.gpus }, (_unused, i) => task * bind.gpus + i));
      case "map_gpu":
        return known([bind.list[task % bind.list.length] ?? 0]);
      case "mask_gpu": {
        const mask = BigInt(`0x${bind.list[task % bind.list.length] ?? "0"}`);
        return gpus.filter((_gpu, index) => (mask >> BigInt(index)) & 1n);
      }
    }
  };
  return Array.from({ length: tasks }, (_, task) => seenBy(task));
}
