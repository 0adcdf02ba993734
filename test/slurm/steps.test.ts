// Containers on a real Slurm of four nodes through the user's own commands, as whoever runs the tests.
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { processesWithFilesIn } from "#platform/marked-processes.ts";
import { descendants } from "#platform/process-tree.ts";
import { havePeers } from "../peers.ts";
import { BERTH, canRunContainers, haveSlurm, slurmMajor, SlurmSite, type Ran } from "./site.ts";

const site = haveSlurm && canRunContainers ? new SlurmSite({ nodes: 4, cpus: 4 }) : undefined;
afterAll(async () => {
  await site?.[Symbol.asyncDispose]();
}, 60_000);

describe.skipIf(site === undefined)("containers on a real Slurm", () => {
  const on = site as SlurmSite;
  const container = (...words: readonly string[]) =>
    on.berth("srun", ...words.slice(0, words.indexOf("--")), "--container", on.bundle, ...words.slice(words.indexOf("--") + 1));
  const taskDirs = () => {
    const dir = join(on.runtime, "berth/node/tasks");
    return existsSync(dir) ? readdirSync(dir) : [];
  };
  const until = async (isReady: () => boolean | Promise<boolean>) => {
    for (let i = 0; i < 600; i++) {
      if (await isReady()) return;
      await Bun.sleep(50);
    }
    throw new Error("waited 30 s in vain");
  };
  /** Job id of the only live job of this name. */
  const jobNamed = async (name: string, states = "RUNNING") => {
    let id = "";
    await until(async () => {
      id = (await on.run(["squeue", "-h", "-n", name, "-t", states, "-o", "%A"])).stdout.trim();
      return id !== "";
    });
    return id;
  };

  test("4 nodes × 4 tasks: labels, ranks, nodes; one fails, one is killed", async () => {
    const script =
      'echo $SLURMD_NODENAME; [ "$SLURM_PROCID" = 5 ] && exit 7; [ "$SLURM_PROCID" = 9 ] && { sleep 9 & kill -9 $!; wait $!; exit $?; }; true';
    const ran = await container("-N4", "-n16", "--ntasks-per-node=4", "-l", "-J", "grid", "--", "sh", "-c", script);
    const labels = ran.stdout
      .trim()
      .split("\n")
      .map((line) => line.trim().split(": "));
    expect(labels.map(([rank]) => Number(rank)).sort((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, rank) => rank));
    expect(new Set(labels.map(([, node]) => node))).toEqual(new Set(["c1", "c2", "c3", "c4"]));
    expect(ran.stderr).toContain("task 5: Exited with exit code 7");
    expect(ran.stderr).toContain("task 9: Exited with exit code 137");
    expect(ran.code).toBe(137);
    expect(taskDirs()).toEqual([]);
    expect((await on.run(["sacct", "-c", "-P", "-n", "-o", "jobname,state"])).stdout).toContain("grid|FAILED");
  }, 60_000);

  test("a program that a signal ends in its container is 128 + signal", async () => {
    const ran = await container("--", "sh", "-c", "sh -c 'kill -9 $$'; exit $?");
    expect(ran.code).toBe(137);
  }, 30_000);

  test("standard input, limits and working environment are the job's", async () => {
    const ran = await on.run(
      [BERTH, "srun", "--container", on.bundle, "sh", "-c", "cat; echo $IMAGE $SLURM_PROCID $SLURM_CONTAINER; env | grep -c BERTH_TASK"],
      { stdin: "hello\n" },
    );
    expect(ran.stdout).toBe(`hello\nyes 0 ${on.bundle}\n0\n`);
    const plain = await on.run(["srun", "sh", "-c", "ulimit -n"]);
    expect((await container("--", "sh", "-c", "ulimit -n")).stdout).toBe(plain.stdout);
  }, 30_000);

  test.skipIf(!havePeers("script"))(
    "--pty gives a terminal inside",
    async () => {
      const words = `'${BERTH}' srun --pty --container '${on.bundle}' sh -c 'tty; echo $((6 * 7)); exit 4'`;
      const ran = await on.run(["script", "-qec", words, "/dev/null"]);
      expect(ran.stdout).toMatch(/\/dev\/(pts\/\d|console)/);
      expect(ran.stdout).toContain("42");
      expect(ran.code).toBe(4);
    },
    30_000,
  );

  test("Ctrl-C: once tells, twice ends the step and its container", async () => {
    const running = on.start([BERTH, "srun", "-J", "ctrlc", "--container", on.bundle, "sh", "-c", "echo up; sleep 100"]);
    await jobNamed("ctrlc");
    await until(() => taskDirs().length === 1);
    await Bun.sleep(500);
    running.kill("SIGINT");
    await Bun.sleep(200);
    running.kill("SIGINT");
    const [code, stderr] = await Promise.all([running.exited, new Response(running.stderr).text()]);
    expect(stderr).toContain("interrupt (one more within 1 sec to abort)");
    expect(stderr).toContain("forcing job termination");
    expect(code).not.toBe(0);
    await until(() => runtimesBelow(on).length === 0);
  }, 60_000);

  test("a time limit ends the container; what it leaves goes with the next task", async () => {
    const { stdout } = await on.berth(
      "sbatch",
      "--parsable",
      "-t",
      "1",
      "-J",
      "limit",
      "--container",
      on.bundle,
      "--wrap",
      "trap '' TERM; sleep 1000; sleep 1000",
    );
    const id = stdout.trim();
    await jobNamed("limit");
    await until(() => taskDirs().length === 1);
    expect((await on.run(["scancel", "--signal=KILL", "--full", id])).code).toBe(0); // as slurmctld does after KillWait
    await until(async () => /JobState=(FAILED|CANCELLED|TIMEOUT)/.test(await on.show(id)));
    await container("--", "true");
    expect(taskDirs()).toEqual([]);
    expect(runtimesBelow(on)).toEqual([]);
  }, 60_000);

  test("a batch script stays one: directives, name, arguments, streams; and runs inside", async () => {
    const script = join(on.workDir, "my job.sh");
    writeFileSync(
      script,
      `#!/bin/sh\n#SBATCH --container=${on.bundle} -o 'named %x.out' -n2\n# a remark\n\n` +
        `echo "$0|$1|$2|$SLURM_NTASKS|$IMAGE"; ls /\nexit 6\n`,
    );
    const ran = await on.berth("sbatch", "-W", script, "a b", "c");
    expect(ran.code).toBe(6);
    expect(readFileSync(join(on.workDir, "named my job.sh.out"), "utf8")).toBe(
      "/tmp/slurm/startup|a b|c|2|yes\nbin\ndev\nproc\nsys\ntmp\n",
    );
    const id = /Submitted batch job (\d+)/.exec(ran.stdout)?.[1] ?? "";
    expect(await on.show(id)).toContain("JobName=my job.sh ");
    expect((await on.berth("scontrol", "show", "job", id)).stdout).toContain(`Container=${on.bundle}`);
  }, 60_000);

  test("a script on standard input, and an array", async () => {
    const ran = await on.run([BERTH, "sbatch", "-W", "-a", "1-3", "-o", "array-%a", "--container", on.bundle], {
      stdin: "#!/bin/sh\necho $SLURM_ARRAY_TASK_ID $IMAGE\n",
    });
    expect(ran.code).toBe(0);
    expect([1, 2, 3].map((index) => readFileSync(join(on.workDir, `array-${index}`), "utf8"))).toEqual(["1 yes\n", "2 yes\n", "3 yes\n"]);
  }, 60_000);

  test("salloc runs its command inside", async () => {
    const ran = await on.berth("salloc", "--container", on.bundle, "sh", "-c", "ls /; exit 5");
    expect(ran.stdout).toBe("bin\ndev\nproc\nsys\ntmp\n");
    expect(ran.code).toBe(5);
  }, 30_000);

  test("what cannot be run in a container is refused, and never runs on the node", async () => {
    const witness = join(on.workDir, "witness");
    const rows: readonly (readonly [words: readonly string[], says: string])[] = [
      [["srun", "--container", "/nosuch/bundle", "touch", witness], 'Cannot open bundle "/nosuch/bundle": No such file or directory'],
      [["srun", "--multi-prog", "--container", on.bundle, "conf"], "--multi-prog cannot be combined with --container"],
      [["srun", "--container-id", "x", "touch", witness], "--container-id without --container"],
      [["srun", "--native", "--container", on.bundle, "touch", witness], "This site's Slurm has no container support"],
      [["sbatch", "-n1", "--container", on.bundle, ":", "-n1", "--wrap", `touch ${witness}`], "more than one component"],
      [["sbatch", "-n1", ":", "-n1", "--container", on.bundle, "--wrap", `touch ${witness}`], "more than one component"],
      [["salloc", "-n1", "--container", on.bundle, ":", "-n1", "touch", witness], "more than one component"],
      [["salloc", "--no-shell", "--container", on.bundle], "--no-shell runs nothing"],
    ];
    for (const [words, says] of rows) {
      const ran: Ran = await on.berth(...words);
      expect(ran.stderr).toContain(says);
      expect(ran.code).not.toBe(0);
    }
    expect(existsSync(witness)).toBe(false);
  }, 30_000);

  test("a node without a place for the task, a bundle that only others read: said in words", async () => {
    const elsewhere = join(on.dir, "no-place");
    mkdirSync(join(elsewhere, "berth/node"), { recursive: true, mode: 0o700 });
    writeFileSync(join(elsewhere, "berth/node/tasks"), ""); // stands for a full disk
    const full = await on.run([BERTH, "srun", "--container", on.bundle, "true"], { env: { XDG_RUNTIME_DIR: elsewhere } });
    expect([full.code, full.stderr]).toEqual([1, expect.stringContaining("Cannot write the task's directory") as unknown as string]);
    expect(full.stderr).not.toContain("bug");
    if (process.getuid?.() === 0) return; // he reads everything
    const closed = join(on.dir, "closed");
    mkdirSync(join(closed, "rootfs"), { recursive: true });
    copyFileSync(join(on.bundle, "config.json"), join(closed, "config.json"));
    chmodSync(join(closed, "rootfs"), 0);
    const refused = await on.berth("srun", "--container", closed, "true");
    chmodSync(join(closed, "rootfs"), 0o700);
    expect([refused.code, refused.stderr]).toEqual([
      2,
      expect.stringContaining(`Cannot open bundle "${closed}": Permission denied: ${join(closed, "rootfs")}`) as unknown as string,
    ]);
  }, 60_000);

  test.skipIf(slurmMajor() >= 26)(
    "srun killed with -9 takes the site's srun with it, and so the job",
    async () => {
      const srun = on.start([BERTH, "srun", "--job-name=orphaned", "--container", on.bundle, "sleep", "1000"]);
      const id = await jobNamed("orphaned");
      await until(() => taskDirs().some((name) => name.startsWith(`${id}.0.`)));
      srun.kill("SIGKILL");
      await until(async () => /JobState=(CANCELLED|FAILED|COMPLETED)/.test(await on.show(id)));
    },
    90_000,
  );

  test("a heterogeneous step: each component in a container of its own, or in none", async () => {
    const say = (status: number) => ["sh", "-c", `echo $SLURM_PROCID $(hostname) $SLURM_CONTAINER; exit ${status}`];
    const contained = ["-n1", "--container", on.bundle];
    const ran = await on.berth("srun", ...contained, ...say(0), ":", ...contained, ...say(4), ":", "-n1", ...say(0));
    const lines = ran.stdout.trim().split("\n").sort();
    expect(ran.code).toBe(4);
    expect(lines).toEqual([`0 box ${on.bundle}`, `1 box ${on.bundle}`, expect.stringMatching(/^2 (?!box)\S+$/) as unknown as string]);
    const jobs = (await on.run(["scontrol", "-o", "show", "job"])).stdout.split("\n").filter((line) => / HetJobOffset=/.test(line));
    expect(jobs.map((line) => line.includes(` Comment=berth:{"container":"${on.bundle}"}`))).toEqual([true, true, false]);
  }, 60_000);

  test("everything else passes through: words, exit codes, output", async () => {
    const pairs = [
      ["squeue", "--bogus"],
      ["sinfo", "-h", "-o", "%P %D"],
      ["scontrol", "ping"],
      ["srun", "-w", "c2", "-n2", "sh", "-c", "exit 3"],
      ["srun", "--bogus", "true"],
      ["scancel", "99999"],
    ];
    for (const words of pairs) {
      const [ours, theirs] = [await on.berth(...words), await on.run(words)];
      const said = (ran: Ran) => ran.stderr.replace(/^srun: job \d+ (?:queued|has been) .*\n/gm, ""); // as the cluster happens to be busy
      expect([words, ours.code, ours.stdout, said(ours)]).toEqual([words, theirs.code, theirs.stdout, said(theirs)]);
    }
  }, 30_000);

  test("nodes that die: NODE_FAIL, nothing hangs, no container stays", async () => {
    const start = async (node: string, name: string) => {
      const running = on.start([BERTH, "srun", "-w", node, "-J", name, "--container", on.bundle, "sleep", "1000"]);
      const id = await jobNamed(name);
      const said = Promise.all([running.exited, new Response(running.stderr).text()]);
      const dirOf = () => taskDirs().find((dir) => dir.startsWith(`${id}.`)) ?? "";
      await until(() => dirOf() !== "" && runtimesBelow(on, dirOf()).length > 0); // so its owner is on record, too
      return { id, said, dir: dirOf() };
    };
    const lost = await start("c4", "lost"); // its slurmd and step daemon
    const dead = await start("c3", "dead"); // its task too, which cannot notice
    const owner = JSON.parse(readFileSync(join(on.runtime, "berth/node/tasks", dead.dir, "owner.json"), "utf8")) as {
      process: { pid: number };
    };
    killNodes(on, ["c3", "c4"], owner.process.pid);
    await until(() => !taskDirs().includes(lost.dir)); // the task notices at once
    expect(taskDirs()).toEqual([dead.dir]);
    expect((await container("-w", "c1", "--", "true")).code).toBe(0); // the next chance
    expect(taskDirs()).toEqual([]);
    await until(() => runtimesBelow(on).length === 0);
    for (const [{ id, said }, node] of [[lost, "c4"] as const, [dead, "c3"] as const]) {
      const [code, stderr] = await said;
      expect(stderr).toContain(`srun: error: Node failure on ${node}`);
      if (slurmMajor() < 26) expect(stderr).toContain(`srun: error: NODE_FAIL: ${node} failed while the step ran`);
      expect(code).not.toBe(0); // 22.05's own srun ends with 0 here
      await until(async () => (await on.show(id)).includes("JobState=NODE_FAIL"));
    }
  }, 120_000);
});

