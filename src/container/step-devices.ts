/** A step's generic resources as its containers see them: CDI's edits, and variables that count from 0. */
import { cdiDirs, CdiRegistry, joinEdits } from "./cdi.ts";
import type { ContainerEdits } from "./cdi-spec.ts";
import { mergeEnvironment, type Environment } from "./environment.ts";
import type { ContainerStep } from "./step-container.ts";

export interface StepDevices {
  readonly edits: ContainerEdits;
  readonly hasGpus: boolean;
}

/** Null when the step has no devices, or nobody says what they need. @throws BerthError CDI_SPEC, CDI_DEVICE */
export function findDevices({ gres = {}, cdiDirs: dirs = cdiDirs() }: ContainerStep): StepDevices | null {
  const wanted = Object.entries(gres).filter(([, ids]) => ids.length > 0);
  if (wanted.length === 0) return null;
  const registry = new CdiRegistry(dirs);
  const found = wanted.flatMap(([name, ids]) => {
    const edits = registry.editsFor(name, ids);
    return edits === undefined ? [] : [{ edits, hasGpus: /^gpu(:|$)/.test(name) }];
  });
  return found.length === 0 ? null : { edits: joinEdits(found.map(({ edits }) => edits)), hasGpus: found.some(({ hasGpus }) => hasGpus) };
}

/**
 * CDI's variables win over the image's, as they replace them (NVIDIA_VISIBLE_DEVICES=void keeps NVIDIA's runtime from adding
 * devices again). The container has only its own GPUs, and CUDA and ROCm count what they see: from 0.
 */
export function deviceEnvironment(env: Environment, { edits, hasGpus }: StepDevices): Record<string, string> {
  const result = mergeEnvironment(env, edits.env);
  for (const name of hasGpus ? ["CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"] : []) {
    const list = result[name];
    if (list !== undefined && /^[0-9]+(,[0-9]+)*$/.test(list))
      result[name] = list
        .split(",")
        .map((_id, index) => index)
        .join(",");
  }
  return result;
}
