// Snakemake as Debian has it, on the embedded engine: its own Slurm executor (`--slurm`: sbatch, sacct, and in each job
// srun), and a profile of the kind that is around for clusters (`--cluster sbatch`, a status script that asks sacct,
// `--cluster-cancel scancel`). Its jobs start Snakemake again, so this costs seconds; both run at once.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { havePeers } from "../peers.ts";
import { type Outcome, until } from "../e2e/site.ts";
import { Place } from "./place.ts";

const LIMIT_MS = 110_000;

const SNAKEFILE = `
rule all:
    input: "sum.txt", "bad.txt"
rule part:
    output: "part.{n}"
    resources: mem_mb=100, runtime=5
    shell: "echo {wildcards.n} step $SLURM_STEP_ID cpus $SLURM_CPUS_PER_TASK > {output}"
rule bad:
    output: "bad.txt"
    resources: slurm_partition="short", runtime=5
    shell: "exit 7"
rule sum:
    input: expand("part.{n}", n=range(2))
    output: "sum.txt"
    threads: 2
    resources: runtime=5
    shell: "cat {input} > {output}; echo cpus $SLURM_CPUS_PER_TASK >> {output}"
`;

const CLUSTER_SNAKEFILE = `
rule quick:
    output: "quick.txt"
    shell: "hostname > {output}"
rule bad:
    output: "bad.txt"
    shell: "exit 7"
rule slow:
    output: "slow.txt"
    shell: "echo up > started; sleep 600"
`;

const PROFILE = `cluster: "sbatch --parsable --job-name=smk-{rule} --partition={resources.partition} --cpus-per-task={threads} --mem={resources.mem_mb} --time=5 --output={rule}-%j.log"
cluster-status: "status.sh"
cluster-cancel: "scancel"
default-resources: [partition=debug, mem_mb=100]
jobs: 5
keep-going: true
scheduler: greedy
latency-wait: 1
`;

const STATUS = `#!/bin/sh
state=$(sacct -j "$1" --format State --noheader | head -1 | awk '{print $1}')
case $state in
  COMPLETED) echo success ;;
  PENDING | CONFIGURING | COMPLETING | RUNNING | SUSPENDED) echo running ;;
  *) echo failed ;;
esac
`;

describe.skipIf(!havePeers("snakemake"))("Snakemake", () => {
  let place: Place;
  let ownExecutor: Promise<Outcome>;
  let profile: Promise<Outcome>;

  beforeAll(async () => {
    place = new Place();
    const own = place.workflow("own", { Snakefile: SNAKEFILE });
    const clustered = place.workflow("clustered", {
      Snakefile: CLUSTER_SNAKEFILE,
      "profile/config.yaml": PROFILE,
      "profile/status.sh": STATUS,
    });
    const options = ["--slurm", "--jobs", "4", "--keep-going", "--scheduler", "greedy", "--latency-wait", "1"];
    // More than one look in a second is turned into one in half a minute by this version.
    const pace = ["--max-status-checks-per-second", "1", "--default-resources", "mem_mb=100"];
    ownExecutor = place.run(["/usr/bin/snakemake", ...options, ...pace], { cwd: own, env: place.toolEnv, timeoutMs: LIMIT_MS });
    const running = place.start(["/usr/bin/snakemake", "--profile", "profile", "quick.txt", "bad.txt", "slow.txt"], {
      cwd: clustered,
      env: place.toolEnv,
    });
    const interrupted = async () => {
      try {
        const seen = () => running.stderrSoFar.includes("Error executing rule bad") && running.stderrSoFar.includes("1 of 3 steps");
        await until("Snakemake to hear of its jobs", () => seen() || running.process.exitCode !== null, LIMIT_MS);
        await until("the slow job to run", () => place.read("clustered/started") !== "", LIMIT_MS);
        running.kill("SIGINT");
        await until("Snakemake to end", () => running.process.exitCode !== null, 60_000);
      } finally {
        running.kill("SIGKILL");
      }
      return await running.outcome;
    };
    profile = interrupted();
    await Promise.allSettled([ownExecutor, profile]);
  }, 2 * LIMIT_MS);
  afterAll(() => place[Symbol.asyncDispose](), 60_000);

  test("its Slurm executor runs a workflow, each job with a step of its own, and hears of the failure", async () => {
    const { status, stderr } = await ownExecutor;
    expect(stderr).toContain("SLURM status is: 'FAILED'");
    expect(stderr).toMatch(/Error in rule bad:/);
    expect(stderr).toContain("3 of 5 steps (60%) done");
    expect(status).toBe(1);
    expect(place.read("own/sum.txt")).toBe("0 step 0 cpus 1\n1 step 0 cpus 1\ncpus 2\n");
    const jobs = await place.output("sacct -nPX -o JobName,Partition,State,ExitCode,ReqMem,AllocCPUS,Timelimit | grep ^snakejob | sort");
    expect(jobs.trimEnd().split("\n")).toEqual([
      expect.stringMatching(/^snakejob_bad_\d\|short\|FAILED\|1:0\|100M\|1\|00:05:00$/),
      expect.stringMatching(/^snakejob_part_\d\|debug\|COMPLETED\|0:0\|100M\|1\|00:05:00$/),
      expect.stringMatching(/^snakejob_part_\d\|debug\|COMPLETED\|0:0\|100M\|1\|00:05:00$/),
      expect.stringMatching(/^snakejob_sum_\d\|debug\|COMPLETED\|0:0\|100M\|2\|00:05:00$/),
    ]);
  });

  test("a cluster profile submits, asks, and cancels what runs when it is interrupted", async () => {
    const { stderr } = await profile;
    expect(stderr).toContain("Submitted job");
    expect(stderr).toContain("Finished job");
    expect(stderr).toContain("Error executing rule bad on cluster");
    await until("the cancelled job to end", async () => !(await place.output("squeue -h -n smk-slow -t all -o %T")).includes("RUNNING"));
    expect((await place.ended()).filter((line) => line.startsWith("smk-"))).toEqual([
      "smk-bad|FAILED|1:0",
      "smk-quick|COMPLETED|0:0",
      `smk-slow|CANCELLED by ${process.getuid?.()}|0:0`,
    ]);
  });

  test("nothing is left", async () => {
    expect(place.complaints()).toEqual([]);
    expect((await place.leftovers(15_000)).filter((line) => !line.includes(join(place.dir, "tmp")))).toEqual([]);
  });
});
