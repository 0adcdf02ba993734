/** The way to a step's containers (step-container.ts). */
import { resolve } from "node:path";
import { readBundle } from "./bundle.ts";
import { readOciConf } from "./oci-conf.ts";
import { OpenedStep } from "./opened-step.ts";
import { chooseRuntime } from "./runtime-choice.ts";
import type { ContainerStep, StepContainer } from "./step-container.ts";
import { findDevices } from "./step-devices.ts";

/**
 * Reads oci.conf and bundle, or finds a runtime that works here, and makes the step's spool directory.
 * @param options.isToFinish no task will be prepared: the bundle, which may have gone, is not needed
 * @throws BerthError BUNDLE_MISSING, BUNDLE_CONFIG, OCI_CONF_*, RUNTIME_MISSING, RUNTIME_REFUSED, SPOOL
 */
export async function openStepContainer(
  step: ContainerStep,
  { signal, isToFinish = false }: { readonly signal: AbortSignal; readonly isToFinish?: boolean },
): Promise<StepContainer> {
  const conf = step.confFile === null ? undefined : await readOciConf(step.confFile);
  const needsBundle = conf?.ignoreFileConfigJson !== true && !isToFinish;
  // An empty name is a bundle too, and one that does not exist.
  const bundle = !needsBundle ? undefined : readBundle(step.bundle === "" ? "" : resolve(step.workDir, step.bundle));
  const runtime = conf === undefined ? await chooseRuntime(step.stateDir, { signal }) : undefined;
  signal.throwIfAborted();
  return new OpenedStep(step, { conf, bundle, runtime, cdi: bundle === undefined ? null : findDevices(step) });
}
