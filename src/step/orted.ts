/**
 * Open MPI's own daemons, which its mpirun starts by srun, one on each node. The ranks of two nodes name their shared
 * memory alike, by host name and rank on the node; virtual nodes are one host, so each gets a directory of its own.
 */
import { mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import type { StepFacts } from "#job/environment.ts";
import type { MpiStep, MpiTask } from "./mpi-step.ts";

const DIRECTORY = "OMPI_MCA_btl_vader_backing_directory";

export function isOrted(command: readonly string[], facts: StepFacts): boolean {
  return facts.nodes.length > 1 && basename(command[0] ?? "") === "orted";
}

export class OrtedStep implements MpiStep {
  readonly #facts: StepFacts;
  readonly #spoolDir: string;

  constructor(facts: StepFacts, options: { readonly spoolDir: string }) {
    this.#facts = facts;
    this.#spoolDir = options.spoolDir;
  }

  async openTask(rank: number): Promise<MpiTask> {
    const node = this.#facts.nodes.findIndex(({ ranks }) => ranks.includes(rank));
    const dir = join(this.#spoolDir, `node-${node}`);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    return { environment: { [DIRECTORY]: dir }, fd: null, spawned: () => undefined };
  }

  /** The directories go with the step's spool. */
  async [Symbol.asyncDispose](): Promise<void> {}
}
