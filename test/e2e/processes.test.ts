// scontrol listpids, pidinfo and notify: which processes steps have, and words for whoever watches a job.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { isRunning, Site, until } from "./site.ts";

let site: Site;
beforeAll(() => {
  site = new Site({ conf: "NodeName=n[1-2] CPUs=4 RealMemory=4000\nPartitionName=debug Nodes=ALL Default=YES\nKillWait=2\n" });
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
});

const HEADER = "PID      JOBID    STEPID   LOCALID GLOBALID";

test("listpids and pidinfo name the processes of steps", async () => {
  const id = await site.sbatch("#!/bin/sh\nsrun -N2 -n2 sh -c 'echo up; sleep 1000' &\nwait\n", "-N2", "-n2", "-t", "10", "-o", "pids.out");
  await until("both tasks", () => site.read("pids.out") === "up\nup\n");
  const { stdout, status } = await site.run(["scontrol", "listpids", `${id}.0`]);
  expect(status).toBe(0);
  const [header, ...lines] = stdout.trimEnd().split("\n");
  expect(header).toBe(HEADER);
  const rows = lines.map((line) => line.trim().split(/ +/));
  // A shell and its sleep in each of two tasks, one on each node.
  expect(rows.map((cells) => cells.slice(1))).toEqual([
    [String(id), "0", "0", "0"],
    [String(id), "0", "0", "1"],
    [String(id), "0", "-", "-"],
    [String(id), "0", "-", "-"],
  ]);
  for (const [pid] of rows) expect(isRunning(Number(pid))).toBe(true);
  expect(Number(rows[0]?.[0])).toBe(await site.task(id, 0, 0));

  const second = await site.run(["scontrol", "listpids", `${id}.0`, "n2"]);
  expect(second.stdout.split("\n")[1]).toStartWith(String(await site.task(id, 0, 1)));
  const all = await site.run(["scontrol", "listpids"]);
  expect(all.stdout).toContain(` ${id}        batch    0       0`);

  const info = await site.run(["scontrol", "pidinfo", rows[2]?.[0] ?? ""]);
  expect(info.stdout).toMatch(new RegExp(`^Slurm job id ${id} ends at .*\nslurm_get_rem_time is \\d+\n$`));
  const nobody = await site.run(["scontrol", "pidinfo", "1"]);
  expect([nobody.status, nobody.stderr]).toEqual([1, "Failed to locate job for requested pid\n"]);
  await site.run(["scancel", String(id)]);
  const missing = await site.run(["scontrol", "listpids", "4242"]);
  expect(missing).toEqual({ status: 1, stdout: `${HEADER}\n`, stderr: "There are no steps for job 4242 on node (null).\n" });
});

test("notify reaches a batch job's error file, srun and salloc", async () => {
  const id = await site.sbatch("#!/bin/sh\necho up; sleep 1000\n", "-o", "told.out", "-e", "told.err");
  await site.written("told.out", "up");
  expect(await site.run(["scontrol", "notify", String(id), "hello", "world"])).toEqual({ status: 0, stdout: "", stderr: "" });
  await site.written("told.err", "slurmstepd: error: hello world\n");
  expect(site.read("told.out")).toBe("up\n");
  await site.run(["scancel", String(id)]);

  for (const command of ["srun", "salloc"] as const) {
    const started = site.start([command, "-n1", "-K", "sh", "-c", "echo $SLURM_JOB_ID; exec sleep 1000"]);
    const job = await until(`${command}'s job`, () => /^(\d+)\n/m.exec(started.stdoutSoFar)?.[1]);
    await site.run(["scontrol", "notify", job, `for ${command}`]);
    await until("the words", () => started.stderrSoFar.includes(`${command}: for ${command}\n`));
    await site.run(["scancel", job]);
    await started.outcome;
    await until("the end", async () => (await site.run(["squeue", "-h", "-t", "RUNNING,COMPLETING", "-j", job])).stdout === "");
    const late = await site.run(["scontrol", "notify", job, "late"]);
    expect([late.status, late.stderr]).toEqual([1, "job notify failure: Job/step already completing or completed\n"]);
  }
});
