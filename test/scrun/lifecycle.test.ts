// The life of a container, in order and out of order: scrun answers as runc does, in the same situations.
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { until as eventually } from "../e2e/site.ts";
import { havePeers } from "../peers.ts";
import { ScrunSite, until, type Called } from "./place.ts";

setDefaultTimeout(120_000);

/** A step of a story: the words of the call, or a state to wait for. `ID` is the container. */
type Step = string | { readonly until: string };

const STORIES: readonly (readonly [name: string, steps: readonly Step[]])[] = [
  ["created, started, ended, deleted", ["create", "state", "start", "state", "kill ID KILL", { until: "stopped" }, "delete ID", "state"]],
  ["start twice", ["create", "start", "start"]],
  ["start after the end", ["create", "start", "kill ID KILL", { until: "stopped" }, "start"]],
  ["kill what has stopped", ["create", "start", "kill ID KILL", { until: "stopped" }, "kill ID TERM"]],
  ["delete what runs", ["create", "start", "delete ID", "state"]],
  ["delete what runs by force", ["create", "start", "delete --force ID", "state"]],
  ["delete what was only created", ["create", "delete ID", "state"]],
  ["kill what was only created", ["create", "kill ID KILL", { until: "stopped" }, "start"]],
  ["an unknown id", ["start", "state", "kill ID TERM", "delete ID", "delete --force ID", "ps ID", "pause ID", "exec ID true"]],
  ["the same id twice", ["create", "create", "start", "create"]],
  ["an id twice in a row", ["create", "delete --force ID", "create", "start"]],
  ["processes", ["create", "start", "exec ID true", "exec ID sh -c 'exit 9'", "exec ID no-such-program"]],
  ["an unknown signal", ["create", "start", "kill ID NOSUCH", "kill ID 0x1"]],
];

