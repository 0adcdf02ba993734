// How tasks are started: programs around them, where their input comes from, what is sent to them beforehand.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { isRunning, Site, until } from "./site.ts";

let site: Site;
const script = (name: string, text: string): string => {
  writeFileSync(site.path(name), `#!/bin/sh\n${text}`);
  chmodSync(site.path(name), 0o755);
  return site.path(name);
};

describe("programs around tasks", () => {
  beforeAll(() => {
    site = new Site();
    // The site's own, besides the user's.
    const conf = ["TaskProlog=SITE/site-prolog", "TaskEpilog=SITE/site-epilog", "SrunEpilog=SITE/srun-epilog"].join("\n");
    writeFileSync(
      `${site.dir}/config/berth/berth.conf`,
      `NodeName=n1 CPUs=16 RealMemory=16000\nPartitionName=debug Nodes=ALL Default=YES\nKillWait=2\n${conf.replaceAll("SITE", site.workDir)}\n`,
    );
    script("site-prolog", 'echo "print site $SLURM_SCRIPT_CONTEXT $SLURM_PROCID"; echo export WHO=site; echo "export GIVEN=a b "\n');
    script("site-epilog", 'echo "site-epilog $SLURM_PROCID ${SLURM_TASK_PID:+knows}" >&2\n');
    script("srun-epilog", 'echo "srun-epilog $* $SLURM_STEP_ID"\n');
  });
  afterAll(async () => {
    expect(await site.leftovers()).toEqual([]);
    expect(site.complaints()).toEqual([]);
    await site[Symbol.asyncDispose]();
  }, 60_000);

  test("the site's prolog comes before the user's, its epilog behind; only prologs change the task's environment", async () => {
    const prolog = script("prolog", 'echo "print user after $WHO"; echo export WHO=user >&2; echo unset DROP; echo nonsense\n');
    const epilog = script("epilog", 'echo nobody; echo "user-epilog $WHO" >&2\n');
    const shown = await site.run(
      ["srun", `--task-prolog=${prolog}`, `--task-epilog=${epilog}`, "sh", "-c", 'echo "$WHO[$GIVEN][$DROP]"; exit 3'],
      {
        env: { DROP: "1" },
      },
    );
    expect(shown).toEqual({
      status: 3,
      stdout: 'site prolog_task 0\nuser after site\nuser[a b][]\nsrun-epilog sh -c echo "$WHO[$GIVEN][$DROP]"; exit 3 0\n',
      stderr: expect.stringMatching(/^user-epilog \nsite-epilog 0 knows\nsrun: error: n1: task 0: Exited with exit code 3\n$/) as string,
    });
  });

  test("a prolog that fails is its task's end; the epilog runs all the same", async () => {
    const prolog = script("fails", 'test "$SLURM_PROCID" = 0 || exit 7\n');
    const { status, stdout, stderr } = await site.run(["srun", "--epilog=none", "-n2", "-l", `--task-prolog=${prolog}`, "echo", "ran"]);
    expect(status).toBe(7);
    expect(lines(stdout)).toEqual(["0: ran", "0: site prolog_task 0", "1: site prolog_task 1"]);
    expect(lines(stderr)).toEqual([
      "0: site-epilog 0 knows",
      "1: site-epilog 1 ",
      "1: slurmstepd: error: --task-prolog failed status=7",
      "srun: error: n1: task 1: Exited with exit code 7",
    ]);
  });

  test("a batch script is a task too", async () => {
    const id = await site.sbatch('#!/bin/sh\necho "script $WHO"\n', "-o", "batch.out", "--wait");
    expect(id).toBeGreaterThan(0);
    expect(lines(site.read("batch.out"))).toEqual(["script site", "site prolog_task 0", "site-epilog 0 knows"]);
  });

  test("the prolog that srun runs reads first what is for the tasks; one that fails lets none start", async () => {
    const prolog = script("reads", 'read line; echo "prolog $SLURM_SCRIPT_CONTEXT $line $SLURM_STEP_ID"\n');
    writeFileSync(site.path("input"), "one\ntwo\n");
    const shown = await site.run(["/bin/sh", "-c", `exec srun --epilog=none --prolog=${prolog} cat <input`]);
    expect(lines(shown.stdout)).toEqual(["prolog prolog_srun one 0", "site prolog_task 0", "two"]);
    const refused = await site.run(["srun", "--epilog=none", "--prolog=/bin/false", "touch", site.path("started")]);
    expect(refused).toEqual({ status: 1, stdout: "", stderr: "srun: error: srun prolog failed rc = 1. Aborting step.\n" });
    expect(await Bun.file(site.path("started")).exists()).toBe(false);
  });

  test("a prolog that hangs ends with its job, and its task does not start", async () => {
    const prolog = script("hangs", `trap '' TERM; echo $$ >${site.path("hanging")}; sleep 1000\n`);
    const running = site.start(["srun", "--epilog=none", `--task-prolog=${prolog}`, "touch", site.path("too-late")]);
    await site.written("hanging", "\n");
    running.kill("SIGTERM");
    expect([1, 143]).toContain((await running.outcome).status); // 143: srun had no ear for it yet
    expect(await Bun.file(site.path("too-late")).exists()).toBe(false);
  });

  test("a step daemon that is killed while a prolog runs leaves no prolog behind, and its task runs", async () => {
    const prolog = script("again", `echo $$ >>${site.path("pids")}; test -e ${site.path("go")} || sleep 1000\n`);
    const running = site.start(["srun", "-J", "again", "--epilog=none", `--task-prolog=${prolog}`, "echo", "ran"]);
    await site.written("pids", "\n");
    const queue = await site.run(["squeue", "-h", "-n", "again", "-o", "%i"]);
    expect(queue.stdout).toMatch(/^\d+\n$/);
    const daemon = await site.stepDaemon(Number(queue.stdout.trim()), 0);
    writeFileSync(site.path("go"), "");
    process.kill(daemon, "SIGKILL");
    const { status, stdout } = await running.outcome;
    expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining("ran\n") as string });
    const [first] = site.read("pids").split("\n");
    await until(`prolog ${first} to be gone`, () => !isRunning(Number(first)));
  });
});

