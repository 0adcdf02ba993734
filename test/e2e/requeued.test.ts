// sacct -D: the earlier runs of jobs that were requeued, as Slurm 22.05 with slurmdbd shows them.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { join } from "node:path";
import { Site, until } from "./site.ts";

let site: Site;
beforeAll(() => {
  site = new Site();
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
});

const sacct = async (jobId: number, ...options: readonly string[]) => {
  const { stdout } = await site.run(["sacct", "-n", "-P", "-j", String(jobId), "-o", "jobid,state,exitcode", ...options]);
  return stdout.trimEnd().split("\n");
};
const ended = (jobId: number) => until("the job's end", async () => (await site.run(["squeue", "-h", "-j", String(jobId)])).stdout === "");

test("each run has a record with its own steps", async () => {
  const id = await site.sbatch(
    '#!/bin/sh\nsrun true\necho run$SLURM_RESTART_COUNT\n[ -n "$SLURM_RESTART_COUNT" ] || exec sleep 1000\nexit $SLURM_RESTART_COUNT\n',
    "--requeue",
    "--open-mode=append",
    "-o",
    "runs.out",
  );
  await site.written("runs.out", "run\n");
  await site.run(["scontrol", "requeue", String(id)]);
  // Waiting again: the run before is there already, also for the next controller.
  await until("the earlier run", async () => (await sacct(id, "-D", "-X"))[0] === `${id}|REQUEUED|0:0`);
  await site.killController();
  await site.run(["scontrol", "update", `JobId=${id}`, "StartTime=now"]);
  await site.written("runs.out", "run1\n");
  await ended(id);
  const first = [`${id}|REQUEUED|0:0`, `${id}.batch|CANCELLED|0:15`, `${id}.0|COMPLETED|0:0`];
  const second = [`${id}|FAILED|1:0`, `${id}.batch|FAILED|1:0`, `${id}.0|COMPLETED|0:0`];
  expect(await sacct(id)).toEqual(second);
  expect(await sacct(id, "-D")).toEqual([...first, ...second]);

  // Requeued after it had ended: it keeps its exit code.
  await site.run(["scontrol", "requeue", String(id)]);
  await site.run(["scontrol", "update", `JobId=${id}`, "StartTime=now"]);
  await site.written("runs.out", "run2\n");
  await ended(id);
  expect(await sacct(id, "--duplicates", "-X")).toEqual([`${id}|REQUEUED|0:0`, `${id}|REQUEUED|1:0`, `${id}|FAILED|2:0`]);
  expect(await sacct(id, "-X", "-D", "-s", "RQ", "-S", "now-1hour", "-E", "now")).toEqual([`${id}|REQUEUED|0:0`, `${id}|REQUEUED|1:0`]);
  expect(await sacct(id, "-X", "-s", "RQ", "-S", "now-1hour", "-E", "now")).toEqual([""]);
});

test("a run whose node was set down is a node failure", async () => {
  const id = await site.sbatch(
    "#!/bin/sh\necho run$SLURM_RESTART_COUNT\nexec sleep 1000\n",
    "--requeue",
    "--open-mode=append",
    "-o",
    "down.out",
  );
  await site.written("down.out", "run\n");
  const { stdout } = await site.run(["squeue", "-h", "-j", String(id), "-o", "%N"]);
  await site.run(["scontrol", "update", `NodeName=${stdout.trim()}`, "State=DOWN", "Reason=test"]);
  await until("the earlier run", async () => (await sacct(id, "-D", "-X"))[0] === `${id}|NODE_FAIL|0:0`);
  await site.run(["scontrol", "update", `NodeName=${stdout.trim()}`, "State=RESUME"]);
  await site.run(["scancel", String(id)]);
  await ended(id);
});

test("a database of the version before is taken over", async () => {
  const id = await site.sbatch("#!/bin/sh\nexit 3\n", "-o", "/dev/null");
  await ended(id);
  await site.run(["berth", "daemon", "stop"]);
  {
    using database = new Database(join(site.stateDir, "berth.db"));
    database.run("DROP TABLE earlier_runs");
    database.run("PRAGMA user_version = 1");
  }
  expect(await sacct(id, "-X", "-D")).toEqual([`${id}|FAILED|3:0`]);
});
