// Commands in a working directory that somebody has deleted, against what Slurm 22.05 answered there.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Site } from "./site.ts";

let site: Site;
beforeAll(() => {
  site = new Site();
});
afterAll(async () => {
  expect(site.complaints()).toEqual([]);
  await site[Symbol.asyncDispose]();
}, 60_000);

const NO_DIRECTORY = "error: getcwd failed: No such file or directory";
const refused = (name: string) => `${name}: ${NO_DIRECTORY}\n${name}: the working directory has been deleted: cd to another one\n`;

// The executable that scripts/build makes for other processors has Bun's own message.
test.skipIf(process.arch !== "x64").each([
  ["srun true", 255, "", refused("srun")],
  ["srun -D /tmp true", 255, "", refused("srun")],
  ["sbatch --wrap true", 255, "", refused("sbatch")],
  ["berth sbatch --wrap true", 255, "", refused("sbatch")],
  ["squeue -h", 0, "", ""],
  ["sinfo -h -o %P", 0, "debug*\n", ""],
  ["scancel --me", 0, "", ""],
  ["scontrol ping", 0, "is UP\n", ""],
  ["salloc -Q echo ran", 0, "ran\n", `salloc: ${NO_DIRECTORY}\n`],
] as const)("%s", async (line, status, stdout, stderr) => {
  const gone = `mkdir gone && cd gone && rmdir ../gone && exec ${line}`;
  const found = await site.run(["/bin/sh", "-c", gone]);
  expect({ ...found, stdout: found.stdout.replace(/^Slurmctld.* (?=is UP)/, "") }).toEqual({ status, stdout, stderr });
});
