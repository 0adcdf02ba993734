// Tools that Debian has, unmodified, on the embedded engine: Toil (a leader that submits, polls squeue and sacct, and kills
// by scancel), R's batchtools (job arrays of a template) and ClusterShell (node groups out of sinfo and squeue).
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync, existsSync } from "node:fs";
import { join } from "node:path";
import { havePeers } from "../peers.ts";
import { type Outcome, until } from "../e2e/site.ts";
import { Place } from "./place.ts";

const LIMIT_MS = 110_000;

let place: Place;
beforeAll(() => {
  place = new Place();
});
afterAll(async () => {
  expect(place.complaints()).toEqual([]);
  await place[Symbol.asyncDispose]();
}, 60_000);

const TOIL_WORKFLOW = `
import os
from toil.common import Toil
from toil.job import Job

def square(job, n):
    return n * n, os.environ["SLURM_CPUS_PER_TASK"], os.environ["SLURM_JOB_NAME"]

def fail(job):
    raise RuntimeError("this job is meant to fail")

def root(job, failing):
    if failing:
        job.addChildJobFn(fail, memory="50M", cores=1, disk="10M")
    return [job.addChildJobFn(square, n, memory="50M", cores=1 + n, disk="10M").rv() for n in range(2)]

if __name__ == "__main__":
    parser = Job.Runner.getDefaultArgumentParser()
    parser.add_argument("--failing", action="store_true")
    options = parser.parse_args()
    with Toil(options) as toil:
        print("RESULT", sorted(toil.start(Job.wrapJobFn(root, options.failing, memory="50M", cores=1, disk="10M"))))
`;

// Half a minute of the machine, so only where somebody has installed it.
describe.skipIf(Bun.which("toil", { PATH: "/usr/bin" }) === null)("Toil", () => {
  let good: Promise<Outcome>;
  let failing: Promise<Outcome>;
  beforeAll(async () => {
    const cwd = place.workflow("toil", { "workflow.py": TOIL_WORKFLOW });
    const run = (store: string, ...more: string[]) =>
      place.run(
        ["/usr/bin/python3", "workflow.py", "--batchSystem", "slurm", "--disableCaching", "--statePollingWait", "1"].concat([
          "--retryCount",
          "0",
          "--logInfo",
          `file:${cwd}/${store}`,
          ...more,
        ]) as [string, ...string[]],
        { cwd, env: { ...place.toolEnv, TOIL_SLURM_ARGS: "--time=0:05:00 --partition=debug" }, timeoutMs: LIMIT_MS },
      );
    good = run("good");
    failing = run("failing", "--failing");
    await Promise.allSettled([good, failing]);
  }, 2 * LIMIT_MS);

  test("a workflow of parent and children returns their results", async () => {
    const { status, stdout, stderr } = await good;
    expect(stderr).toContain("Finished toil run successfully");
    expect(stdout).toContain("RESULT [(0, '1', 'toil_job_");
    expect(stdout).toContain("(1, '2', 'toil_job_");
    expect(status).toBe(0);
  });

  test("a job that fails fails the workflow, with the exit code that sacct has", async () => {
    const { status, stderr } = await failing;
    expect(stderr).toContain("this job is meant to fail");
    expect(stderr).toMatch(/exit value: 1|exit status: 1|with exit code 1|Failed jobs/i);
    expect(status).not.toBe(0);
    expect((await place.output("sacct -nPX -o JobName,State,ExitCode,Timelimit,ReqMem")).split("\n")).toContainEqual(
      expect.stringMatching(/^toil_job_\d_\w+\|FAILED\|1:0\|00:05:00\|48M$/),
    );
  });
});

