// Standard output that takes no more: said in a line, with what was to be printed, and never as a bug of ours.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Site } from "./site.ts";

let site: Site;
beforeAll(() => {
  site = new Site();
});
afterAll(() => site[Symbol.asyncDispose](), 60_000);

const FULL = "Cannot write the output: No space left on device\n";
const ROWS: readonly (readonly [line: string, stderr: string])[] = [
  ["squeue", `squeue: error: ${FULL}`],
  ["squeue -h -o x -t all", `squeue: error: ${FULL}squeue: it was to say: x\n`],
  ["sacct --json", `sacct: error: ${FULL}`],
  ["sbatch -H --wrap true", `sbatch: error: ${FULL}sbatch: it was to say: Submitted batch job 2\n`],
  ["srun echo hello", `srun: error: ${FULL}`],
  ["berth --help", `berth: error: ${FULL}`],
];

test("a full disk behind standard output", async () => {
  expect(await site.sbatch("#!/bin/sh\n", "-H")).toBe(1);
  for (const [line, stderr] of ROWS) {
    const outcome = await site.run(["/bin/sh", "-c", `exec ${line} >/dev/full`]);
    expect({ line, ...outcome }).toEqual({ line, status: 1, stdout: "", stderr });
  }
}, 60_000);

test("and behind standard error: nobody can be told, the exit status can", async () => {
  expect(await site.run(["/bin/sh", "-c", "exec squeue --nosuch 2>/dev/full"])).toEqual({ status: 1, stdout: "", stderr: "" });
}, 30_000);
