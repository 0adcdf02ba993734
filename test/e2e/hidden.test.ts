// Hidden partitions: who is shown them, against what Slurm 22.05 answered its own user and another one.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { isRoot, Site } from "./site.ts";

let site: Site;
let jobId: number;
beforeAll(async () => {
  site = new Site({ conf: "NodeName=n1 CPUs=2\nPartitionName=debug Default=YES\nPartitionName=secret Hidden=YES\n" });
  jobId = await site.sbatch("#!/bin/sh\n", "-H", "-p", "secret");
});
afterAll(() => site[Symbol.asyncDispose](), 60_000);

const ALL = "debug*\nsecret\n";
const ROWS: readonly (readonly [line: string, stdout: string, toRoot?: string])[] = [
  ["sinfo -h -o %P", "debug*\n", ALL],
  ["sinfo -h -o %P -a", ALL],
  ["sinfo -h -o %P -p secret", "secret\n"],
  ["squeue -h -o %i", "", "JOB\n"],
  ["squeue -h -o %i --me", "", "JOB\n"],
  ["squeue -h -o %i --hide", "", "JOB\n"],
  ["squeue -h -o %i -a", "JOB\n"],
  ["squeue -h -o %i -p secret", "JOB\n"],
  ["squeue -h -o %i -j JOB,JOB", "JOB\n"],
  ["sacct -nX -P -o jobid", "JOB\n"],
];

test.each(ROWS)("%s", async (line, stdout, toRoot = stdout) => {
  const words = line.replaceAll("JOB", String(jobId)).split(" ") as [string];
  const wanted = (isRoot ? toRoot : stdout).replaceAll("JOB", String(jobId));
  expect(await site.run(words)).toEqual({ status: 0, stdout: wanted, stderr: "" });
});

test("SQUEUE_ALL", async () => {
  expect((await site.run(["squeue", "-h", "-o", "%i"], { env: { SQUEUE_ALL: "1" } })).stdout).toBe(`${jobId}\n`);
});

test("scontrol", async () => {
  const shown = async (...words: string[]) => (await site.run(["scontrol", "-o", ...words])).stdout.match(/^(PartitionName|JobId)=\w+/gm);
  const [partition, job] = ["PartitionName=secret", `JobId=${jobId}`];
  expect(await shown("show", "partition")).toEqual(isRoot ? ["PartitionName=debug", partition] : ["PartitionName=debug"]);
  expect(await shown("-a", "show", "partition", "secret")).toEqual([partition]);
  expect(await shown("show", "job")).toEqual(isRoot ? [job] : null);
  expect(await shown("show", "job", String(jobId))).toEqual([job]);
  const named = await site.run(["scontrol", "show", "partition", "secret"]);
  expect(named.status).toBe(isRoot ? 0 : 1);
  expect(named.stdout).toContain(isRoot ? "Hidden=YES" : "Partition secret not found");
});
