// Containers whose jobs have to wait for longer than `start` does: podman has them as running ones, answers, and can withdraw them.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { kill, processesOf, until } from "../e2e/site.ts";
import { canRunPodman, IMAGE, PodmanSite } from "./podman.ts";
import { within } from "./user-site.ts";

/** start gives in after a second. */
const SOON = ["-e", "SCRUN_START_WAIT=1"];
const STILL = /scrun: job [0-9]+ still queued and waiting for resources; the container runs when it is granted/;

describe.skipIf(!canRunPodman)("podman and a long queue", () => {
  let site: PodmanSite;
  beforeAll(async () => {
    site = await PodmanSite.open();
  }, 120_000);
  afterAll(() => site?.[Symbol.asyncDispose](), 60_000);

  /** The machine is full from here to `makeRoom`. */
  beforeEach(async () => {
    rmSync(site.path("go"), { force: true });
    await site.sbatch("#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.05; done\n", "--exclusive", "-J", "filler");
    await until("the machine to be full", async () => (await queued("filler")) === "RUNNING");
  });
  afterEach(async () => {
    makeRoom();
    await site.podman(["rm", "-f", "-a", "-t", "0"]);
    await site.podman(["pod", "rm", "-f", "-a"]);
    await until("no job to be left", async () => (await site.run(["squeue", "-h"])).stdout === "");
  }, 60_000);

  const makeRoom = () => writeFileSync(site.path("go"), "");
  const queued = async (name: string) => (await site.run(["squeue", "-h", "-n", name, "-o", "%T"])).stdout.trim();
  const state = async (name: string) =>
    (await site.podman(["inspect", name, "--format", "{{.State.Status}} {{.State.ExitCode}}"])).stdout.trim();
  const runDetached = async (name: string, ...command: readonly string[]) =>
    expect(await site.podman(["run", "-d", ...SOON, "--name", name, IMAGE, ...command])).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(STILL),
    });

  test("run -d returns; ps, inspect, logs, exec, wait answer; then it runs, and its status is exact", async () => {
    await runDetached("patient", "sh", "-c", "echo ran in $SLURM_JOB_NUM_NODES; exit 5");
    expect(await queued("patient")).toBe("PENDING");
    expect((await site.podman(["ps", "--format", "{{.Names}} {{.Status}}"])).stdout).toMatch(/^patient Up /);
    expect(await state("patient")).toBe("running 0");
    expect((await site.podman(["logs", "patient"])).stderr).toMatch(STILL);
    const refused = await site.podman(["exec", "patient", "true"]);
    expect(refused).toMatchObject({ status: 255, stderr: expect.stringMatching(/does not run yet: job [0-9]+ queued/) });
    expect((await site.podman(["pause", "patient"])).status).not.toBe(0);
    const waiting = site.startPodman(["wait", "patient"]);
    makeRoom();
    expect(await within(waiting)).toMatchObject({ status: 0, stdout: "5\n" });
    expect(await state("patient")).toBe("exited 5");
    expect((await site.podman(["logs", "patient"])).stdout).toBe("ran in 1\n");
    expect(await site.job("patient")).toBe("FAILED 5:0");
  });

  test.each([
    ["a pid namespace of its own", []],
    ["the host's pid namespace", ["--pid=host"]],
  ])(
    "cp, top, what is found by the pid: the container's and never the host's, before and after the grant, with %s",
    async (_title, options) => {
      const script = "echo up; trap 'exit 4' TERM; while :; do sleep 0.05; done";
      const words = ["--tmpfs", "/tmp", "--hostname", "elsewhere", ...options, "--name", "looked-at", IMAGE, "sh", "-c", script];
      expect(await site.podman(["run", "-d", ...SOON, ...words])).toMatchObject({ status: 0 });
      const file = site.path("file");
      writeFileSync(file, "from outside");
      const copyOut = async () => {
        expect(await site.podman(["cp", "looked-at:/etc/group", site.path("group")])).toMatchObject({ status: 0, stderr: "" });
        expect(readFileSync(site.path("group"), "utf8")).toContain("me:x:1000:"); // the image's
      };
      await copyOut();
      expect((await site.podman(["cp", file, `looked-at:${site.path("copied")}`])).status).toBe(125); // no such directory in there
      expect(existsSync(site.path("copied"))).toBe(false);
      expect(await site.podman(["cp", file, "looked-at:/etc/early"])).toMatchObject({ status: 0, stderr: "" });
      expect((await site.podman(["top", "looked-at"])).stdout.trim().split("\n")).toHaveLength(1); // nothing runs
      makeRoom();
      await until("it to be up", async () => (await site.podman(["logs", "looked-at"])).stdout === "up\n");
      await copyOut();
      expect(await site.podman(["cp", file, "looked-at:/tmp/late"])).toMatchObject({ status: 0, stderr: "" });
      expect((await site.podman(["exec", "looked-at", "cat", "/etc/early", "/tmp/late"])).stdout).toBe("from outsidefrom outside");
      const pid = (await site.podman(["inspect", "looked-at", "--format", "{{.State.Pid}}"])).stdout.trim();
      const namespaces = ["uts", "ipc", "mnt"];
      const inside = namespaces.map((name) => `readlink /proc/self/ns/${name}`).join("; ");
      const outside = namespaces.map((name) => readlinkSync(`/proc/${pid}/ns/${name}`));
      expect((await site.podman(["exec", "looked-at", "sh", "-c", inside])).stdout.trim().split("\n")).toEqual(outside);
      expect(await site.podman(["stop", "-t", "10", "looked-at"])).toMatchObject({ status: 0 });
      expect(await state("looked-at")).toBe("exited 4");
    },
  );

  test.each(["anchor", "stand-in"])("kill -9 of the %s: podman sees 137, the job is withdrawn, nothing is left", async (which) => {
    await runDetached("lost", "true");
    const standIn = Number((await site.podman(["inspect", "lost", "--format", "{{.State.Pid}}"])).stdout);
    const anchor = processesOf(site.dir).find(({ command }) => / scrun anchor /.test(command));
    expect(anchor?.pid).not.toBe(standIn);
    expect(kill(which === "anchor" ? (anchor?.pid ?? 0) : standIn)).toBe(true);
    await until("podman to see it", async () => (await state("lost")) === "exited 137");
    await until("its job to go", async () => (await queued("lost")) === "");
    expect((await site.podman(["rm", "lost"])).status).toBe(0);
    makeRoom();
    await until("the filler's end", async () => (await queued("filler")) === "");
    await site.nothingLeft();
  });

  test.each([
    ["stop", ["stop", "-t", "10"]],
    ["kill", ["kill", "-s", "TERM"]],
    ["rm -f", ["rm", "-f", "-t", "0"]],
  ])("%s withdraws the job", async (_title, command) => {
    await runDetached("unwanted", "true");
    expect((await site.podman(["kill", "-s", "WINCH", "unwanted"])).status).toBe(0); // no reason to go
    expect(await queued("unwanted")).toBe("PENDING");
    expect((await site.podman([...command, "unwanted"])).status).toBe(0);
    await until("its job to go", async () => (await queued("unwanted")) === "");
    if (command[0] !== "rm") await until("podman to see it", async () => (await state("unwanted")) === "exited 130");
    expect(await site.job("unwanted")).toStartWith("CANCELLED");
  });

  test("run's Ctrl-C withdraws the job, and run ends", async () => {
    const command = site.startPodman(["run", "--rm", ...SOON, "--name", "interrupted", IMAGE, "true"]);
    await until("start to give in", async () => STILL.test(command.stderrSoFar) && (await state("interrupted")) === "running 0");
    process.kill(-command.pid, "SIGINT");
    expect((await within(command)).status).toBe(130);
    await until("its job to go", async () => (await queued("interrupted")) === "");
  });

  test("what fails with the grant is the exit status, and its reason is in the logs", async () => {
    await runDetached("fails", "no-such-command");
    makeRoom();
    expect((await site.podman(["wait", "fails"])).stdout).toBe("127\n");
    expect((await site.podman(["logs", "fails"])).stderr).toMatch(/no-such-command.*not found/);
  });

  test("scancel in the queue ends it with a reason", async () => {
    await runDetached("cancelled", "true");
    await site.run(["scancel", "--name", "cancelled"]);
    expect((await site.podman(["wait", "cancelled"])).stdout).toBe("1\n");
    expect((await site.podman(["logs", "cancelled"])).stderr).toMatch(/job [0-9]+ was cancelled while it waited in the queue/);
  });

  test("restart of one that waits is another job; start gives in, too", async () => {
    await runDetached("again", "sh", "-c", "exit 6");
    expect(await site.podman(["restart", "-t", "5", "again"])).toMatchObject({ status: 0, stderr: expect.stringMatching(STILL) });
    expect(await queued("again")).toBe("PENDING");
    expect((await site.podman(["stop", "-t", "5", "again"])).status).toBe(0);
    expect(await site.podman(["start", "again"])).toMatchObject({ status: 0, stderr: expect.stringMatching(STILL) });
    makeRoom();
    expect((await site.podman(["wait", "again"])).stdout).toBe("6\n");
  });

  test("-t: the terminal has the line, and later the program", async () => {
    const command = site.startPodmanOnTerminal(["run", "--rm", "-t", ...SOON, "--name", "tty", IMAGE, "sh", "-c", "tty; exit 7"]);
    await until("start to give in", async () => STILL.test(command.stdoutSoFar) && (await state("tty")) === "running 0");
    expect((await site.podman(["exec", "tty", "true"])).stderr).toMatch(/does not run yet: job [0-9]+ queued/);
    makeRoom();
    expect(await within(command)).toMatchObject({ status: 7, stdout: expect.stringContaining("/dev/pts/0") });
  });

  /** What podman makes by itself has no variables of ours: scrun's own say how long start waits. */
  function impatientScrun(): string {
    const path = site.path("scrun");
    writeFileSync(path, `#!/bin/sh\nSCRUN_START_WAIT=1 exec ${site.dir}/bin/scrun "$@"\n`, { mode: 0o755 });
    return path;
  }

  test("pods: a container that joins another one's namespaces follows it", async () => {
    const options = { runtime: impatientScrun() };
    const podman = (...words: readonly string[]) => site.podman(words, options);
    expect((await podman("pod", "create", "--name", "pod", "--share", "ipc,uts,pid")).status).toBe(0);
    const script = "readlink /proc/1/ns/ipc; readlink /proc/self/ns/ipc; tr '\\0' ' ' </proc/1/cmdline; exit 3";
    expect((await podman("create", "--pod", "pod", "--name", "member", IMAGE, "sh", "-c", script)).status).toBe(0);
    expect((await podman("pod", "start", "pod")).stderr).toMatch(STILL);
    expect((await site.run(["squeue", "-h", "-n", "member", "-o", "%T %r"])).stdout).toBe("PENDING Dependency\n");
    const refused = await site.podmanOnTerminal(["run", "--rm", "-t", "--pod", "pod", IMAGE, "true"]);
    expect(refused).toMatchObject({ status: 126, stdout: expect.stringMatching(/namespaces are to be joined, does not run yet/) });
    makeRoom();
    expect((await podman("wait", "member")).stdout).toBe("3\n");
    const [first, own, process] = (await podman("logs", "member")).stdout.split("\n");
    expect([own, process]).toEqual([first, expect.stringMatching(/catatonit/)]);
    expect((await podman("pod", "rm", "-f", "-t", "0", "pod")).status).toBe(0);
  });

  test("pods: what it would join has been withdrawn", async () => {
    await runDetached("first", "true");
    expect(await site.podman(["run", "-d", ...SOON, "--ipc", "container:first", "--name", "second", IMAGE, "true"])).toMatchObject({
      status: 0,
    });
    expect((await site.podman(["stop", "-t", "5", "first"])).status).toBe(0);
    makeRoom();
    expect((await site.podman(["wait", "second"])).stdout).toBe("1\n");
    expect((await site.podman(["logs", "second"])).stderr).toMatch(/whose namespaces are to be joined, has ended/);
  });

  test("build: a RUN step waits as long as it takes", async () => {
    const context = site.path("context");
    mkdirSync(context, { recursive: true });
    writeFileSync(`${context}/Containerfile`, `FROM ${IMAGE}\nRUN echo made by $SLURM_JOB_ID > /made\n`);
    const built = site.startPodman(["--runtime", impatientScrun(), "build", "--isolation", "oci", "-t", "built", context]);
    await until("start to give in", () => STILL.test(built.stderrSoFar + built.stdoutSoFar));
    makeRoom();
    expect((await within(built)).status).toBe(0);
    expect((await site.podman(["run", "--rm", "built", "cat", "/made"])).stdout).toMatch(/^made by [0-9]+\n$/);
  });

  test("-it: Ctrl-C at the terminal withdraws the job", async () => {
    const command = site.startPodmanAndInterrupt(["run", "--rm", "-it", ...SOON, "--name", "typed-at", IMAGE, "true"]);
    await until("start to give in", async () => STILL.test(command.stdoutSoFar) && (await state("typed-at")) === "running 0");
    expect(await queued("typed-at")).toBe("PENDING");
    writeFileSync(site.path("type"), "");
    await until("its job to go", async () => (await queued("typed-at")) === "");
    writeFileSync(site.path("typed"), "");
    expect((await within(command)).status).toBe(130);
  });

  test("-t: stop and rm -f withdraw it", async () => {
    for (const command of [
      ["stop", "-t", "10"],
      ["rm", "-f", "-t", "0"],
    ]) {
      expect(await site.podman(["run", "-d", "-t", ...SOON, "--name", "tty", IMAGE, "true"])).toMatchObject({ status: 0 });
      expect((await site.podman([...command, "tty"])).status).toBe(0);
      await until("its job to go", async () => (await queued("tty")) === "");
      await site.podman(["rm", "-f", "tty"]);
    }
  });
});
