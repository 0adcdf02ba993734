/**
 * SrunProlog and SrunEpilog, and srun's options of those names: programs that srun itself runs, here, before a step's tasks
 * start and after they have ended. Their arguments are the step's command (slurm.conf(5), SrunProlog).
 *
 * A prolog that fails ends the step before any task has started. 22.05 lets the two race, so that tasks may run and be
 * killed; nobody can want that.
 */
import { accessSync, constants } from "node:fs";
import type { AllocationInfo } from "#engine/engine.ts";
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import type { StepRecord } from "#job/record.ts";
import type { StepOptions } from "#job/request.ts";
import { stepNumber } from "#job/id.ts";
import { absolutePath } from "#options/path.ts";
import { spawnForeground } from "#platform/spawn.ts";
import { environment } from "./context.ts";
import { errnoWords } from "./errno.ts";
import { complain } from "./terminal.ts";

export interface ScriptPlace {
  readonly info: AllocationInfo;
  readonly step: StepOptions;
  readonly record: StepRecord;
}

/** @throws BerthError SCRIPT_FAILED */
export async function runSrunProlog(path: string, place: ScriptPlace): Promise<void> {
  const code = await run(path, place, "prolog_srun");
  if (code !== 0) throw new BerthError("SCRIPT_FAILED", `srun prolog failed rc = ${code}. Aborting step.`);
}

export async function runSrunEpilog(path: string, place: ScriptPlace): Promise<void> {
  const code = await run(path, place, "epilog_srun");
  if (code !== 0) complain(`srun: error: srun epilog failed status=${code}`);
}

/** One that may not be executed is told, and counts as done. */
async function run(path: string, { info, step, record }: ScriptPlace, context: string): Promise<number> {
  const program = absolutePath(process.cwd(), path);
  try {
    accessSync(program, constants.X_OK);
  } catch (error) {
    complain(`srun: Access denied for ${path}: ${errnoWords(error)}`);
    return 0;
  }
  const number = String(stepNumber(record.stepKey));
  const variables = { ...info.environment, SLURM_STEPID: number, SLURM_STEP_ID: number, SLURM_SCRIPT_CONTEXT: context };
  const status = await spawnForeground([program, ...step.command], { ...environment(), ...variables }).exited;
  if (status.kind === "exited") return shellCode(status);
  complain("srun: error: script did not exit normally");
  return 1;
}
