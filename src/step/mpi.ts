/** How the tasks of one step find each other: what the step daemon does for `--mpi=TYPE`. */
import type { StepFacts } from "#job/environment.ts";
import { isOrted, OrtedStep } from "./orted.ts";

export interface MpiTask {
  /** On top of everything else, also inside a container. */
  readonly environment: Readonly<Record<string, string>>;
  /** The task finds it as descriptor 3; null: there is none. */
  readonly fd: number | null;
  /** The task has its copy of `fd`, or never will. */
  spawned(): void;
}

export interface MpiStep extends AsyncDisposable {
  /** Called once for each task, right before it is started. */
  openTask(rank: number): Promise<MpiTask>;
  /** Its process has been reaped. */
  taskEnded?(rank: number): Promise<void>;
}

export interface MpiOptions {
  readonly command: readonly string[];
  readonly isContainer: boolean;
  readonly spoolDir: string;
  /** The program wants the whole step killed. */
  readonly onAbort: () => void;
}

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