/** Sorted: two tasks speak when they like. */
function lines(text: string): string[] {
  return text.split("\n").filter(Boolean).sort();
}

describe("CPU binding", () => {
  beforeAll(() => {
    site = new Site({ conf: "TaskPlugin=task/affinity\nNodeName=n[1-2] CPUs=2\nPartitionName=debug Nodes=ALL Default=YES\nKillWait=2\n" });
  });
  afterAll(async () => {
    expect(site.complaints()).toEqual([]);
    await site[Symbol.asyncDispose]();
  }, 60_000);

  test("each task runs where it was told to, and knows it", async () => {
    const body = "echo $SLURM_CPU_BIND; taskset -cp $$ | sed s/.*:.//";
    const cpus = [...new Set([0, 1].map((cpu) => allowed()[cpu % allowed().length]))];
    const first = String(cpus[0]);
    const second = String(cpus.at(-1));
    const { stdout } = await site.run(["srun", "-n2", "-l", "--cpu-bind=map_cpu:1,0", "sh", "-c", body]);
    expect(lines(stdout)).toEqual(["0: quiet,map_cpu:1,0", `0: ${second}`, "1: quiet,map_cpu:1,0", `1: ${first}`].sort());
    const automatic = await site.run(["srun", "-n1", "--cpu-bind=verbose", "sh", "-c", body]);
    expect(automatic.stdout).toBe(`verbose,mask_cpu:0x1\n${first}\n`);
    expect(automatic.stderr).toMatch(/^cpu-bind=MASK - n1, task {2}0 {2}0 \[\d+\]: mask 0x1 set\n$/);
  });

  test("a hint binds a task to CPUs of its own, as with Slurm 22.05's task/affinity", async () => {
    const hints = ["", "--hint=compute_bound", "--hint=memory_bound", "--hint=multithread", "--hint=nomultithread", "--cpu-bind=none"];
    const body = "echo $SLURM_CPU_BIND";
    const loop = hints.map((hint) => `srun -n1 ${hint} sh -c '${body}'`).join("; ");
    const { stdout, stderr } = await site.run(["salloc", "-Q", "-N1", "-n2", "sh", "-c", loop]);
    const [shared, own] = ["quiet,none", "quiet,mask_cpu:0x1"];
    expect({ stderr, lines: stdout.trim().split("\n") }).toEqual({ stderr: "", lines: [shared, own, own, own, own, shared] });
  });

  test("CPUs that the step does not have are refused, and nothing runs", async () => {
    const { status, stdout, stderr } = await site.run(["srun", "-n1", "--cpu-bind=map_cpu:1", "echo", "ran"]);
    expect({ status, stdout }).toEqual({ status: 192, stdout: "" });
    expect(stderr).toContain("CPU binding outside of job step allocation, allocated CPUs are: 0x1.");
    expect(stderr).toContain("Application launch failed: Unable to satisfy cpu bind request");
    expect((await site.run(["srun", "-n1", "--cpu-bind=nosuch", "true"])).stderr).toContain('unrecognized --cpu-bind argument "nosuch"');
  });
});