/** Ends the slurmd of these nodes, all step daemons and one task, as a power failure would: nobody hears of another's end. */
function killNodes(site: SlurmSite, nodes: readonly string[], task: number): void {
  const record = JSON.parse(readFileSync(join(site.runtime, "berth/slurm/cluster.json"), "utf8")) as {
    daemons: { name: string; pid: number }[];
  };
  const daemons = record.daemons.filter(({ name }) => nodes.includes(name)).map(({ pid }) => pid);
  const steps = processesWithFilesIn(join(site.runtime, "berth/slurm"), /^slurmstepd/);
  expect([daemons.length, steps.length > 0]).toEqual([nodes.length, true]);
  for (const pid of [...daemons, ...steps]) process.kill(pid, "SIGSTOP");
  for (const pid of [task, ...daemons, ...steps]) process.kill(pid, "SIGKILL");
}

/** Container runtimes and what is below them, of this site alone: of all tasks, or of the one that has this directory. */
function runtimesBelow(site: SlurmSite, taskDir = ""): number[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(join(site.runtime, "berth/node/tasks", taskDir));
      } catch {
        return false;
      }
    })
    .flatMap((pid) => [
      pid,
      ...descendants(pid)
        .filter(({ isZombie }) => !isZombie)
        .map(({ pid: below }) => below),
    ]);
}
