/**
 * sbcast (commands.md §12). All nodes of the embedded engine are this machine, so that a file is on all of them once it
 * is copied. On a real cluster that is not enough, and Slurm's own sbcast does it.
 */
import { stat } from "node:fs/promises";
import { constants } from "node:os";
import { BerthError, slurmError } from "#job/errors.ts";
import { absolutePath } from "#options/path.ts";
import { parseSbcast } from "#options/sbcast.ts";
import { copyLibraries, copyWhole } from "./bcast.ts";
import { openEngine } from "./engine.ts";
import { errnoWords } from "./errno.ts";
import { informationAction } from "./information.ts";
import { targetText } from "./job-filter.ts";
import { UNTIL_ENDED } from "./query.ts";
import { complain, printError } from "./terminal.ts";

export async function sbcast(argv: readonly string[]): Promise<number> {
  const line = parseSbcast(argv, process.env);
  const status = await informationAction("sbcast", line.action);
  if (status !== undefined) return status;
  const { source, destination, target } = line;
  if (source === null || destination === null || target === null) throw new Error("parseSbcast lets none of them be missing");
  try {
    if ((await stat(source)).isDirectory()) {
      complain(`sbcast: error: Can't mmap file \`${source}\`, No such device.`);
      return 255;
    }
  } catch (error) {
    complain(`sbcast: error: Can't open \`${source}\`: ${errnoWords(error)}`);
    return 255;
  }
  await using engine = await openEngine();
  let node: string;
  let path: string;
  try {
    if (engine.name !== "embedded") throw slurmError("NOT_SUPPORTED", { hint: "use the cluster's own sbcast" });
    const { job } = await engine.findAllocation(target.jobId, UNTIL_ENDED);
    node = job.nodes[0] ?? "";
    path = absolutePath(job.workDir, destination);
  } catch (error) {
    return printError("sbcast", error, {
      failed: error instanceof BerthError ? `Slurm job ID ${targetText(target)} lookup error: ` : "",
      exitStatus: 1,
    });
  }
  try {
    if (await isDirectory(path)) {
      complain("sbcast: error: Target filename cannot be a directory.");
      return 1;
    }
    await copyWhole(source, path, line);
    if (line.sendLibs) await copyLibraries(source, path, line);
    return 0;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    complain(`sbcast: error: REQUEST_FILE_BCAST(${node}): ${code === "EEXIST" ? "File exists" : errnoWords(error)}`);
    return (constants.errno as Readonly<Record<string, number>>)[code] ?? 1;
  }
}

async function isDirectory(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