/** CPUs that this test may use, which a machine may restrict. */
function allowed(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return list.split(",").flatMap((range) => {
    const [from = 0, to = from] = range.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}

describe("copied programs", () => {
  beforeAll(() => {
    site = new Site();
    script("program", 'echo "$0 $*"; test -z "$LD_LIBRARY_PATH" || ls "$LD_LIBRARY_PATH"\n');
  });
  afterAll(async () => {
    expect(await site.leftovers()).toEqual([]);
    expect(site.complaints()).toEqual([]);
    await site[Symbol.asyncDispose]();
  }, 60_000);

  test("srun runs the copy, by the name that it was given or got from the step", async () => {
    const named = await site.run(["srun", `--bcast=${site.path("copy")}`, "./program", "a b"]);
    expect(named).toEqual({ status: 0, stdout: `${site.path("copy")} a b\n`, stderr: "" });
    const unnamed = await site.run(["salloc", "-Q", "sh", "-c", "srun true; exec srun --bcast ./program"]);
    expect(unnamed.stdout).toMatch(/\/w\/slurm_bcast_\d+\.1_n1 \n$/);
    const impossible = await site.run(["srun", `--bcast=${site.path("missing")}/copy`, "./program"]);
    expect(impossible).toEqual({
      status: 1,
      stdout: "",
      stderr: `srun: error: REQUEST_FILE_BCAST(n1): No such file or directory\nsrun: error: Failed to broadcast '${site.path("program")}'. Step launch aborted.\n`,
    });
    expect(await site.run(["srun", "--bcast", "nosuch"])).toEqual({
      status: 1,
      stdout: "",
      stderr: "srun: fatal: Can not execute nosuch\n",
    });
  });

  test("libraries go beside it, and are found first", async () => {
    const { stdout, status } = await site.run([
      "srun",
      `--bcast=${site.path("sh2")}`,
      "--send-libs",
      "--bcast-exclude=none",
      "sh",
      "-c",
      "echo $LD_LIBRARY_PATH",
    ]);
    expect({ stdout, status }).toEqual({ stdout: `${site.path("sh2_libs")}\n`, status: 0 });
    expect([...new Bun.Glob("libc.*").scanSync({ cwd: site.path("sh2_libs") })]).toHaveLength(1);
    const sent = await site.run(["salloc", "-Q", "sbcast", "--send-libs", "--exclude=none", "/bin/sh", "sh3"]);
    expect(sent.status).toBe(0);
    expect([...new Bun.Glob("libc.*").scanSync({ cwd: site.path("sh3_libs") })]).toHaveLength(1);
  });
});

describe("GPUs", () => {
  const gpus = 'echo "$SLURM_JOB_ID $SLURM_PROCID [$CUDA_VISIBLE_DEVICES] [$SLURM_STEP_GPUS] $SLURM_GPUS_ON_NODE"';
  beforeAll(() => {
    site = new Site({
      conf: "GresTypes=gpu\nNodeName=n[1-2] CPUs=4 Gres=gpu:a100:2,gpu:v100:2\nPartitionName=debug Nodes=ALL Default=YES\nKillWait=2\n",
    });
  });
  afterAll(async () => {
    expect(site.complaints()).toEqual([]);
    await site[Symbol.asyncDispose]();
  }, 60_000);

  // As 22.05 showed them on nodes with the same Gres=.
  test.each<[options: string, ...seen: string[]]>([
    ["-n1 --gres=gpu:1", "0 [0] [0] 1"],
    ["-n1 --gres=gpu:v100:2", "0 [2,3] [2,3] 2"],
    ["-n1 --gres=gpu:v100:1,gpu:a100:1", "0 [0,2] [0,2] 2"],
    ["-N2 --gpus=4", "0 [0,1,2] [0,1,2] 3", "1 [0] [0] 1"],
    ["-n2 --gpus-per-task=2", "0 [0,1] [0,1] 4", "1 [2,3] [2,3] 4"],
    ["-n2 --gpus=2 --gpu-bind=map_gpu:1,0", "0 [1] [1] 2", "1 [0] [0] 2"],
    ["-n2 --gpus=2 --gpu-bind=none", "0 [] [] 2", "1 [] [] 2"],
    ["-n2 --ntasks-per-gpu=1", "0 [0] [0] 2", "1 [1] [1] 2"],
  ])("srun %s", async (options, ...seen) => {
    const { stdout, stderr } = await site.run(["srun", ...options.split(" "), "sh", "-c", gpus]);
    expect(stderr).toBe("");
    expect(lines(stdout.replaceAll(/^\d+ /gm, ""))).toEqual(seen);
  });

  test("steps of a job do not share what they ask for, and see none of what they decline", async () => {
    const body = `srun --exact -n1 --gres=gpu:1 sh -c '${gpus}; touch first; while test -e first; do sleep 0.05; done' &
      while ! test -e first; do sleep 0.05; done
      srun --exact -n1 --gres=gpu:1 sh -c '${gpus}'; rm first; wait
      srun --gres=none -n1 sh -c '${gpus}'; srun -n1 --gres=gpu:3 true`;
    const { stdout, stderr, status } = await site.run(["salloc", "-Q", "-n2", "--gres=gpu:2", "sh", "-c", body]);
    expect(stdout.replaceAll(/^\d+ /gm, "")).toBe("0 [0] [0] 1\n0 [1] [1] 1\n0 [] [] \n");
    expect(stderr).toContain("Invalid generic resource (gres) specification");
    expect(status).toBe(1);
  });

  test("wrong words are refused", async () => {
    expect(await site.run(["srun", "--gpu-bind=bogus", "true"])).toEqual({
      status: 255,
      stdout: "",
      stderr: "srun: error: Invalid --gpu-bind argument: gpu:bogus\n",
    });
    expect((await site.run(["srun", "-n1", "echo", ":", "-n1", "echo"])).stderr).toBe(
      "srun: error: Heterogeneous jobs are not supported\n",
    );
  });
});

describe("sstat", () => {
  beforeAll(() => {
    site = new Site({ conf: "NodeName=n[1-2] CPUs=2\nPartitionName=debug Nodes=ALL Default=YES\nKillWait=2\n" });
  });
  afterAll(async () => {
    expect(site.complaints()).toEqual([]);
    await site[Symbol.asyncDispose]();
  }, 60_000);

  test("tells what each task's processes use", async () => {
    // Task 1 reads much, and both have a child.
    const body = 'test $SLURM_PROCID = 0 || head -c 5000000 /dev/zero >/dev/null; echo ready; sleep 1000; echo "never"';
    const srun = site.start(["srun", "-J", "measured", "-N2", "sh", "-c", body]);
    await until("both tasks", () => srun.stdoutSoFar.split("ready").length === 3);
    const { stdout: ids } = await site.run(["squeue", "-h", "-s", "-n", "measured", "-o", "%i"]);
    const step = ids.trim();
    const read = async (...options: string[]) =>
      (await site.run(["sstat", "-n", "-P", "-j", step, ...options])).stdout.trimEnd().split("\n");
    const [row = ""] = await read("--noconvert", "-o", "JobID,NTasks,MaxRSS,AveRSS,MaxVMSize,MaxDiskReadTask,MaxDiskReadNode,MaxDiskRead");
    const [id, tasks, maxRss, aveRss, maxVm, task, node, most] = row.split("|");
    expect([id, tasks, task, node]).toEqual([step, "2", "1", "n2"]);
    expect(Number(maxRss)).toBeGreaterThan(500_000);
    expect(Number(aveRss)).toBeLessThanOrEqual(Number(maxRss));
    expect(Number(maxVm)).toBeGreaterThan(Number(maxRss));
    expect(Number(most)).toBeGreaterThanOrEqual(5_000_000);
    const pids = await until("each task's shell and its sleep", async () => {
      const nodes = await read("-i");
      expect(nodes.map((line) => line.split("|")[1])).toEqual(["n1", "n2"]);
      const found = nodes.flatMap((line) => (line.split("|")[2] ?? "").split(",").map(Number));
      return found.length === 4 && found;
    });
    expect(pids.every((pid) => isRunning(pid))).toBe(true);
    await site.run(["scancel", "-n", "measured"]);
    await srun.outcome;
  });

  test("sacct tells of a task that was too short to be measured nothing, and of a large one what it used", async () => {
    await site.run(["srun", "-J", "short", "true"]);
    await site.run(["srun", "-J", "large", "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"]);
    const use = async (name: string) => {
      const { stdout } = await site.run([
        "sacct",
        "-n",
        "-P",
        "--noconvert",
        "-S",
        "now-1hours",
        "--name",
        name,
        "-o",
        "JobID,MaxRSS,MaxRSSTask",
      ]);
      return stdout.trim().split("\n").slice(1);
    };
    expect(await until("the short step's record", async () => (await use("short"))[0])).toMatch(/^\d+\.0\|\|$/);
    const large = await until("the large step's record", async () => (await use("large"))[0]);
    expect(large).toMatch(/^\d+\.0\|\d+K\|0$/);
    expect(Number.parseInt(large.split("|")[1] ?? "", 10)).toBeGreaterThan(200 * 1024);
  });

  test("sacct tells what running tasks were seen to have", async () => {
    const columns = "MaxVMSize,MaxVMSizeTask,MaxVMSizeNode,AveVMSize,MaxPages,AveRSS";
    // The first look comes after a fifth of a second, on a machine that has time for it.
    const [max, task, node, average, pages, resident] = await until("a look at the tasks", async () => {
      await site.run(["srun", "-J", "looked-at", "-N2", "sleep", "1"]);
      const { stdout } = await site.run(["sacct", "-n", "-P", "--noconvert", "--name", "looked-at", "-o", `JobID,${columns}`]);
      const [id, ...figures] = stdout.trim().split("\n").at(-1)?.split("|") ?? [];
      return id?.endsWith(".0") === true && figures[0] !== "" && figures;
    });
    expect(Number.parseInt(max ?? "", 10)).toBeGreaterThanOrEqual(Number.parseInt(average ?? "", 10));
    expect(Number.parseInt(average ?? "", 10)).toBeGreaterThan(Number.parseInt(resident ?? "", 10));
    expect([task, node]).toEqual([expect.stringMatching(/^[01]$/), expect.stringMatching(/^n[12]$/)]);
    expect(pages).toMatch(/^\d+$/);
  });
});