const BATCHTOOLS = `
library(batchtools)
reg = makeRegistry(file.dir = "registry", conf.file = NA, seed = 1)
reg$cluster.functions = makeClusterFunctionsSlurm("slurm-simple", scheduler.latency = 0.2, fs.latency = 20)
work = function(x) {
  if (x == 3) stop("three is refused")
  if (x == 4) Sys.sleep(600)
  c(x * x, as.integer(Sys.getenv("SLURM_ARRAY_TASK_ID")), as.integer(Sys.getenv("SLURM_CPUS_PER_TASK")))
}
batchMap(work, x = 1:4)
ids = findJobs(); ids$chunk = 1
submitJobs(ids, resources = list(walltime = 300, memory = 100, ncpus = 1, chunks.as.arrayjobs = TRUE, partition = "debug"))
deadline = Sys.time() + 60
# Not before it runs: findOnSystem asks for running and for queued jobs one after the other, and may miss one that starts between.
while (!identical(findOnSystem()$job.id, 4L) && Sys.time() < deadline) Sys.sleep(0.2)
cat("ON SYSTEM", findOnSystem()$job.id, "\\n")
cat("BATCH ID", findRunning()$job.id, sub("^[0-9]+", "N", getJobTable(4)$batch.id), "\\n")
invisible(killJobs(4))
while (nrow(findOnSystem()) > 0 && Sys.time() < deadline) Sys.sleep(0.2)
cat("LEFT", nrow(findOnSystem()), "\\n")
for (result in reduceResultsList(findDone())) cat("RESULT", result, "\\n")
cat("ERROR", getErrorMessages(findErrors())$message, "\\n")
`;

const haveBatchtools = havePeers("Rscript") && existsSync("/usr/lib/R/site-library/batchtools");

test.skipIf(!haveBatchtools)("batchtools runs an array, sees each task in squeue, kills one and collects the results", async () => {
  const cwd = place.workflow("batchtools", { "work.R": BATCHTOOLS });
  const { status, stdout, stderr } = await place.run(["/usr/bin/Rscript", "work.R"], { cwd, env: place.toolEnv, timeoutMs: LIMIT_MS });
  expect(stderr).not.toContain("Error");
  expect(
    stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.trimEnd()),
  ).toEqual([
    "ON SYSTEM 4",
    "BATCH ID 4 N_4",
    "LEFT 0",
    "RESULT 1 1 1",
    "RESULT 4 2 1",
    "ERROR Error in (function (x)  : three is refused",
  ]);
  expect(status).toBe(0);
});

test.skipIf(!havePeers("nodeset"))("ClusterShell finds its groups of nodes in sinfo and squeue", async () => {
  const cwd = place.workflow("clustershell", { "groups.conf": "[Main]\ndefault: slurmpart\nconfdir: $CFGDIR/groups.conf.d\n" });
  cpSync("/etc/clustershell/groups.conf.d/slurm.conf.example", join(cwd, "groups.conf.d/slurm.conf"), { recursive: true });
  const id = (await place.output("sbatch --parsable -N2 -n2 -J wide --wrap 'sleep 600'")).trim();
  await until("the job to run", async () => (await place.output(`squeue -h -j ${id} -o %t`)) === "R\n");
  const nodeset = async (line: string) => (await place.output(`CLUSTERSHELL_CFGDIR=${cwd} nodeset ${line}`)).trimEnd().split("\n").sort();
  expect(await nodeset("-f @sp:debug")).toEqual(["n[1-2]"]);
  expect(await nodeset("-f @sp:debug -x @sp:short")).toEqual(["n2"]);
  expect(await nodeset("-f -a")).toEqual(["n[1-2]"]);
  expect(await nodeset("-l -s st")).toEqual(["@st:mixed"]);
  expect(await nodeset("-ll -s sj")).toContain(`@sj:${id} n[1-2]`);
  expect(await nodeset(`-e @sj:${id}`)).toEqual(["n1 n2"]);
  expect(await nodeset("-f @su:$USER")).toEqual(["n[1-2]"]);
  expect(await nodeset("-l -s sp n1")).toEqual(["@sp:debug", "@sp:short"]);
  await place.output(`scancel ${id}`);
});