function wordsOf(step: string, id: string): string[] {
  if (step === "create") return ["create", "--bundle", ".", id];
  const words = (step.match(/'[^']*'|\S+/g) ?? []).map((word) => word.replace(/^'(.*)'$/, "$1").replace(/^ID$/, id));
  return words.length === 1 ? [...words, id] : words;
}

/** What counts: success or not, and the state that was printed. exec's exit status is the program's. */
function essence(step: string, { code, stdout }: Called): string {
  if (step.startsWith("exec")) return `${step}: ${code}`;
  if (step === "state" && code === 0) return `state: ${String((JSON.parse(stdout) as { status: unknown }).status)}`;
  return `${step}: ${code === 0 ? "done" : "refused"}`;
}

describe.skipIf(!havePeers("runc", "busybox"))(`scrun and runc, as uid ${process.geteuid?.()}`, () => {
  let site: ScrunSite;
  beforeAll(() => {
    site = new ScrunSite();
  });
  afterEach(async () => {
    for (const id of existsSync(site.root) ? readdirSync(site.root) : []) await site.scrun(["delete", "--force", id]);
    for (const id of existsSync(site.runcRoot) ? readdirSync(site.runcRoot) : []) await site.runc(["delete", "--force", id]);
    expect(existsSync(site.root) ? readdirSync(site.root) : []).toEqual([]);
  });
  afterAll(async () => await site[Symbol.asyncDispose]());

  async function tell(steps: readonly Step[], call: (words: readonly string[]) => Promise<Called>): Promise<string[]> {
    const told: string[] = [];
    for (const step of steps) {
      if (typeof step === "string") {
        told.push(essence(step, await call(wordsOf(step, "c1"))));
        continue;
      }
      for (const end = Date.now() + 20_000; ; await Bun.sleep(50)) {
        const { stdout } = await call(["state", "c1"]);
        if ((JSON.parse(stdout) as { status: string }).status === step.until) break;
        if (Date.now() > end) throw new Error(`never ${step.until}`);
      }
    }
    return told;
  }

  test.each(STORIES)("%s", async (_name, steps) => {
    const theirs = await tell(steps, (words) => site.runc(words));
    expect(await tell(steps, (words) => site.scrun(words))).toEqual(theirs);
  });

  test("pause and resume, by root's freezer, or by signals where runc has none", async () => {
    expect((await site.scrun(["create", "--bundle", ".", "c1"])).code).toBe(0);
    expect((await site.scrun(["start", "c1"])).code).toBe(0);
    for (const _again of [1, 2]) {
      expect(await site.scrun(["pause", "c1"])).toMatchObject({ code: 0, stderr: "" });
      expect((await site.state("c1"))["status"]).toBe("paused");
      expect(await site.scrun(["resume", "c1"])).toMatchObject({ code: 0, stderr: "" });
      expect((await site.state("c1"))["status"]).toBe("running");
    }
  });

  test("ps: the numbers of its processes, and ps(1)'s lines of them, by any runtime", async () => {
    site.program("sleep 1000 & exec sleep 2000");
    expect((await site.scrun(["create", "--bundle", ".", "c1"])).code).toBe(0);
    expect((await site.scrun(["start", "c1"])).code).toBe(0);
    const pids = async () => JSON.parse((await site.scrun(["ps", "-f", "json", "c1"])).stdout) as number[];
    await until("both of its processes", async () => (await pids()).length === 2);
    const table = await site.scrun(["ps", "c1", "-o", "pid,args"]);
    expect(table).toMatchObject({ code: 0, stderr: "" });
    const [first, second] = await pids();
    const rows = table.stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.trim().split(/\s+/).join(" "));
    expect(rows.toSorted()).toEqual(["PID COMMAND", `${second} sleep 1000`, `${first} sleep 2000`].toSorted());
    expect((await site.scrun(["ps", "c1"])).stdout).toMatch(/^UID +PID +PPID .*\n.* sleep 2000\n/);
    for (const [words, says] of [
      [["-f", "xml", "c1"], 'not "xml"'],
      [["c1", "-o", "args"], "ps has to print PIDs"],
      [["c1", "-o", "nosuch"], "nosuch"],
    ] as const)
      expect(await site.scrun(["ps", ...words])).toMatchObject({
        code: 1,
        stdout: "",
        stderr: expect.stringContaining(says) as unknown as string,
      });
  });

  test("a container is a job, from the outside and from the inside", async () => {
    site.program("env > /w/env; sleep 1000", (config) => {
      config["root"].readonly = false;
    });
    expect((await site.scrun(["create", "--bundle", ".", "--pid-file", join(site.dir, "pid"), "c1"])).code).toBe(0);
    const created = await site.state("c1");
    expect(created).toMatchObject({
      id: "c1",
      status: "created",
      bundle: site.bundle,
      annotations: { "test.note": "kept" },
      ociVersion: "1.0.2",
    });
    expect(readFileSync(join(site.dir, "pid"), "utf8")).toBe(String(created["pid"]));
    expect((await site.scrun(["start", "c1"])).code).toBe(0);
    const file = join(site.bundle, "rootfs/w/env");
    await until("its environment", () => existsSync(file) && readFileSync(file, "utf8").includes("SLURM_STEP_ID"));
    expect(readFileSync(file, "utf8")).toContain(`SLURM_JOB_ID=${String(created["jobId"])}\n`);
    const shown = (await site.run(["scontrol", "show", "job", String(created["jobId"])])).stdout;
    expect(shown).toContain(`Container=${site.bundle} ContainerID=c1`);
    // Every show command finds it by its id, or tells it.
    const jobId = String(created["jobId"]);
    for (const key of ["containerid=c1", "container-id=c1", `${jobId}.0`]) {
      expect((await site.run(["scontrol", "show", "step", key])).stdout).toMatch(
        new RegExp(`^StepId=${jobId}\\.0 .*ContainerID=c1$`, "ms"),
      );
    }
    expect((await site.run(["scontrol", "show", "step", "containerid=c2"])).stdout).not.toContain("StepId");
    for (const words of [
      ["-h", "-j", jobId],
      ["-h", "-s", `${jobId}.0`],
    ])
      expect((await site.run(["squeue", ...words, "-O", "ContainerID"])).stdout.trim()).toBe("c1");
    for (const words of [
      ["scontrol", "show", "step", `${jobId}.0`, "--json"],
      ["squeue", "-s", "--json"],
    ]) {
      const shownJson = JSON.parse((await site.run(words)).stdout) as { steps: { step: unknown }[] };
      expect(shownJson.steps.map(({ step }) => step)).toMatchObject([
        { container_id: "c1", container_annotations: { "test.note": "kept" } },
      ]);
    }
    await site.scrun(["kill", "c1", "KILL"]);
    await site.untilOver(created["jobId"]);
    expect(await site.accounted(created["jobId"])).toEqual([
      `${String(created["jobId"])}|FAILED|0:9`,
      `${String(created["jobId"])}.0|CANCELLED|0:9`,
    ]);
    expect((await site.run(["sacct", "-nP", "-j", jobId, "-o", "containerid"])).stdout).toBe("c1\nc1\n");
    const { jobs } = JSON.parse((await site.run(["sacct", "--json", "-j", jobId])).stdout) as {
      jobs: { steps: { step: unknown }[] }[];
    };
    const annotations = { "test.note": "kept" };
    expect(jobs[0]?.steps.map(({ step }) => step)).toMatchObject([{ container_id: "c1", container_annotations: annotations }]);
  });

  test("every command has --help", async () => {
    for (const word of ["create", "start", "state", "kill", "delete", "run", "exec", "ps", "pause", "list", "features", "spec"]) {
      for (const option of ["--help", "-h"]) {
        const { code, stdout, stderr } = await site.scrun([word, option]);
        expect({ word, code, stderr, start: stdout.slice(0, 12) }).toEqual({ word, code: 0, stderr: "", start: "Usage: scrun" });
      }
    }
  });

  test("run ends with the container's exit status, and so does its job", async () => {
    for (const status of [0, 1, 77, 255]) {
      site.program(`exit ${status}`);
      expect((await site.scrun(["run", "--bundle", ".", "c1"])).code).toBe(status);
      expect(existsSync(join(site.root, "c1"))).toBe(false);
    }
    site.program("sleep 1000");
  });

  test("cancelling the job stops the container, which says so", async () => {
    site.program("trap 'exit 5' TERM; while :; do sleep 0.1; done");
    const running = site.scrun(["run", "--bundle", ".", "c1"]);
    await until("the container", () => existsSync(join(site.root, "c1/state.json")));
    await site.untilStatus("c1", "running");
    const { jobId } = await site.state("c1");
    await site.run(["scancel", String(jobId)]);
    const { code, stderr } = await running;
    expect(stderr).toMatch(new RegExp(`\\*\\*\\* JOB ${String(jobId)} CANCELLED AT \\S+ \\*\\*\\*`));
    expect(code).toBe(5);
    expect((await site.accounted(jobId))[0]).toMatch(/^\d+\|CANCELLED by \d+\|/);
    site.program("sleep 1000");
  });

  test("create does not wait for the queue, start does, and a kill withdraws the job", async () => {
    const cpus = Number((await site.run(["sinfo", "-h", "-o", "%c"])).stdout.trim());
    const blocker = site.start(["salloc", "-n", String(cpus), "sleep", "1000"]);
    try {
      for (const end = Date.now() + 20_000; Date.now() < end; await Bun.sleep(50)) {
        if ((await site.run(["squeue", "-h", "-o", "%T"])).stdout.trim() === "RUNNING") break;
      }
      expect((await site.scrun(["create", "--bundle", ".", "c1"])).code).toBe(0);
      expect((await site.state("c1"))["status"]).toBe("created");
      const starting = site.scrun(["start", "c1"]);
      await until("start to wait", () =>
        readdirSync(site.dir).some(
          (name) => name.endsWith(".err") && readFileSync(join(site.dir, name), "utf8").includes("queued and waiting for resources"),
        ),
      );
      expect((await site.scrun(["exec", "c1", "true"])).stderr).toMatch(/job [0-9]+ queued and waiting/);
      expect((await site.scrun(["kill", "c1", "TERM"])).code).toBe(0);
      const { code, stderr } = await starting;
      expect(code).toBe(1);
      expect(stderr).toContain("was cancelled");
      expect((await site.state("c1"))["status"]).toBe("stopped");
      // one whose job is cancelled by somebody else
      expect((await site.scrun(["create", "--bundle", ".", "c3"])).code).toBe(0);
      const { jobId } = await site.state("c3");
      const third = site.scrun(["start", "c3"]);
      await until("it to queue", async () => (await site.run(["squeue", "-h", "-t", "PD", "-o", "%i"])).stdout.trim() === String(jobId));
      await site.run(["scancel", String(jobId)]);
      const cancelled = await third;
      expect(cancelled.code).toBe(1);
      expect(cancelled.stderr).toContain(`job ${String(jobId)} was cancelled while it waited in the queue`);
      // and one that gets its turn
      expect((await site.scrun(["create", "--bundle", ".", "c2"])).code).toBe(0);
      const second = site.scrun(["start", "c2"]);
      blocker.kill();
      expect((await second).code).toBe(0);
      expect((await site.state("c2"))["status"]).toBe("running");
    } finally {
      blocker.kill();
      await blocker.exited;
    }
  });

  test("start gives in after SCRUN_START_WAIT; run does not, but when it detaches", async () => {
    const cpus = Number((await site.run(["sinfo", "-h", "-o", "%c"])).stdout.trim());
    const blocker = site.start(["salloc", "-n", String(cpus), "sleep", "1000"]);
    const pending = async () => (await site.run(["squeue", "-h", "-t", "PD", "-o", "%i"])).stdout.trim();
    site.program("echo up; sleep 1000");
    try {
      await eventually("the machine to be full", async () => (await site.run(["squeue", "-h", "-o", "%T"])).stdout.trim() === "RUNNING");
      const soon = { SCRUN_START_WAIT: "1" };
      expect((await site.scrun(["create", "--bundle", ".", "c1"])).code).toBe(0);
      const started = await site.scrun(["start", "c1"], soon);
      expect(started.code).toBe(0);
      const [first, second] = started.stderr.split("\n");
      expect(first).toMatch(/^scrun: job \d+ queued and waiting for resources$/);
      expect(second).toMatch(/^scrun: job \d+ still queued and waiting for resources; the container runs when it is granted$/);
      expect((await site.state("c1"))["status"]).toBe("running");
      for (const words of [
        ["start", "c1"],
        ["delete", "c1"],
        ["pause", "c1"],
        ["ps", "c1"],
      ])
        expect((await site.scrun(words)).code).toBe(1);
      expect(await pending()).toBe(String((await site.state("c1"))["jobId"]));
      expect((await site.scrun(["delete", "--force", "c1"])).code).toBe(0);
      await eventually("its job to go", async () => (await pending()) === "");

      const detached = await site.scrun(["run", "--detach", "--bundle", ".", "c2"], { SCRUN_START_WAIT: "0" });
      expect(detached).toMatchObject({ code: 0, stderr: expect.stringMatching(/queued and waiting/) as unknown as string });
      expect((await site.scrun(["kill", "c2", "TERM"])).code).toBe(0);
      await eventually("its job to go", async () => (await pending()) === "");
      expect((await site.scrun(["delete", "c2"])).code).toBe(0);

      // In the foreground it waits; Ctrl-C, which stops it, withdraws the job.
      const running = site.start(["scrun", "--root", site.root, "run", "--bundle", site.bundle, "c3"], soon);
      let said = "";
      for await (const chunk of running.stderr) {
        said += Buffer.from(chunk).toString();
        if (said.includes("queued and waiting for resources")) break;
      }
      running.kill("SIGINT");
      expect(await running.exited).toBe(1);
      await eventually("its job to go", async () => (await pending()) === "");
      expect((await site.scrun(["state", "c3"])).code).toBe(1);

      // When it runs, signals are its own.
      blocker.kill();
      site.program("trap 'exit 5' INT; echo up; while :; do sleep 0.05; done");
      const signalled = site.start(["scrun", "--root", site.root, "run", "--bundle", site.bundle, "c4"]);
      for await (const chunk of signalled.stdout) if (Buffer.from(chunk).toString().includes("up")) break;
      const caught = () => /^SigCgt:\s*(\w+)$/m.exec(readFileSync(`/proc/${signalled.pid}/status`, "latin1"))?.[1] ?? "0";
      await eventually("run to take SIGQUIT", () => (BigInt(`0x${caught()}`) & 4n) !== 0n); // when it has done with start
      signalled.kill("SIGINT");
      expect(await signalled.exited).toBe(5);
    } finally {
      blocker.kill();
      await blocker.exited;
    }
    site.program("sleep 1000");
  });

  test("what can never be granted, and what cannot be read, fails create with the reason in its log", async () => {
    const log = join(site.dir, "log.json");
    const fails = async (env: Record<string, string>, reason: string) => {
      expect((await site.scrun(["--log", log, "--log-format", "json", "create", "--bundle", ".", "c1"], env)).code).toBe(1);
      const last = JSON.parse(readFileSync(log, "utf8").trimEnd().split("\n").at(-1) ?? "") as Record<string, string>;
      expect(last["level"]).toBe("error");
      expect(last["msg"]).toContain(reason);
      expect(last["time"]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/);
      expect(existsSync(join(site.root, "c1"))).toBe(false);
    };
    await fails({ SCRUN_PARTITION: "nowhere" }, "Invalid partition name specified");
    await fails({ SCRUN_TIMELIMIT: "soon" }, 'Invalid --time specification (from SCRUN_TIMELIMIT: "soon")');
    await fails({ SCRUN_CPUS_PER_TASK: "100000" }, "(cannot be met: 100000 CPUs for a task (--cpus-per-task); partition ");
    site.program("true", (config) => {
      config["root"].path = 7;
    });
    await fails({}, "root.path is no text");
    site.program("true", (config) => {
      config["process"].args = ["/no/such/program"];
    });
    await site.scrun(["--log", log, "--log-format", "json", "run", "--bundle", ".", "c1"]);
    expect(readFileSync(log, "utf8").trimEnd().split("\n").at(-1)).toContain("/no/such/program");
    expect((await site.run(["squeue", "-h"])).stdout).toBe("");
    site.program("sleep 1000");
  });

  test("in an existing allocation a container is a step, and never ends the job", async () => {
    const holder = site.start(["salloc", "--no-shell"]);
    await holder.exited;
    const jobId = (await site.run(["squeue", "-h", "-o", "%i"])).stdout.trim();
    expect((await site.scrun(["create", "--bundle", ".", "c1"], { SLURM_JOB_ID: jobId })).code).toBe(0);
    expect((await site.scrun(["start", "c1"])).code).toBe(0);
    expect((await site.state("c1"))["jobId"]).toBe(Number(jobId));
    expect((await site.scrun(["delete", "--force", "c1"])).code).toBe(0);
    expect((await site.run(["squeue", "-h", "-o", "%T"])).stdout.trim()).toBe("RUNNING");
    await site.run(["scancel", jobId]);
    await site.untilOver(jobId);
    expect((await site.accounted(jobId)).at(-1)).toBe(`${jobId}.0|CANCELLED|0:9`);
  });
});
