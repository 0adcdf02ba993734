/** `srun --bcast`: the program is copied to where the tasks look for it, before they start (srun(1)). */
import { existsSync } from "node:fs";
import { BerthError } from "#job/errors.ts";
import type { StepRecord } from "#job/record.ts";
import type { Bcast } from "#job/request.ts";
import { bcastOf, bcastPath } from "#options/bcast.ts";
import type { SrunLine } from "#options/srun.ts";
import { absolutePath } from "#options/path.ts";
import { UsageError } from "#options/usage-error.ts";
import { copyLibraries, copyWhole } from "./bcast.ts";
import { errnoWords } from "./errno.ts";
import { complain, errorExit } from "./terminal.ts";

/** The same command line, with what is copied found here. @throws UsageError in Slurm's words */
export function withBcast(line: SrunLine, place: { readonly cwd: string; readonly destination: string }): SrunLine {
  const { cwd, destination } = place;
  const { sendLibs, exclude } = line.bcast;
  const [name = ""] = line.step.command;
  if (line.job.container !== null) {
    throw new BerthError("NOT_SUPPORTED", "--bcast copies a program of the host: a container has its own", { hint: "leave --bcast away" });
  }
  const source = name.includes("/") ? absolutePath(cwd, name) : Bun.which(name, { PATH: process.env["PATH"] ?? "", cwd });
  if (source === null || !existsSync(source)) throw new UsageError([`srun: fatal: Can not execute ${name}`], errorExit());
  return { ...line, step: { ...line.step, bcastCopy: bcastOf({ source, destination, sendLibs, exclude, cwd }) } };
}

/** @throws BerthError SCRIPT_FAILED: the step is not to start */
export async function sendProgram({ source, destination, sendLibs, exclude }: Bcast, step: StepRecord): Promise<void> {
  const [node = ""] = step.nodes;
  const path = bcastPath(destination, { jobId: step.jobId, stepKey: step.stepKey, node });
  const how = { force: true, preserve: true };
  try {
    await copyWhole(source, path, how);
    if (sendLibs) await copyLibraries(source, path, { ...how, exclude });
  } catch (error) {
    complain(`srun: error: REQUEST_FILE_BCAST(${node}): ${errnoWords(error)}`);
    throw new BerthError("SCRIPT_FAILED", `Failed to broadcast '${source}'. Step launch aborted.`);
  }
}
