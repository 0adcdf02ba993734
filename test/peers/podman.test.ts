// What podman's users do, done by a real rootless podman through scrun: each container is a job, and podman cannot tell.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isAnchor, kill, processesOf, until } from "../e2e/site.ts";
import { canRunPodman, IMAGE, PodmanSite } from "./podman.ts";
import { resizeTerminal } from "./terminal.ts";
import { within } from "./user-site.ts";

const FOR_EVER = "trap 'exit 4' TERM; echo up; while :; do sleep 0.05; done";

// What podman needs a cgroup v2 tree for is in podman-v2.test.ts.
describe.skipIf(!canRunPodman)("podman through scrun", () => {
  let site: PodmanSite;
  let attempts = 0;
  beforeAll(async () => {
    site = await PodmanSite.open();
  }, 120_000);
  afterAll(() => site?.[Symbol.asyncDispose](), 60_000);

  // What a test that failed has left must not fail it again.
  afterEach(async () => {
    await site.podman(["rm", "-f", "-a", "-t", "0"]);
    await site.podman(["pod", "rm", "-f", "-a"]);
  }, 60_000);

  const run = (...args: readonly string[]) => site.podman(["run", "--rm", ...args]);

  /** A container that runs until it is told to end, and has said so. */
  async function startDetached(name: string, ...options: readonly string[]): Promise<void> {
    const { status, stderr } = await site.podman(["run", "-d", "--name", name, ...options, IMAGE, "sh", "-c", FOR_EVER]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    await until(`${name} to be up`, async () => (await site.podman(["logs", name])).stdout.includes("up"));
  }

  const state = async (name: string) =>
    (await site.podman(["inspect", name, "--format", "{{.State.Status}} {{.State.ExitCode}}"])).stdout.trim();

  describe("run", () => {
    interface Case {
      readonly title: string;
      readonly args: readonly string[];
      readonly stdin?: string;
      readonly status?: number;
      readonly stdout?: string | RegExp;
    }
    const sh = (script: string, ...options: readonly string[]) => [...options, IMAGE, "sh", "-c", script];
    const cases: readonly Case[] = [
      { title: "gives output and exit status", args: sh("echo out; exit 9"), status: 9, stdout: "out\n" },
      { title: "says 128 + signal", args: sh("kill -9 $$", "--pid=host"), status: 137 },
      { title: "is a job inside", args: sh("echo $SLURM_JOB_ID $SLURM_STEP_ID"), stdout: /^[0-9]+ 0\n$/ },
      { title: "-i takes standard input", args: ["-i", IMAGE, "cat"], stdin: "one\ntwo\n", stdout: "one\ntwo\n" },
      { title: "--env", args: sh("echo $A", "--env", "A=b c"), stdout: "b c\n" },
      { title: "--user", args: sh("id -u; id -g", "--user", "1000:1000"), stdout: "1000\n1000\n" },
      { title: "--workdir", args: ["--workdir", "/etc", IMAGE, "pwd"], stdout: "/etc\n" },
      { title: "--entrypoint", args: ["--entrypoint", "/bin/echo", IMAGE, "a", "b"], stdout: "a b\n" },
      { title: "--hostname", args: ["--hostname", "elsewhere", IMAGE, "hostname"], stdout: "elsewhere\n" },
      { title: "--read-only", args: sh("echo x > /new", "--read-only"), status: 1 },
      { title: "a command that is missing is 127", args: [IMAGE, "no-such-command"], status: 127 },
      { title: "a command that may not run is 126", args: [IMAGE, "/etc/passwd"], status: 126 },
    ];
    test.each(cases.map((row) => [row.title, row] as const))("%s", async (_title, { args, stdin, status = 0, stdout }) => {
      const outcome = await site.podman(["run", "--rm", ...args], stdin === undefined ? {} : { stdin });
      expect({ status: outcome.status, stderr: status === 0 ? outcome.stderr : "" }).toEqual({ status, stderr: "" });
      if (stdout instanceof RegExp) expect(outcome.stdout).toMatch(stdout);
      else if (stdout !== undefined) expect(outcome.stdout).toBe(stdout);
    });

    test("--init reaps", async () => {
      const { status, stdout } = await run("--init", IMAGE, "sh", "-c", "cat /proc/1/comm; exit 3");
      expect({ status, stdout }).toEqual({ status: 3, stdout: expect.stringMatching(/init|catatonit/) });
    });

    test("-v binds a directory, both ways", async () => {
      const host = site.path("data");
      mkdirSync(host);
      writeFileSync(`${host}/in`, "from the host");
      const { status, stdout } = await run("-v", `${host}:/data`, IMAGE, "sh", "-c", "cat /data/in; echo back > /data/out");
      expect({ status, stdout }).toEqual({ status: 0, stdout: "from the host" });
      expect(readFileSync(`${host}/out`, "utf8")).toBe("back\n");
    });

    test("-t gives a terminal of the caller's size", async () => {
      const { status, stdout } = await site.podmanOnTerminal([
        "run",
        "--rm",
        "-t",
        IMAGE,
        "sh",
        "-c",
        "test -t 0 && test -t 1 && tty; exit 6",
      ]);
      expect({ status, stdout: stdout.trim() }).toEqual({ status: 6, stdout: "/dev/pts/0" });
    });

    test("-t follows the terminal in size, and is told why its job was ended", async () => {
      const script = 'trap "stty size" WINCH; trap "exit 6" TERM; echo ready; while :; do sleep 0.05; done';
      const command = site.startPodmanOnTerminal(["run", "--rm", "-it", "--name", "resized", IMAGE, "sh", "-c", script]);
      await until("it to be ready", () => command.stdoutSoFar.includes("ready") || command.process.exitCode !== null);
      await resizeTerminal(command, 33, 101);
      await until("its new size", () => command.stdoutSoFar.includes("33 101") || command.process.exitCode !== null);
      await site.run(["scancel", "--name", "resized"]);
      const { status, stdout } = await within(command);
      expect({ status, stdout }).toEqual({ status: 6, stdout: expect.stringMatching(/33 101\r?\n[^]*\*\*\* JOB [0-9]+ CANCELLED AT /) });
    });
  });

  test("-d, logs, ps, top, exec, stop, inspect, rm: the life of one container, which is one job", async () => {
    await startDetached("life");
    expect((await site.podman(["ps", "--format", "{{.Names}} {{.Status}}"])).stdout).toMatch(/^life Up /);
    expect((await site.run(["squeue", "-h", "-o", "%j %T"])).stdout).toBe("life RUNNING\n");
    expect((await site.podman(["top", "life", "comm"])).stdout).toContain("sh");
    const inside = await site.podman(["exec", "-e", "B=c", "-w", "/tmp", "life", "sh", "-c", "echo in $B $(pwd); exit 5"]);
    expect(inside).toMatchObject({ status: 5, stdout: "in c /tmp\n" });
    expect(await site.podman(["exec", "-i", "life", "cat"], { stdin: "typed\n" })).toMatchObject({ status: 0, stdout: "typed\n" });
    const onTerminal = await site.podmanOnTerminal(["exec", "-t", "life", "sh", "-c", "test -t 1 && echo tty; exit 8"]);
    expect({ status: onTerminal.status, stdout: onTerminal.stdout.trim() }).toEqual({ status: 8, stdout: "tty" });
    expect((await site.podman(["exec", "life", "no-such-command"])).status).toBe(127);
    expect((await site.podman(["stop", "-t", "10", "life"])).status).toBe(0);
    expect(await state("life")).toBe("exited 4");
    expect(await site.job("life")).toBe("FAILED 4:0");
    expect((await site.podman(["rm", "life"])).status).toBe(0);
  });

  test("logs -f follows to the end", async () => {
    await site.podman(["run", "-d", "--name", "talks", IMAGE, "sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.1; done"]);
    expect((await site.podman(["logs", "-f", "talks"])).stdout).toBe("line 1\nline 2\nline 3\n");
    expect(await site.podman(["wait", "talks"])).toMatchObject({ status: 0, stdout: "0\n" });
    await site.podman(["rm", "talks"]);
  });

  test("kill -s, wait: the signal is podman's status and the job's", async () => {
    await startDetached("killed");
    const waiting = site.startPodman(["wait", "killed"]);
    expect((await site.podman(["kill", "-s", "KILL", "killed"])).status).toBe(0);
    expect(await waiting.outcome).toMatchObject({ status: 0, stdout: "137\n" });
    await until("podman to clean up", async () => (await state("killed")) === "exited 137");
    expect(await site.job("killed")).toBe("FAILED 0:9");
    await site.podman(["rm", "killed"]);
  });

  test("restart: another run is another job", async () => {
    await startDetached("again");
    expect(await site.podman(["restart", "-t", "5", "again"])).toMatchObject({ status: 0 });
    await until("a second job", async () => (await site.job("again")).split("\n").length === 2);
    expect(await state("again")).toStartWith("running");
    expect((await site.podman(["rm", "-f", "-t", "0", "again"])).status).toBe(0);
    await until("its end", async () => (await site.run(["squeue", "-h"])).stdout === "");
  });

  test("rm -f of a running container ends its job", async () => {
    await startDetached("removed");
    expect((await site.podman(["rm", "-f", "-t", "0", "removed"])).status).toBe(0);
    await until("its end", async () => (await site.run(["squeue", "-h"])).stdout === "");
    expect(await site.job("removed")).toMatch(/^(FAILED|CANCELLED.*) 0:9$/);
  });

  test("--pod: containers of a pod share what podman says, each is a job", async () => {
    const made = await site.podman(["pod", "create", "--infra=false", "--name", "pod"]);
    expect(made.status).toBe(0);
    expect(await run("--pod", "pod", IMAGE, "echo", "in a pod")).toMatchObject({ status: 0, stdout: "in a pod\n" });
    expect((await site.podman(["pod", "rm", "-f", "pod"])).status).toBe(0);
  });

  test("--pid container:NAME, cp: what podman finds by the container's pid", async () => {
    await startDetached("found");
    const beside = await run("--pid", "container:found", IMAGE, "cat", "/proc/1/cmdline");
    expect(beside).toMatchObject({ status: 0, stdout: expect.stringContaining("trap") }); // the other one's first process
    const file = site.path("copied");
    writeFileSync(file, "from outside");
    expect(await site.podman(["cp", file, "found:/tmp/in"])).toMatchObject({ status: 0, stderr: "" });
    expect((await site.podman(["exec", "found", "cat", "/tmp/in"])).stdout).toBe("from outside");
    expect(await site.podman(["cp", "found:/etc/group", file])).toMatchObject({ status: 0, stderr: "" });
    expect(readFileSync(file, "utf8")).toContain("me:x:1000:");
  });

  test.each(["anchor", "stand-in"])("kill -9 of the %s: podman sees 137, the job ends, nothing is left", async (which) => {
    const name = `lost-${which}`;
    await startDetached(name);
    const standIn = Number((await site.podman(["inspect", name, "--format", "{{.State.Pid}}"])).stdout);
    const anchor = processesOf(site.dir).find(({ command }) => isAnchor(command));
    expect(anchor?.pid).not.toBe(standIn);
    expect(kill(which === "anchor" ? (anchor?.pid ?? 0) : standIn)).toBe(true);
    await until("podman to see it", async () => (await state(name)) === "exited 137");
    await until("its job to end", async () => (await site.run(["squeue", "-h"])).stdout === "");
    expect(await site.job(name)).toMatch(/^(FAILED|CANCELLED.*) 0:9$/);
    expect((await site.podman(["rm", name])).status).toBe(0);
    await site.nothingLeft();
  });

  test("kill -9 of conmon, and rm -f: what podman does not delete is gone after another container's end", async () => {
    const root = `${site.dir}/run/scrun`;
    await startDetached("kept");
    await startDetached("forgotten");
    const [id, conmon] = (await site.podman(["inspect", "forgotten", "--format", "{{.Id}} {{.State.ConmonPid}}"])).stdout.trim().split(" ");
    expect(kill(Number(conmon))).toBe(true);
    expect((await site.podman(["rm", "-f", "-t", "0", "forgotten"])).status).toBe(0);
    await until("its job to end", async () => (await site.run(["squeue", "-h", "-n", "forgotten"])).stdout === "");
    // Podman 5.8 may have it deleted all the same.
    await until("its anchor to have put it away", () => existsSync(`${root}/${id}/over`) || !existsSync(`${root}/${id}`));
    await until("the next one to sweep", async () => {
      expect((await run(IMAGE, "true")).status).toBe(0);
      return !existsSync(`${root}/${id}`);
    });
    expect(await state("kept")).toBe("running 0");
    expect((await site.podman(["rm", "-f", "-t", "0", "kept"])).status).toBe(0);
  });

  test("the runtime directory is emptied: podman forgets what runs, and rm ends its job", async () => {
    const own = await PodmanSite.open();
    try {
      const id = await own.podman(["run", "-d", "--name", "wiped", IMAGE, "sleep", "1000"]);
      expect(id.status).toBe(0);
      // As systemd-logind does at the end of a user's last session.
      for (const name of readdirSync(join(own.dir, "run"))) rmSync(join(own.dir, "run", name), { recursive: true });
      const queue = async () => (await own.run(["squeue", "-h", "-o", "%j %t"])).stdout;
      expect(await queue()).toBe("wiped R\n");
      expect((await own.podman(["rm", "-f", "wiped"])).status).toBe(0);
      await until("the job to end", async () => (await queue()) === "");
      expect((await own.run(["sacct", "-nXP", "--name", "wiped", "-o", "state,exitcode"])).stdout).toMatch(/^(FAILED|CANCELLED.*)\|0:9\n$/);
    } finally {
      await own[Symbol.asyncDispose]();
    }
  }, 120_000);

  test("scancel ends the container, and podman sees it", async () => {
    await startDetached("cancelled");
    await site.run(["scancel", "--name", "cancelled"]);
    await until("podman to see it", async () => (await state("cancelled")).startsWith("exited"));
    expect(await state("cancelled")).toBe("exited 4"); // its own answer to SIGTERM
    expect(await site.job("cancelled")).toStartWith("CANCELLED");
    await site.podman(["rm", "cancelled"]);
  });

  test("podman build: each RUN step is a job", async () => {
    const context = site.path("context");
    mkdirSync(context);
    // One step reads to the end of its input.
    writeFileSync(`${context}/Containerfile`, `FROM ${IMAGE}\nRUN echo built by $SLURM_JOB_ID > /made\nRUN cat\nRUN cat /made\n`);
    const built = await site.podman(["build", "-q", "--isolation", "oci", "-t", "built", context]);
    expect(built).toMatchObject({ status: 0 });
    expect(await run("built", "cat", "/made")).toMatchObject({ status: 0, stdout: expect.stringMatching(/^built by [0-9]+\n$/) });
  });

  test("a job that has to wait: podman says so, and Ctrl-C withdraws it", async () => {
    const blocker = await site.sbatch("#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.05; done\n", "--exclusive");
    try {
      const command = site.startPodman(["run", "--rm", "--name", "waits", IMAGE, "true"]);
      await until("it to queue", async () => (await site.run(["squeue", "-h", "-n", "waits", "-o", "%T"])).stdout === "PENDING\n");
      await until("podman to say so", () => command.stderrSoFar.includes("queued and waiting for resources"));
      process.kill(-command.pid, "SIGINT"); // as a terminal does it: to the whole foreground
      expect((await command.outcome).status).not.toBe(0);
      await until("it to go", async () => (await site.run(["squeue", "-h", "-n", "waits"])).stdout === "");
    } finally {
      writeFileSync(site.path("go"), "");
    }
    await until("the other job's end", async () => (await site.run(["squeue", "-h", "-j", String(blocker)])).stdout === "");
  });

  test("annotations ask for resources; what cannot be granted is podman's error", async () => {
    // Where no cgroup can hold them, memory and CPUs are the job's all the same.
    const wishes = ["time=7", "memory=64M", "cpus=1"].flatMap((wish) => ["--annotation", `slurm.${wish}`]);
    const limited = await run(...wishes, "-e", "SCRUN_TIMELIMIT=9", "--name", "asks", IMAGE, "true");
    expect(limited).toMatchObject({ status: 0, stderr: "" });
    const columns = "timelimit,reqmem,alloccpus";
    expect((await site.run(["sacct", "-X", "-n", "-P", "--name", "asks", "-o", columns])).stdout).toBe("00:07:00|64M|1\n");
    const refusals: readonly (readonly [option: string, wish: string, reason: string])[] = [
      ["--annotation", "slurm.partition=nowhere", "nvalid partition"],
      ["--annotation", "slurm.time=soon", 'Invalid --time specification (from annotation slurm.time: "soon")'],
      ["--annotation", "slurm.nonsense=1", 'unrecognized option "nonsense" (from annotation slurm.nonsense)'],
      ["--annotation", "slurm.mem=9000G", "cannot be met: 9000G of memory on a node (--mem); partition "],
      ["-e", "SCRUN_MEM_PER_NODE=lots", 'Invalid --mem specification (from SCRUN_MEM_PER_NODE: "lots")'],
    ];
    for (const [option, wish, reason] of refusals) {
      const refused = await run(option, wish, IMAGE, "true");
      expect({ wish, status: refused.status, stderr: refused.stderr }).toEqual({
        wish,
        status: 126,
        stderr: expect.stringContaining(reason),
      });
    }
  });

  test("random exit codes and signals: podman and sacct agree on each, and nothing is left", async () => {
    const runs = Number(process.env["BERTH_PODMAN_RUNS"] ?? 12);
    const wrong: string[] = [];
    const attempt = ++attempts;
    for (let i = 0; i < runs; i++) {
      const signal = i % 4 === 3 ? ([1, 2, 6, 9, 10, 14, 15][Math.floor(Math.random() * 7)] ?? 9) : 0;
      const code = signal === 0 ? Math.floor(Math.random() * 256) : 0;
      const name = `random-${attempt}-${i}`;
      // No SIGQUIT: busybox's shell survives it under every runtime. The first process of a pid namespace is spared by signals it has no handler for, all but those from outside.
      const args = signal === 0 ? [IMAGE, "sh", "-c", `exit ${code}`] : ["--pid=host", IMAGE, "sh", "-c", `kill -${signal} $$`];
      const { status, stderr } = await run("--name", name, ...args);
      const job = await site.job(name);
      const expected = signal === 0 ? code : 128 + signal;
      if (status !== expected || job !== `${expected === 0 ? "COMPLETED" : "FAILED"} ${code}:${signal}`)
        wrong.push(`${name}: wanted ${code}:${signal}, podman says ${status}, sacct ${job} ${stderr}`);
    }
    expect(wrong).toEqual([]);
    expect((await site.podman(["ps", "-a", "-q"])).stdout).toBe("");
    expect((await site.run(["squeue", "-h"])).stdout).toBe("");
  }, 600_000);
});
