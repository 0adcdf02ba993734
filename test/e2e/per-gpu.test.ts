// --cpus-per-gpu and --mem-per-gpu: CPUs and memory follow from the GPUs that a job gets.
import { expect, test } from "bun:test";
import { Site } from "./site.ts";

test("CPUs and memory for each GPU", async () => {
  await using site = new Site({
    conf: "GresTypes=gpu\nNodeName=n[1-2] CPUs=8 RealMemory=4000 Gres=gpu:4\nPartitionName=debug Nodes=ALL Default=YES\n",
  });
  const got = async (...options: readonly string[]) => {
    const { stdout, stderr } = await site.run(["srun", ...options, "sh", "-c", "squeue -h -j $SLURM_JOB_ID -O numcpus:4,minmemory:10"]);
    return [stdout.trim().split(/ +/)[0], stdout.trim().split(/ +/)[1], stderr];
  };
  expect(await got("--gpus=2", "--cpus-per-gpu=3", "--mem-per-gpu=100")).toEqual(["6", "200M", ""]);
  expect(await got("--gpus-per-node=1", "-N2", "-n2", "--cpus-per-gpu=2", "--mem-per-gpu=50").then((words) => words[0])).toBe("4");
  // What is said of tasks and nodes counts, as in Slurm, and without GPUs there is nothing to multiply.
  expect(await got("--mem-per-gpu=100", "--cpus-per-gpu=2")).toEqual(["1", "0", ""]);
  const many = await site.run(["srun", "--gpus=4", "--mem-per-gpu=2000", "true"]);
  expect([many.status, many.stderr]).toEqual([1, expect.stringContaining("Memory specification can not be satisfied")]);
});
