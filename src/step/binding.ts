/** Binds the next process that this thread starts to the CPUs of its task (job/cpu-binding.ts). */
import { cpusOfMask } from "#job/cpu-binding.ts";
import { readAffinity, setAffinity } from "#platform/libc.ts";
import type { TaskPlace } from "./task-place.ts";

export interface NextBinding {
  /** To be called when the process exists. */
  restore(): void;
  /** A line for `--cpu-bind=verbose`. */
  readonly report: ((pid: number) => string) | undefined;
}

/** Undefined when the task is not bound, and nothing is to be told of that. */
export function bindNext({ node, rank, localId }: TaskPlace): NextBinding | undefined {
  const { binding } = node;
  if (binding === undefined) return undefined;
  const mask = binding.masks?.[localId % Math.max(1, binding.masks.length)];
  const before = readAffinity();
  // A virtual node may have other CPUs than this host, and this host others than we may use.
  const isSet = mask !== undefined && setAffinity(cpusOfMask(mask).map((cpu) => before[cpu % before.length] ?? cpu));
  const outcome = mask === undefined ? "" : isSet ? " set" : " FAILED";
  const two = (value: number) => String(value).padStart(2);
  return {
    restore: () => void setAffinity(before),
    report: binding.isVerbose
      ? (pid) => `cpu-bind=${binding.label} - ${node.name}, task ${two(rank)} ${two(localId)} [${pid}]: mask 0x${mask ?? "0"}${outcome}`
      : undefined,
  };
}
