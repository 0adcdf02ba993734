// Step daemons, srun, sbatch and salloc are killed at bad moments. A step whose daemon dies goes on under another one,
// with its output complete and its exit code exact; a step whose srun dies is ended; nothing is left of either.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isChildOf } from "#platform/process-tree.ts";
import { accounted, canRunContainers, exitText, isRunning, kill, processesOf, seeded, Site, until } from "../e2e/site.ts";

const LONG_MS = 60_000;

let site: Site;
beforeEach(() => {
  site = new Site();
});
afterEach(() => site[Symbol.asyncDispose](), LONG_MS);

const signal = () => AbortSignal.timeout(30_000);

async function endOf(id: number): Promise<string> {
  await using engine = await site.engine();
  await engine.waitForEnd(id, { signal: signal() });
  const job = (await accounted(engine)).get(id);
  return job === undefined ? "not accounted" : `${job.state} ${exitText(job)}`;
}

async function expectNothingLeft(): Promise<void> {
  expect(await site.leftovers()).toEqual([]);
  expect(site.complaints()).toEqual([]);
}

const WAIT = "while [ ! -e go ]; do sleep 0.02; done";

describe("kill -9 of a step daemon", () => {
  test(
    "of a batch job: the script goes on, its exit code is its own",
    async () => {
      const id = await site.sbatch(`#!/bin/sh\necho up; ${WAIT}; echo over; exit 7\n`);
      await site.written(`slurm-${id}.out`, "up");
      const task = await site.task(id, "batch");
      for (let i = 0; i < 2; i++) {
        const daemon = await site.stepDaemon(id, "batch");
        process.kill(daemon, "SIGKILL");
        await until("another daemon", async () => (await site.stepDaemon(id, "batch")) !== daemon);
        expect(isRunning(task)).toBe(true);
      }
      writeFileSync(site.path("go"), "");
      expect(await endOf(id)).toBe("FAILED 7:0");
      expect(site.read(`slurm-${id}.out`)).toBe("up\nover\n");
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "of a batch job that a signal ends meanwhile: the signal is known",
    async () => {
      const id = await site.sbatch(`#!/bin/sh\necho up; ${WAIT}; kill -SEGV $$\n`);
      await site.written(`slurm-${id}.out`, "up");
      process.kill(await site.stepDaemon(id, "batch"), "SIGKILL");
      writeFileSync(site.path("go"), "");
      expect(await endOf(id)).toBe("FAILED 0:11");
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "of an srun: no line of output is missing or doubled, and the exit code is exact",
    async () => {
      const command = site.start(["srun", "-n2", "-l", "sh", "-c", `echo up; ${WAIT}; seq 1 3000; exit $((SLURM_PROCID + 4))`]);
      await until("both tasks", () => command.stdoutSoFar.split("up").length === 3);
      const daemon = await site.stepDaemon(1, 0);
      process.kill(daemon, "SIGKILL");
      await until("another daemon", async () => (await site.stepDaemon(1, 0)) !== daemon);
      writeFileSync(site.path("go"), "");
      const { status, stdout } = await command.outcome;
      expect(status).toBe(5);
      for (const task of [0, 1]) {
        const lines = stdout
          .split("\n")
          .filter((line) => line.startsWith(`${task}: `))
          .map((line) => line.slice(3));
        expect(lines).toEqual(["up", ...Array.from({ length: 3000 }, (_, i) => String(i + 1))]);
      }
      expect(await endOf(1)).toBe("FAILED 5:0");
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "of an srun whose tasks end before anybody has noticed: their exit code is known, and srun ends",
    async () => {
      const command = site.start(["srun", "-n2", "sh", "-c", `echo up; ${WAIT}; exit $((SLURM_PROCID + 4))`]);
      await until("both tasks", () => command.stdoutSoFar === "up\nup\n");
      const tasks = [await site.task(1, 0, 0), await site.task(1, 0, 1)];
      const controller = (await site.status())?.pid ?? 0;
      expect(controller).toBeGreaterThan(1);
      process.kill(controller, "SIGSTOP");
      try {
        process.kill(await site.stepDaemon(1, 0), "SIGKILL");
        writeFileSync(site.path("go"), "");
        await until("the tasks' end", () => !tasks.some((pid) => isRunning(pid)));
      } finally {
        process.kill(controller, "SIGCONT");
      }
      const ended = await until("srun's end", () => Promise.race([command.outcome, Bun.sleep(100).then(() => undefined)]), 25_000);
      expect(ended.status).toBe(5);
      expect(await endOf(1)).toBe("FAILED 5:0");
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "while a task writes as fast as it can: only what the daemon had read is lost, and the order stays",
    async () => {
      const command = site.start(["srun", "sh", "-c", `echo 0; ${WAIT}; seq 1 1000000; exit 9`]);
      await until("the task", () => command.stdoutSoFar === "0\n");
      const daemon = await site.stepDaemon(1, 0);
      writeFileSync(site.path("go"), "");
      await until("much output", () => command.stdoutSoFar.length > 1_000_000);
      process.kill(daemon, "SIGKILL");
      const { status, stdout } = await command.outcome;
      expect(status).toBe(9);
      const lines = stdout.trimEnd().split("\n");
      expect(lines.at(-1)).toBe("1000000");
      const breaks = lines.flatMap((line, index) =>
        index > 0 && Number(line) !== Number(lines[index - 1]) + 1 ? [`${lines[index - 1]} then ${line}`] : [],
      );
      expect(breaks.length, breaks.slice(0, 5).join(", ")).toBeLessThanOrEqual(3); // one gap, with a torn line at its edge
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "a cancel while there is no daemon reaches the one that takes over",
    async () => {
      const id = await site.sbatch("#!/bin/sh\necho up; exec sleep 1000\n");
      await site.written(`slurm-${id}.out`, "up");
      await using engine = await site.engine();
      process.kill(await site.stepDaemon(id, "batch"), "SIGKILL");
      await engine.cancel({ jobId: id, arrayTasks: null, stepKey: null }, { signal: signal() });
      expect(await endOf(id)).toBe("CANCELLED 0:15");
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "while a job is being cancelled: what ignores SIGTERM is killed all the same",
    async () => {
      const id = await site.sbatch("#!/bin/sh\ntrap '' TERM; echo up; while :; do sleep 0.05; done\n");
      await site.written(`slurm-${id}.out`, "up");
      await site.run(["scancel", String(id)]);
      process.kill(await site.stepDaemon(id, "batch"), "SIGKILL");
      expect(await endOf(id)).toMatch(/^CANCELLED 0:9$/);
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test.skipIf(!canRunContainers)(
    "of container steps: batch and srun go on, and the containers are cleaned up by the next one",
    async () => {
      mkdirSync(join(site.bundle, "rootfs/w"));
      const wait = "while [ ! -e /w/go ]; do sleep 0.05; done";
      const id = await site.sbatch(`#!/bin/sh\necho up; ${wait}; echo over; exit 11\n`, "--container", site.bundle);
      const command = site.start(["srun", "--container", site.bundle, "sh", "-c", `echo up; ${wait}; echo over; exit 12`]);
      await site.written(`slurm-${id}.out`, "up");
      await until("the srun", () => command.stdoutSoFar.includes("up"));
      const daemons = [await site.stepDaemon(id, "batch"), await site.stepDaemon(id + 1, 0)];
      for (const daemon of daemons) process.kill(daemon, "SIGKILL");
      await until("other daemons", async () => !daemons.includes(await site.stepDaemon(id, "batch")));
      writeFileSync(join(site.bundle, "rootfs/w/go"), "");
      const { status, stdout } = await command.outcome;
      expect({ status, stdout }).toEqual({ status: 12, stdout: "up\nover\n" });
      expect(await endOf(id)).toBe("FAILED 11:0");
      expect(site.read(`slurm-${id}.out`)).toBe("up\nover\n");
      expect(await endOf(id + 1)).toBe("FAILED 12:0");
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test.skipIf(!canRunContainers)(
    "a container whose daemon was killed can be cancelled",
    async () => {
      const id = await site.sbatch("#!/bin/sh\ntrap '' TERM; echo up; while :; do sleep 0.1; done\n", "--container", site.bundle);
      await site.written(`slurm-${id}.out`, "up");
      const daemon = await site.stepDaemon(id, "batch");
      process.kill(daemon, "SIGKILL");
      await until("another daemon", async () => (await site.stepDaemon(id, "batch")) !== daemon);
      await site.run(["scancel", String(id)]);
      expect(await endOf(id)).toStartWith("CANCELLED");
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "at random moments of 24 short steps: each script runs, and ends with its own exit code",
    async () => {
      const random = seeded("daemon-kills");
      const submitted = new Map<number, number>();
      let isOver = false;
      const killer = (async () => {
        // Not for ever: a step that loses ten daemons in a row is given up.
        for (let kills = 0; kills < 60 && !isOver; kills++) {
          await Bun.sleep(5 + random() * 60);
          const daemons = processesOf(site.dir).filter(({ command }) => command.startsWith("berth-stepd "));
          const pids = daemons.map(({ pid }) => pid);
          const victim = daemons[Math.floor(random() * daemons.length)];
          // A task between its fork and its exec still looks like its daemon.
          if (victim !== undefined && pids.some((pid) => isChildOf(victim.pid, pid))) continue;
          if (victim !== undefined) kill(victim.pid);
        }
      })();
      try {
        for (let round = 0; round < 6; round++) {
          await Promise.all(
            [0, 1, 2, 3].map(async (n) => {
              const code = round * 4 + n;
              submitted.set(
                await site.sbatch(
                  `#!/bin/sh\necho ran >> runs-$SLURM_JOB_ID; sleep 0.${n}; exit ${code}\n`,
                  ...(canRunContainers && n === 3 ? ["--container", site.bundle] : []),
                ),
                code,
              );
            }),
          );
        }
        await using engine = await site.engine();
        for (const id of submitted.keys()) await engine.waitForEnd(id, { signal: signal() });
      } finally {
        isOver = true;
        await killer;
      }
      await using engine = await site.engine();
      const jobs = await accounted(engine);
      const found = [...submitted].map(([id]) => `${id} ${jobs.get(id)?.state} ${jobs.get(id)?.exit.code}:${jobs.get(id)?.exit.signal}`);
      expect(found).toEqual([...submitted].map(([id, code]) => `${id} ${code === 0 ? "COMPLETED" : "FAILED"} ${code}:0`));
      // Once, but for the few milliseconds between a task's start and its line in the journal: a daemon that is killed there
      // leaves a task that its successor cannot know of, and starts again.
      for (const [id, code] of submitted) if (code % 4 !== 3) expect(`${id}: ${site.read(`runs-${id}`)}`).toMatch(/^\d+: (ran\n){1,2}$/);
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "a step that kills each of its daemons is given up, and says so",
    async () => {
      const id = await site.sbatch(`#!/bin/sh\necho up; ${WAIT}\n`);
      await site.written(`slurm-${id}.out`, "up");
      writeFileSync(join(site.spool(id, "batch"), "plan.json"), "{ torn");
      const task = await site.task(id, "batch");
      process.kill(await site.stepDaemon(id, "batch"), "SIGKILL");
      expect(await endOf(id)).toBe("NODE_FAIL 0:0");
      await until("its task to be gone", () => !isRunning(task));
      expect(await site.leftovers()).toEqual([]);
    },
    LONG_MS,
  );

  test(
    "spares that die are replaced when they are needed",
    async () => {
      await site.sbatch("#!/bin/sh\n");
      for (let round = 0; round < 5; round++) {
        for (const { pid, command } of processesOf(site.dir)) if (command.startsWith("berth-stepd ")) kill(pid);
        const { status, stdout } = await site.run(["srun", "echo", "ran"]);
        expect({ status, stdout }).toEqual({ status: 0, stdout: "ran\n" });
      }
      await expectNothingLeft();
    },
    LONG_MS,
  );
});

describe("kill -9 of a command", () => {
  for (const container of [false, true]) {
    test.skipIf(container && !canRunContainers)(
      `srun${container ? " with a container" : ""}: its step dies, its job ends, nothing is left`,
      async () => {
        const command = site.start([
          "srun",
          "-n2",
          ...(container ? ["--container", site.bundle] : []),
          "sh",
          "-c",
          "trap '' TERM HUP INT; echo up; while :; do sleep 0.1; done",
        ]);
        await until("both tasks", () => command.stdoutSoFar.split("up").length === 3);
        command.kill("SIGKILL");
        expect(await endOf(1)).toStartWith("CANCELLED");
        await using engine = await site.engine();
        expect((await accounted(engine)).get(1)?.steps[0]).toMatchObject({ endedAt: expect.any(Number) });
        await expectNothingLeft();
      },
      LONG_MS,
    );
  }

  test(
    "srun inside a batch job: only its step dies",
    async () => {
      const id = await site.sbatch("#!/bin/sh\nsrun sh -c 'echo up; exec sleep 1000' & wait $!; echo srun gave $?; srun echo next\n");
      await site.written(`slurm-${id}.out`, "up");
      const srun = processesOf(site.dir).find(({ command }) => command.startsWith("srun sh -c"));
      if (srun === undefined) throw new Error("no srun");
      process.kill(srun.pid, "SIGKILL");
      expect(await endOf(id)).toBe("COMPLETED 0:0");
      expect(site.read(`slurm-${id}.out`)).toContain("srun gave 137\nnext\n");
      await using engine = await site.engine();
      const steps = (await accounted(engine))
        .get(id)
        ?.steps.map(({ stepKey, state }) => `${stepKey} ${state}`)
        .sort();
      expect(steps).toEqual(["0 CANCELLED", "1 COMPLETED", "batch COMPLETED"]);
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "srun that waits in the queue: its job goes",
    async () => {
      const blocker = await site.sbatch(`#!/bin/sh\necho up; ${WAIT}\n`, "--exclusive");
      await site.written(`slurm-${blocker}.out`, "up");
      const command = site.start(["srun", "true"]);
      await until("the srun to queue", async () => (await site.run(["squeue", "-h", "-t", "PD"])).stdout !== "");
      command.kill("SIGKILL");
      expect(await endOf(2)).toBe("CANCELLED 0:0");
      writeFileSync(site.path("go"), "");
      expect(await endOf(blocker)).toBe("COMPLETED 0:0");
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "srun that waits for room in its allocation: the allocation goes on",
    async () => {
      const command = site.start([
        "salloc",
        "-n1",
        "sh",
        "-c",
        `srun sh -c 'echo first; ${WAIT}' & srun sh -c 'echo never' & echo $! > second; ${WAIT}; wait; srun echo last`,
      ]);
      await until("the second srun to wait", () => command.stdoutSoFar.includes("first") && existsSync(site.path("second")));
      await until("it to be in the controller's hands", async () => (await site.run(["squeue", "-h", "-s"])).stdout !== "");
      kill(Number(readFileSync(site.path("second"), "utf8")));
      writeFileSync(site.path("go"), "");
      const { status, stdout } = await command.outcome;
      expect(status).toBe(0);
      expect(stdout.replace("never\n", "")).toBe("first\nlast\n");
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "sbatch right after it asked: the job counts once or not at all",
    async () => {
      await site.run(["squeue", "-h"]);
      const random = seeded("sbatch-kills");
      const told: number[] = [];
      for (let round = 0; round < 24; round++) {
        const command = site.start(["sbatch", "--parsable"], { stdin: `#!/bin/sh\necho ran >> runs-$SLURM_JOB_ID\n` });
        await Bun.sleep(random() * 40);
        command.kill("SIGKILL");
        const { stdout } = await command.outcome;
        if (stdout !== "") told.push(Number(stdout));
      }
      await using engine = await site.engine();
      await until("every job to have ended", async () =>
        [...(await accounted(engine)).values()].every((job) => job.endedAt !== null && job.flags.length === 0),
      );
      const jobs = await accounted(engine);
      expect(jobs.size).toBeLessThanOrEqual(24);
      for (const id of told) expect(jobs.has(id)).toBe(true);
      for (const [id, job] of jobs) expect(`${id} ${job.state} ${site.read(`runs-${id}`)}`).toBe(`${id} COMPLETED ran\n`);
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "salloc: its steps and its job end",
    async () => {
      const command = site.start(["salloc", "-n2", "sh", "-c", "srun sh -c 'echo up; exec sleep 1000'"]);
      await until("the step", () => command.stdoutSoFar.includes("up"));
      command.kill("SIGKILL");
      expect(await endOf(1)).toStartWith("CANCELLED");
      await expectNothingLeft();
    },
    LONG_MS,
  );
});
