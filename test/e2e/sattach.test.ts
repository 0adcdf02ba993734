// sattach beside the srun of a step: it sees what was said before, feeds tasks, and may go away or hang without harm.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { closeSync, openSync, writeSync } from "node:fs";
import { Site, until, type RunningCommand } from "./site.ts";

let site: Site;
let endless: number;
beforeAll(() => {
  site = new Site();
  Bun.spawnSync(["mkfifo", site.path("endless")], { timeout: 10_000 });
  endless = openSync(site.path("endless"), "r+"); // as long as somebody could write, its readers wait
});
afterAll(async () => {
  closeSync(endless);
  expect(await site.leftovers()).toEqual([]);
  expect(site.complaints()).toEqual([]);
  await site[Symbol.asyncDispose]();
}, 60_000);

/** A step whose tasks echo what they read, until "quit"; its srun's own input never ends. */
async function echoing(...options: string[]): Promise<{ readonly srun: RunningCommand; readonly step: string }> {
  const body = 'echo ready; while read line; do echo "got $line"; test "$line" = quit && exit $((5 + SLURM_PROCID)); done; sleep 1000';
  const srun = site.start(["/bin/sh", "-c", `exec srun -J echoing -n2 ${options.join(" ")} sh -c '${body}' <endless`]);
  const step = await until("the step", async () => {
    const { stdout } = await site.run(["squeue", "-h", "-s", "-n", "echoing", "-o", "%i"]);
    return stdout.trim() === "" ? undefined : stdout.trim().split("\n").at(-1);
  });
  return { srun, step };
}

async function finish(srun: RunningCommand): Promise<void> {
  await site.run(["scancel", "-n", "echoing"]);
  srun.kill("SIGKILL");
  await srun.outcome;
}

test("shows what came before, gives input to the tasks, and ends with the step's exit status", async () => {
  const { srun, step } = await echoing("-l");
  await until("both tasks", () => srun.stdoutSoFar.split("ready").length === 3);
  Bun.spawnSync(["mkfifo", site.path("feed")], { timeout: 10_000 });
  const feed = openSync(site.path("feed"), "r+");
  writeSync(feed, "hello\n");
  const first = site.start(["/bin/sh", "-c", `exec sattach -l --input-filter=1 ${step} <feed`]);
  await until("the echo", () => first.stdoutSoFar.includes("1: got hello"));
  expect(first.stdoutSoFar).toContain("0: ready\n");
  expect(first.stdoutSoFar).toContain("1: ready\n");
  expect(first.stdoutSoFar).not.toContain("0: got");
  first.kill("SIGINT");
  expect((await first.outcome).status).toBe(130);
  closeSync(feed);
  const second = await site.run(["sattach", "--output-filter=0", step], { stdin: "quit\n" });
  expect(second).toEqual({
    status: 6,
    stdout: "ready\ngot quit\n",
    stderr: expect.stringContaining("sattach: error: task 0 exited with exit code 5\n") as string,
  });
  await until("srun's word", () => srun.stderrSoFar.includes("task 1: Exited with exit code 6"));
  expect(srun.stdoutSoFar).toContain("1: got hello\n");
  await finish(srun);
  expect(await site.run(["sattach", step])).toEqual({
    status: 1,
    stdout: "",
    stderr: "sattach: error: Could not get job step info: Invalid job id specified\n",
  });
});

test("one that does not read holds nobody up, and is told what it missed", async () => {
  const body = "sleep 1; i=0; while test $i -lt 300; do seq 1 20000; i=$((i+1)); done; echo last";
  const srun = site.start(["srun", "-J", "loud", "sh", "-c", body], { timeoutMs: 60_000 });
  const step = await until(
    "the step",
    async () => (await site.run(["squeue", "-h", "-s", "-n", "loud", "-o", "%i"])).stdout.trim() || undefined,
  );
  const stopped = site.start(["sattach", step]);
  await until("it to look on", () => stopped.pid);
  await site.run(["sattach", "--layout", step]);
  stopped.kill("SIGSTOP");
  const { status, stdout } = await srun.outcome;
  expect({ status, length: stdout.length }).toEqual({ status: 0, length: 300 * 108_894 + 5 });
  stopped.kill("SIGCONT");
  await stopped.outcome; // with how it ended, unless it came too late for that
}, 90_000);

test("goes on after the step daemon was killed", async () => {
  const { srun, step } = await echoing();
  const seen = site.start(["sattach", "-l", step], { stdin: "" });
  await until("it to see them", () => seen.stdoutSoFar.split("ready").length === 3);
  const [job = "", key = ""] = step.split(".");
  process.kill(await site.stepDaemon(Number(job), key), "SIGKILL");
  await until("the next daemon", async () => (await site.run(["sattach", "--layout", step])).status === 0);
  await site.run(["scancel", "-n", "echoing"]);
  const { status, stderr } = await seen.outcome;
  expect(stderr).not.toContain("Lost the step daemon");
  expect(status).toBeGreaterThan(128);
  await finish(srun);
});
