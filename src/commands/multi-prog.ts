/** `srun --multi-prog`: reads the file of programs, and with it how many tasks there are. */
import { readFileSync } from "node:fs";
import { parseMultiProg } from "#options/multi-prog.ts";
import type { SrunLine } from "#options/srun.ts";
import { UsageError } from "#options/usage-error.ts";
import { errorExit } from "./terminal.ts";

/** The same command line with a program for each task. @throws UsageError in Slurm's words */
export function withPrograms(line: SrunLine): SrunLine {
  const [file = "", ...extraArgs] = line.step.command;
  const { tasks, commands } = parseMultiProg(readProgramFile(file), { file, tasks: line.job.tasks, extraArgs, errorExit: errorExit() });
  return {
    ...line,
    job: { ...line.job, tasks },
    resources: { ...line.resources, tasks },
    step: { ...line.step, taskCommands: commands },
  };
}

function readProgramFile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const isUnreadable = (error as NodeJS.ErrnoException).code === "EISDIR";
    const what = isUnreadable ? "Error reading" : "Could not open";
    throw new UsageError([`srun: error: ${what} multi_prog config file ${file}`], errorExit());
  }
}
