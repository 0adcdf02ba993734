/** How the tasks of one step find each other: what the step daemon does for `--mpi=TYPE`. */
import type { StepFacts } from "#job/environment.ts";
import { isOrted, OrtedStep } from "./orted.ts";

import type { MpiOptions, MpiStep } from "./mpi-step.ts";

/** Null for a step without MPI. @throws BerthError when it cannot be served */
export async function openMpiStep(facts: StepFacts, options: MpiOptions): Promise<MpiStep | null> {
  switch (facts.mpi) {
    case "pmi2":
      return new (await import("./pmi/pmi-step.ts")).PmiStep(facts, options);
    case "pmix":
    case "pmix_v4":
      return await (await import("./pmix-step.ts")).PmixStep.open(facts, options);
    default:
      return isOrted(options.command, facts) ? new OrtedStep(facts, options) : null;
  }
}
