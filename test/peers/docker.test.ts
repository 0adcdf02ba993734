// What docker's users do, done by a real rootless dockerd through scrun: each container is a job, and docker cannot tell.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { until } from "../e2e/site.ts";
import { havePeers } from "../peers.ts";
import { canRunDocker, DOCKER_MAJOR, DockerSite, HAS_COMPOSE_PLUGIN, IMAGE } from "./docker.ts";
import { resizeTerminal } from "./terminal.ts";
import { within } from "./user-site.ts";

const FOR_EVER = "trap 'exit 4' TERM; echo up; while :; do sleep 0.05; done";

describe.skipIf(!canRunDocker)("docker through scrun", () => {
  let site: DockerSite;
  beforeAll(async () => {
    site = await DockerSite.open();
  }, 120_000);
  afterAll(() => site?.[Symbol.asyncDispose](), 60_000);

  // What a test that failed has left must not fail it again.
  afterEach(async () => {
    const left = (await site.docker(["ps", "-aq"])).stdout.trim();
    if (left !== "") await site.docker(["rm", "-f", ...left.split("\n")]);
  }, 60_000);

  /** A container that runs until it is told to end, and has said so. */
  async function startDetached(name: string, ...options: readonly string[]): Promise<void> {
    const { status, stderr } = await site.dockerRun(["-d", "--name", name, ...options, IMAGE, "sh", "-c", FOR_EVER]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    await until(`${name} to be up`, async () => (await site.docker(["logs", name])).stdout.includes("up"));
  }

  const state = async (name: string) =>
    (await site.docker(["inspect", name, "--format", "{{.State.Status}} {{.State.ExitCode}}"])).stdout.trim();
  const queued = async (name: string) => (await site.run(["squeue", "-h", "-n", name, "-o", "%T"])).stdout.trim();

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
      { title: "says 128 + signal", args: sh("kill -9 $$", "--init"), status: 137 },
      { title: "is a job inside", args: sh("echo $SLURM_JOB_ID $SLURM_STEP_ID"), stdout: /^[0-9]+ 0\n$/ },
      { title: "-i takes standard input", args: ["-i", IMAGE, "cat"], stdin: "one\ntwo\n", stdout: "one\ntwo\n" },
      { title: "--env", args: sh("echo $A", "--env", "A=b c"), stdout: "b c\n" },
      { title: "--user", args: sh("id -u; id -g", "--user", "1000:1000"), stdout: "1000\n1000\n" },
      { title: "--workdir", args: ["--workdir", "/etc", IMAGE, "pwd"], stdout: "/etc\n" },
      { title: "--entrypoint", args: ["--entrypoint", "/bin/echo", IMAGE, "a", "b"], stdout: "a b\n" },
      { title: "--hostname", args: ["--hostname", "elsewhere", IMAGE, "hostname"], stdout: "elsewhere\n" },
      { title: "--read-only", args: sh("echo x > /new", "--read-only"), status: 1 },
      { title: "--init", args: sh("cat /proc/1/comm; exit 3", "--init"), status: 3, stdout: /init/ },
      { title: "a command that is missing is 127", args: [IMAGE, "no-such-command"], status: 127 },
      { title: "a command that may not run is 126", args: [IMAGE, "/etc/passwd"], status: 126 },
    ];
    test.each(cases.map((row) => [row.title, row] as const))("%s", async (_title, { args, stdin, status = 0, stdout }) => {
      const outcome = await site.dockerRun(["--rm", ...args], stdin === undefined ? {} : { stdin });
      expect(outcome.status === status && (status !== 0 || outcome.stderr === "") ? "" : outcome.stderr).toBe("");
      expect(outcome.status).toBe(status);
      if (stdout instanceof RegExp) expect(outcome.stdout).toMatch(stdout);
      else if (stdout !== undefined) expect(outcome.stdout).toBe(stdout);
    });

    test("-v binds a directory, both ways", async () => {
      const { status, stdout } = await site.dockerRun([
        ...["--rm", "-v", `${site.workDir}:/data`, IMAGE, "sh", "-c"],
        "echo there > /data/out; cat /data/out",
      ]);
      expect({ status, stdout }).toEqual({ status: 0, stdout: "there\n" });
      expect(readFileSync(site.path("out"), "utf8")).toBe("there\n");
    });
  });

  test("-t: a terminal, which follows the caller's in size", async () => {
    const resized = 'trap "told=1" WINCH; until [ "$told $(stty size 2>&1)" = "1 33 101" ]; do sleep 0.05; done; stty size; exit 6';
    const script = `test -t 0 && test -t 1 && tty; echo ready; ${resized}`;
    const command = site.startOnTerminal(["run", "--rm", "-it", IMAGE, "sh", "-c", script]);
    await until("it to be ready", () => command.stdoutSoFar.includes("ready") || command.process.exitCode !== null);
    await resizeTerminal(command, 33, 101);
    const { status, stdout } = await within(command);
    // script(1) puts the end of its own input before.
    expect({ status, stdout }).toEqual({ status: 6, stdout: expect.stringMatching(/\/dev\/pts\/0\r?\nready\r?\n33 101\r?\n$/) });
  });

  test("-d, logs, ps, top, exec, stop, start, inspect, rm: a container's life, of which each run is a job", async () => {
    await startDetached("life");
    expect((await site.docker(["ps", "--format", "{{.Names}} {{.Status}}"])).stdout).toMatch(/^life Up /);
    expect((await site.run(["squeue", "-h", "-o", "%j %T"])).stdout).toBe("life RUNNING\n");
    const processes = (await site.docker(["top", "life"])).stdout;
    expect(processes).toContain("sh -c");
    expect(processes).not.toContain("scrun"); // who stands for it is in its cgroup
    const beside = await site.dockerRun(["--rm", "--pid", "container:life", IMAGE, "cat", "/proc/1/cmdline"]);
    expect(beside).toMatchObject({ status: 0, stdout: expect.stringContaining("while") });
    const joined = await site.docker(["run", "--rm", "--name", "joined", "--network", "container:life", IMAGE, "true"]);
    expect([joined.status, await site.job("joined")]).toEqual([0, "COMPLETED 0:0"]);
    expect(await site.docker(["cp", "life:/etc/group", "-"])).toMatchObject({ status: 0, stdout: expect.stringContaining("me:x:1000:") });
    const inside = await site.docker(["exec", "-e", "B=c", "-w", "/tmp", "life", "sh", "-c", "echo in $B $(pwd) $SLURM_STEP_ID; exit 5"]);
    expect(inside).toMatchObject({ status: 5, stdout: "in c /tmp 0\n" });
    expect(await site.docker(["exec", "-i", "life", "cat"], { stdin: "typed\n" })).toMatchObject({ status: 0, stdout: "typed\n" });
    const onTerminal = await site.onTerminal(["exec", "-t", "life", "sh", "-c", "test -t 1 && echo tty; exit 8"]);
    expect({ status: onTerminal.status, stdout: onTerminal.stdout.trim() }).toEqual({ status: 8, stdout: "tty" });
    // docker 20.10 says so with runc, too.
    expect((await site.docker(["exec", "life", "no-such-command"])).status).toBe(DOCKER_MAJOR < 23 ? 126 : 127);
    expect((await site.docker(["stop", "-t", "10", "life"])).status).toBe(0);
    expect(await state("life")).toBe("exited 4");
    expect(await site.job("life")).toBe("FAILED 4:0");
    expect((await site.docker(["start", "life"])).status).toBe(0);
    expect((await site.docker(["restart", "-t", "5", "life"])).status).toBe(0);
    await until("a third job", async () => (await site.job("life")).split("\n").length === 3);
    expect(await state("life")).toStartWith("running");
    expect((await site.docker(["rm", "life"])).status).toBe(1); // it runs
    expect((await site.docker(["rm", "-f", "life"])).status).toBe(0);
    await until("its end", async () => (await site.run(["squeue", "-h"])).stdout === "");
    expect((await site.job("life")).split("\n").at(-1)).toMatch(/^(FAILED|CANCELLED.*) 0:9$/);
  });

  test("logs -f follows to the end", async () => {
    await site.dockerRun(["-d", "--name", "talks", IMAGE, "sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.1; done"]);
    expect((await site.docker(["logs", "-f", "talks"])).stdout).toBe("line 1\nline 2\nline 3\n");
    expect(await site.docker(["wait", "talks"])).toMatchObject({ status: 0, stdout: "0\n" });
  });

  test("a restart policy: each run is another job", async () => {
    const script = "echo job $SLURM_JOB_ID; exit 3";
    await site.dockerRun(["-d", "--name", "again", "--restart", "on-failure:2", IMAGE, "sh", "-c", script]);
    await until("docker to give up", async () => (await state("again")) === "exited 3");
    expect(new Set((await site.docker(["logs", "again"])).stdout.match(/job [0-9]+\n/g)).size).toBe(3);
    expect(await site.job("again")).toBe("FAILED 3:0\nFAILED 3:0\nFAILED 3:0");
  });

  test("a health check looks into the container", async () => {
    const health = async () => (await site.docker(["inspect", "patient", "--format", "{{.State.Health.Status}}"])).stdout.trim();
    const options = ["--health-cmd", "test -e /tmp/well", "--health-interval", "200ms", "--health-retries", "1"];
    await startDetached("patient", ...options);
    await until("it to be ill", async () => (await health()) === "unhealthy");
    expect(await site.docker(["exec", "patient", "touch", "/tmp/well"])).toMatchObject({ status: 0 });
    await until("it to be well", async () => (await health()) === "healthy");
  });

  test("kill -s, wait: the signal is docker's status and the job's", async () => {
    await startDetached("killed");
    const waiting = site.startDocker(["wait", "killed"]);
    expect((await site.docker(["kill", "-s", "KILL", "killed"])).status).toBe(0);
    expect(await within(waiting)).toMatchObject({ status: 0, stdout: "137\n" });
    expect(await state("killed")).toBe("exited 137");
    expect(await site.job("killed")).toBe("FAILED 0:9");
  });

  test("pause, unpause: the container stands still, and so does its job", async () => {
    await startDetached("paused");
    const ticks = async () => (await site.docker(["top", "paused", "-o", "pid,stat,time"])).stdout;
    expect(await site.docker(["pause", "paused"])).toMatchObject({ status: 0 });
    expect(await state("paused")).toStartWith("paused");
    expect(await queued("paused")).toBe("SUSPENDED");
    expect(await ticks()).toMatch(/ [TD]/);
    expect(await site.docker(["unpause", "paused"])).toMatchObject({ status: 0 });
    expect(await queued("paused")).toBe("RUNNING");
    expect(await site.docker(["exec", "paused", "true"])).toMatchObject({ status: 0 });
  });

  test("a container that is paused can be killed, and its job cancelled", async () => {
    for (const name of ["frozen", "halted"]) {
      await startDetached(name);
      expect(await site.docker(["pause", name])).toMatchObject({ status: 0 });
    }
    expect(await site.docker(["rm", "-f", "frozen"])).toMatchObject({ status: 0 });
    await site.run(["scancel", "--name", "halted"]);
    await until("docker to see it", async () => (await state("halted")).startsWith("exited"));
    await until("no job to be left", async () => (await site.run(["squeue", "-h"])).stdout === "");
  });

  test("scancel ends the container, and docker sees it", async () => {
    await startDetached("cancelled");
    await site.run(["scancel", "--name", "cancelled"]);
    await until("docker to see it", async () => (await state("cancelled")) === "exited 4"); // its own answer to SIGTERM
    expect(await site.job("cancelled")).toStartWith("CANCELLED");
    expect((await site.docker(["logs", "cancelled"])).stderr).toMatch(/\*\*\* JOB [0-9]+ CANCELLED AT /);
  });

  test("SCRUN_ variables and labels; a wish that cannot be granted is docker's error", async () => {
    const limited = await site.dockerRun(["--rm", "-e", "SCRUN_TIMELIMIT=7", "--name", "asks", IMAGE, "true"]);
    expect(limited.status).toBe(0);
    expect((await site.run(["sacct", "-X", "-n", "-P", "--name", "asks", "-o", "timelimit"])).stdout).toBe("00:07:00\n");
    const refused = await site.dockerRun(["--rm", "-e", "SCRUN_PARTITION=nowhere", IMAGE, "true"]);
    expect(refused.status).toBe(125);
    expect(refused.stderr).toContain("nvalid partition");
  });

  test("Slurm's commands inside, with the sockets and the executable mounted: steps of the container's job", async () => {
    const binds = [`${site.dir}/run`, `${site.dir}/bin`, "/lib64", `/lib/${process.arch === "x64" ? "x86_64" : "aarch64"}-linux-gnu`];
    const options = [
      ...binds.filter((dir) => existsSync(dir)).flatMap((dir) => ["-v", `${dir}:${dir}`]),
      ...["-e", `XDG_RUNTIME_DIR=${site.dir}/run`, "-e", `PATH=${site.dir}/bin:/bin`],
    ];
    const script = "squeue -h -o '%j %T'; echo text | srun --overlap cat; srun --overlap sh -c 'exit 7'";
    const told = await site.dockerRun(["--rm", "--name", "inside", ...options, IMAGE, "sh", "-c", script]);
    expect(told).toMatchObject({ status: 7, stdout: "inside RUNNING\ntext\n" });
  });

  test("a job that has to wait: docker says so, can look at it, and withdraw it", async () => {
    const blocker = await site.sbatch("#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.05; done\n", "--exclusive");
    try {
      const interrupted = site.startDockerRun(["--name", "interrupted", IMAGE, "true"]);
      const removed = site.startDockerRun(["--name", "removed", IMAGE, "true"]);
      const patient = site.startDockerRun(["--rm", "--name", "patient", IMAGE, "sh", "-c", "echo $SLURM_JOB_NUM_NODES; exit 5"]);
      const onTerminal = site.startOnTerminal(["run", "--rm", "-t", "--name", "on-terminal", IMAGE, "sh", "-c", "exit 7"]);
      for (const command of [interrupted, removed, patient, onTerminal])
        await until("docker to say so", () => /job [0-9]+ queued and waiting/.test(command.stderrSoFar + command.stdoutSoFar));
      for (const name of ["interrupted", "removed", "patient"]) expect(await queued(name)).toBe("PENDING");
      interrupted.kill("SIGWINCH"); // docker hands it on: no reason to go
      interrupted.kill("SIGINT");
      expect((await within(interrupted)).status).toBe(130);
      expect(await state("removed")).toStartWith("running"); // for docker
      expect((await site.docker(["rm", "-f", "removed"])).status).toBe(0);
      await until("two of them to go", async () => (await queued("interrupted")) + (await queued("removed")) === "");
      writeFileSync(site.path("go"), "");
      expect(await within(patient)).toMatchObject({ status: 5, stdout: "1\n" });
      expect((await within(onTerminal)).status).toBe(7);
      await within(removed);
    } finally {
      writeFileSync(site.path("go"), "");
    }
    await until("the other job's end", async () => (await site.run(["squeue", "-h", "-j", String(blocker)])).stdout === "");
  });

  test("a network of docker's, also for a container whose job had to wait when docker configured it", async () => {
    const lookAtNetwork = "ip addr show dev lo; ip addr show dev eth0; ip route";
    const wanted = /inet 127\.0\.0\.1[^]*inet 172\.[0-9.]+\/16[^]*default via 172\.[0-9.]+ dev eth0/;
    const blocker = await site.sbatch("#!/bin/sh\nwhile [ ! -e on ]; do sleep 0.05; done\n", "--exclusive");
    try {
      const options = ["--rm", "--name", "networked", IMAGE, "sh", "-c", lookAtNetwork];
      const command = site.startDocker(["run", ...options]);
      await until("docker to say so", () => /job [0-9]+ queued and waiting/.test(command.stderrSoFar));
      writeFileSync(site.path("on"), "");
      expect(await within(command)).toMatchObject({ status: 0, stdout: expect.stringMatching(wanted) });
      await until("the other job's end", async () => (await site.run(["squeue", "-h", "-j", String(blocker)])).stdout === "");
      expect(await site.docker(["run", ...options])).toMatchObject({ status: 0, stdout: expect.stringMatching(wanted), stderr: "" });
    } finally {
      writeFileSync(site.path("on"), "");
    }
  });

  test.each([
    ["docker's own builder", "0", "returned a non-zero code: 6"],
    ["BuildKit", "1", "exit code: 6"],
  ])("docker build with %s: each RUN step is a job", async (_title, buildkit, failure) => {
    const context = site.path(`context-${buildkit}`);
    const options = { env: { DOCKER_BUILDKIT: buildkit } };
    mkdirSync(context);
    writeFileSync(`${context}/Dockerfile`, `FROM ${IMAGE}\nRUN echo job $SLURM_JOB_ID > /made\nRUN cat /made\n`);
    const built = await site.docker(["build", "-q", "--network=none", "-t", "built", context], options);
    expect(built).toMatchObject({ status: 0 });
    expect((await site.dockerRun(["--rm", "built", "cat", "/made"])).stdout).toMatch(/^job [0-9]+\n$/);
    writeFileSync(`${context}/Dockerfile`, `FROM ${IMAGE}\nRUN exit 6\n`);
    const failed = await site.docker(["build", "--network=none", context], options);
    expect(failed.status).not.toBe(0);
    expect(failed.stderr).toContain(failure);
    if (buildkit === "1") expect(await site.job("docker-build")).toBe("COMPLETED 0:0\nCOMPLETED 0:0\nFAILED 6:0");
    // The runc that the daemon finds first is for its builder only.
    expect(await site.dockerRun(["--rm", "--runtime=runc", IMAGE, "sh", "-c", "echo job $SLURM_JOB_ID"])).toMatchObject({
      status: 0,
      stdout: "job\n",
    });
  });

  test.skipIf(!HAS_COMPOSE_PLUGIN && !havePeers("docker-compose"))("compose up, exec, ps, logs, down: each service is a job", async () => {
    const file = site.path("compose.yml");
    const service = { image: IMAGE, command: ["sh", "-c", FOR_EVER] };
    const services = { one: service, two: { ...service, environment: { SCRUN_TIMELIMIT: "9" }, depends_on: ["one"] } };
    writeFileSync(file, JSON.stringify({ version: "3.8", services })); // JSON is YAML
    const compose = (...args: readonly string[]) => site.compose(["-p", "site", "-f", file, ...args]);
    expect(await compose("up", "-d")).toMatchObject({ status: 0 });
    const [one, two] = HAS_COMPOSE_PLUGIN ? ["site-one-1", "site-two-1"] : ["site_one_1", "site_two_1"];
    expect((await site.run(["squeue", "-h", "-S", "j", "-o", "%j %T %l"])).stdout).toBe(`${one} RUNNING UNLIMITED\n${two} RUNNING 9:00\n`);
    expect(await compose("exec", "-T", "one", "sh", "-c", "echo $SLURM_STEP_ID; exit 7")).toMatchObject({ status: 7, stdout: "0\n" });
    // By the service's name, over the network that compose has made.
    expect(await compose("exec", "-T", "one", "ping", "-c", "1", "-w", "10", "two")).toMatchObject({ status: 0 });
    expect((await compose("ps")).stdout).toContain(two);
    expect((await compose("logs", "two")).stdout).toContain("up");
    expect(await compose("down", "-t", "5")).toMatchObject({ status: 0 });
    expect((await site.run(["squeue", "-h"])).stdout).toBe("");
    expect((await site.docker(["ps", "-aq"])).stdout).toBe("");
  });

  test("random exit codes: docker and sacct agree on each, and nothing is left", async () => {
    const runs = Number(process.env["BERTH_DOCKER_RUNS"] ?? 5);
    const wrong: string[] = [];
    for (let i = 0; i < runs; i++) {
      const code = Math.floor(Math.random() * 256);
      const name = `random-${Math.random().toString(36).slice(2)}`;
      const { status, stderr } = await site.dockerRun(["--rm", "--name", name, IMAGE, "sh", "-c", `exit ${code}`]);
      const job = await site.job(name);
      if (status !== code || job !== `${code === 0 ? "COMPLETED" : "FAILED"} ${code}:0`)
        wrong.push(`${name}: wanted ${code}, docker says ${status}, sacct ${job} ${stderr}`);
    }
    expect(wrong).toEqual([]);
    expect((await site.docker(["ps", "-aq"])).stdout).toBe("");
    expect((await site.run(["squeue", "-h"])).stdout).toBe("");
  }, 600_000);
});
