// The controller is killed at bad moments. What it accepted is never lost, never run twice, and ends with its true result.
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectFrames, parseJsonFrame } from "#platform/frames.ts";
import { findResult } from "#step/journal.ts";
import {
  accounted,
  canRunContainers,
  DEFAULT_CONF,
  exitText,
  isRunning,
  kill,
  processesOf,
  seeded,
  Site,
  until,
  type RunningCommand,
} from "../e2e/site.ts";

const LONG_MS = 60_000;

let site: Site;
beforeEach(() => {
  site = new Site();
});
afterEach(() => site[Symbol.asyncDispose](), LONG_MS);

const controllers = () =>
  processesOf(site.dir)
    .filter(({ command }) => command.startsWith("berthd "))
    .map(({ pid }) => pid);
/** What a process has open, in one text; empty when it is gone. */
const readFds = (pid: number) => {
  try {
    return readdirSync(`/proc/${pid}/fd`)
      .map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
      .join(" ");
  } catch {
    return "";
  }
};
const signal = () => AbortSignal.timeout(30_000);

/** Does something while controllers are killed again and again; the number of kills. */
async function whileKilling(pauseMs: () => number, work: () => Promise<void>): Promise<number> {
  let isOver = false;
  let kills = 0;
  const killer = (async () => {
    for (await Bun.sleep(pauseMs()); !isOver; await Bun.sleep(pauseMs())) for (const pid of controllers()) if (kill(pid)) kills++;
  })();
  try {
    await work();
  } finally {
    isOver = true;
    await killer;
  }
  return kills;
}

/** Waits for the end of each and gives `id state code:signal`, in order. */
async function endsOf(ids: readonly number[]): Promise<string[]> {
  await using engine = await site.engine();
  for (const id of ids) await engine.waitForEnd(id, { signal: signal() });
  const jobs = await accounted(engine);
  return ids.map((id) => {
    const job = jobs.get(id);
    return job === undefined ? `${id} is not accounted` : `${id} ${job.state} ${exitText(job)}`;
  });
}

async function expectNothingLeft(): Promise<void> {
  expect(await site.leftovers()).toEqual([]);
  expect(site.complaints()).toEqual([]);
}

describe("kill -9 of the controller", () => {
  test.skipIf(!canRunContainers)(
    "while 10 container jobs run: all are known to the next command, finish, and are accounted",
    async () => {
      const script = (code: number) => `#!/bin/sh\necho up; sleep 2; echo over; exit ${code}\n`;
      const ids = await Promise.all(Array.from({ length: 10 }, (_, code) => site.sbatch(script(code), "--container", site.bundle)));
      await Promise.all(ids.map((id) => site.written(`slurm-${id}.out`, "up")));
      const old = await site.killController();
      const known = await site.run(["squeue", "-h", "-o", "%A %T"]);
      expect(known.stdout.trimEnd().split("\n").sort()).toEqual(ids.map((id) => `${id} RUNNING`).sort());
      expect(controllers()).not.toContain(old);
      expect(await endsOf(ids)).toEqual(ids.map((id, code) => `${id} ${code === 0 ? "COMPLETED" : "FAILED"} ${code}:0`));
      for (const id of ids) expect(site.read(`slurm-${id}.out`)).toBe("up\nover\n");
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "while it starts, three times in a row: the command that has started it starts another one",
    async () => {
      const command = site.start(["squeue", "-h"]);
      const killed = new Set<number>();
      await until("three controllers to be killed", () => {
        for (const pid of controllers()) if (!killed.has(pid) && kill(pid)) killed.add(pid);
        return killed.size >= 3;
      });
      const { status, stderr } = await command.outcome;
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    },
    LONG_MS,
  );

  test(
    "a job that the next one cannot read is ended, and keeps nobody from his own",
    async () => {
      // Of a partition that is taken away, of an empty dependency, and two that are garbled.
      writeFileSync(join(site.dir, "config/berth/berth.conf"), `${DEFAULT_CONF}PartitionName=other Nodes=ALL\n`);
      const ids = [
        await site.sbatch("#!/bin/sh\n", "--hold", "--partition=other"),
        await site.sbatch("#!/bin/sh\n", "--hold", "--dependency="),
        await site.sbatch("#!/bin/sh\n", "--hold", "--comment=garble"),
        await site.sbatch("#!/bin/sh\n", "--hold", "--comment=lose"),
        await site.sbatch("#!/bin/sh\n", "--hold"),
      ];
      await site.run(["berth", "daemon", "stop"]);
      {
        using database = new Database(join(site.stateDir, "berth.db"));
        database.run(`UPDATE requests SET request = '{"kind":"batch","options":{}}' WHERE job_id = ${ids[2]}`);
        database.run(`DELETE FROM requests WHERE job_id = ${ids[3]}`);
      }
      writeFileSync(join(site.dir, "config/berth/berth.conf"), DEFAULT_CONF);
      expect((await site.run(["scontrol", "release", ...[ids[1], ids[4]].map(String)])).stderr).toBe("");
      await until("their ends", async () => !/ (RUNNING|COMPLETING)/.test((await site.run(["squeue", "-h", "-o", "%A %T"])).stdout));
      const jobs = (await site.run(["sacct", "-nXP", "-o", "jobid,state"])).stdout.trimEnd().split("\n");
      expect(jobs.slice(1)).toEqual([`${ids[1]}|COMPLETED`, `${ids[2]}|FAILED`, `${ids[3]}|FAILED`, `${ids[4]}|COMPLETED`]);
      expect((await site.run(["srun", "echo", "ran"])).stdout).toBe("ran\n");
    },
    LONG_MS,
  );

  test(
    "jobs that ended while there was no controller are accounted as they ended",
    async () => {
      const ids = await Promise.all(
        [0, 5].map((code) => site.sbatch(`#!/bin/sh\necho up; while [ ! -e go ]; do sleep 0.02; done; echo over; exit ${code}\n`)),
      );
      await Promise.all(ids.map((id) => site.written(`slurm-${id}.out`, "up")));
      // Spares bring a controller back; without them nobody does until a command comes.
      const { pid } = (await site.status()) ?? { pid: 0 };
      const busy = new Set(await Promise.all(ids.map((id) => site.stepDaemon(id, "batch"))));
      for (const { pid: daemon } of processesOf(site.dir).filter(({ command }) => command.startsWith("berth-stepd ")))
        if (!busy.has(daemon)) process.kill(daemon, "SIGSTOP");
      process.kill(pid, "SIGKILL");
      writeFileSync(site.path("go"), "");
      await Promise.all(ids.map((id) => site.written(`slurm-${id}.out`, "over")));
      expect(await endsOf(ids)).toEqual([`${ids[0]} COMPLETED 0:0`, `${ids[1]} FAILED 5:0`]);
      for (const { pid: daemon } of processesOf(site.dir))
        try {
          process.kill(daemon, "SIGCONT");
        } catch {
          /* gone */
        }
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "a daemon whose result the next controller read before it could reach the daemon does not wait for one",
    async () => {
      const id = await site.sbatch("#!/bin/sh\necho up; while [ ! -e go ]; do sleep 0.02; done; exit 4\n");
      await site.written(`slurm-${id}.out`, "up");
      const busy = await site.stepDaemon(id, "batch");
      const spares = processesOf(site.dir).filter(({ pid, command }) => command.startsWith("berth-stepd ") && pid !== busy);
      for (const { pid } of spares) process.kill(pid, "SIGSTOP");
      for (const socket of readdirSync(join(site.runtimeDir, "steps"))) rmSync(join(site.runtimeDir, "steps", socket));
      await site.killController();
      for (const { pid } of spares) kill(pid);
      writeFileSync(site.path("go"), "");
      await until("the result", () => findResult(site.journal(id, "batch")) !== undefined);
      expect(await endsOf([id])).toEqual([`${id} FAILED 4:0`]);
      await expectNothingLeft();
      await until("the daemon to be gone, or a spare", () => !readFds(busy).includes("/spool/"));
    },
    LONG_MS,
  );

  test(
    "spare daemons bring it back without any command, and queued jobs go on",
    async () => {
      const first = await site.sbatch("#!/bin/sh\necho up; while [ ! -e go ]; do sleep 0.02; done\n");
      const next = await site.sbatch("#!/bin/sh\necho next\n", "-d", `afterok:${first}`);
      await site.written(`slurm-${first}.out`, "up");
      await until("two spares", () => processesOf(site.dir).filter(({ command }) => command.startsWith("berth-stepd ")).length === 3);
      const { pid } = (await site.status()) ?? { pid: 0 };
      process.kill(pid, "SIGKILL");
      await until("another controller", () => controllers().some((other) => other !== pid));
      writeFileSync(site.path("go"), "");
      await site.written(`slurm-${next}.out`, "next");
      expect(await endsOf([first, next])).toEqual([`${first} COMPLETED 0:0`, `${next} COMPLETED 0:0`]);
      await until("the one that lost the race to be gone", () => controllers().length === 1);
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "an srun that runs does not notice",
    async () => {
      const command = site.start(["srun", "-n2", "-l", "sh", "-c", "echo one; while [ ! -e go ]; do sleep 0.02; done; echo two; exit 3"]);
      await until("the first output", () => command.stdoutSoFar.split("\n").length > 2);
      await site.killController();
      expect((await site.run(["squeue", "-h"])).status).toBe(0);
      writeFileSync(site.path("go"), "");
      const { status, stdout, stderr } = await command.outcome;
      expect(stdout.trimEnd().split("\n").sort()).toEqual(["0: one", "0: two", "1: one", "1: two"]);
      expect(stderr).toMatch(/^(srun: error: n1: tasks? [01](-1)?: Exited with exit code 3\n)+$/);
      expect(status).toBe(3);
      expect(await endsOf([1])).toEqual(["1 FAILED 3:0"]);
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "an srun that waits in the queue keeps its place",
    async () => {
      const blocker = await site.sbatch("#!/bin/sh\necho up; while [ ! -e go ]; do sleep 0.02; done\n", "--exclusive");
      await site.written(`slurm-${blocker}.out`, "up");
      const command = site.start(["srun", "--exclusive", "sh", "-c", "echo ran $SLURM_JOB_ID"]);
      const waiting = await until(
        "the srun to queue",
        async () => (await site.run(["squeue", "-h", "-t", "PD", "-o", "%A"])).stdout.trim() || undefined,
      );
      for (let i = 0; i < 3; i++) {
        await site.killController();
        expect((await site.run(["squeue", "-h", "-t", "PD", "-o", "%A"])).stdout.trim()).toBe(waiting);
      }
      writeFileSync(site.path("go"), "");
      const { status, stdout, stderr } = await command.outcome;
      expect({ status, stdout }).toEqual({ status: 0, stdout: `ran ${waiting}\n` });
      expect(stderr).toContain(`srun: job ${waiting} has been allocated resources`);
      expect(await endsOf([blocker, Number(waiting)])).toEqual([`${blocker} COMPLETED 0:0`, `${waiting} COMPLETED 0:0`]);
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "an allocation whose holder died meanwhile is given back",
    async () => {
      const command = site.start(["salloc", "sh", "-c", "echo up; exec sleep 1000"]);
      await until("the allocation", () => command.stdoutSoFar.includes("up"));
      const { pid } = (await site.status()) ?? { pid: 0 };
      process.kill(command.pid, "SIGKILL");
      process.kill(pid, "SIGKILL");
      await until("the old controller to be gone", () => !isRunning(pid));
      expect(await endsOf([1])).toEqual(["1 CANCELLED 0:0"]);
      // salloc's own command is not the job's.
      for (const { pid: left, command: line } of processesOf(site.dir)) if (line.startsWith("sleep ")) kill(left);
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "a job that is being requeued comes back once, and only after its old run has ended",
    async () => {
      const id = await site.sbatch(
        "#!/bin/sh\ntrap '' TERM\necho up $$; [ -n \"$SLURM_RESTART_COUNT\" ] || while :; do sleep 0.05; done\n",
        "--requeue",
        "--open-mode=append",
      );
      await site.written(`slurm-${id}.out`, "up");
      const task = await site.task(id, "batch");
      {
        await using engine = await site.engine();
        await engine.requeue({ jobId: id, arrayTasks: null, stepKey: null, hold: true }, { signal: signal() });
      }
      await site.killController();
      await using engine = await site.engine();
      const look = async () =>
        (await engine.jobs({ jobIds: [id], userIds: null, states: null, names: null, partitions: null }, { signal: signal() }))[0];
      const job = await until("the job to wait again", async () => {
        const found = await look();
        return found?.flags.length === 0 ? found : undefined;
      });
      expect(job).toMatchObject({ state: "PENDING", restarts: 1, priority: 0, stateDescription: "job requeued in held state", shares: [] });
      expect(isRunning(task)).toBe(false);
      await engine.update({ jobId: id, arrayTasks: null, stepKey: null, changes: { StartTime: "now" } }, { signal: signal() });
      await engine.release({ jobId: id, arrayTasks: null, stepKey: null }, { signal: signal() });
      await engine.waitForEnd(id, { signal: signal() });
      expect(site.read(`slurm-${id}.out`).match(/^up/gm)).toHaveLength(2);
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "a spool directory that a crash left does not keep its step from running",
    async () => {
      await site.sbatch("#!/bin/sh\n", "-H");
      mkdirSync(site.spool(1, "batch"), { mode: 0o700 });
      writeFileSync(join(site.spool(1, "batch"), "plan.json"), "{ torn");
      {
        await using engine = await site.engine();
        await engine.release({ jobId: 1, arrayTasks: null, stepKey: null }, { signal: signal() });
      }
      expect(await endsOf([1])).toEqual(["1 COMPLETED 0:0"]);
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "at random moments during a burst of 40 jobs: each accepted id is accounted once, with its own exit code",
    async () => {
      const random = seeded("controller-burst");
      const accepted = new Map<number, number>();
      const submit = async (code: number) => {
        const { status, stdout, stderr } = await site.run(["sbatch", "--parsable"], {
          stdin: `#!/bin/sh\necho ran >> runs-$SLURM_JOB_ID; sleep 0.0${code % 9}; exit ${code}\n`,
        });
        if (status === 0) accepted.set(Number(stdout), code);
        else expect(stderr).toContain("Unable to contact slurm controller");
      };
      const codes = Array.from({ length: 40 }, (_, code) => code);
      const kills = await whileKilling(
        () => 200 + random() * 400,
        async () => {
          while (codes.length > 0) await Promise.all(codes.splice(0, 4).map(submit));
        },
      );
      console.error(`controller-burst: ${kills} kills, ${accepted.size} accepted`);
      const ids = [...accepted.keys()].sort((a, b) => a - b);
      expect(ids.length).toBeGreaterThan(0);
      expect(await endsOf(ids)).toEqual(ids.map((id) => `${id} ${accepted.get(id) === 0 ? "COMPLETED" : "FAILED"} ${accepted.get(id)}:0`));
      for (const id of ids) expect(`${id}: ${site.read(`runs-${id}`)}`).toBe(`${id}: ran\n`);
      await using engine = await site.engine();
      for (const job of (await accounted(engine)).values()) {
        // a submission that was not answered may still count, once
        expect(["COMPLETED", "FAILED"]).toContain(job.state);
        expect(site.read(`runs-${job.jobId}`)).toBe("ran\n");
      }
      await expectNothingLeft();
    },
    2 * LONG_MS,
  );

  test(
    "at random moments while sruns come and go: none hangs, none is told a wrong result",
    async () => {
      const random = seeded("controller-sruns");
      const results: string[] = [];
      await whileKilling(
        () => 200 + random() * 400,
        async () => {
          for (let round = 0; round < 6; round++) {
            const commands: readonly RunningCommand[] = [1, 2, 3, 4].map((code) =>
              site.start(["srun", "sh", "-c", `echo out ${code}; exit ${code}`]),
            );
            for (const [index, command] of commands.entries()) {
              const { status, stdout, stderr } = await until(
                `srun ${round}.${index}`,
                () => Promise.race([command.outcome, Bun.sleep(10_000).then(() => undefined)]),
                25_000,
              );
              // It may be told that the controller cannot be reached; then its command has not run.
              const isHonest =
                (status === index + 1 && stdout === `out ${index + 1}\n`) ||
                (status === 1 && stdout === "" && /Unable to contact slurm controller/.test(stderr));
              if (!isHonest) results.push(`srun ${round}.${index}: ${status} ${stdout} ${stderr}`);
            }
          }
        },
      );
      expect(results).toEqual([]);
      await using engine = await site.engine();
      await until(
        "every job to have ended",
        async () => [...(await accounted(engine)).values()].every((job) => job.endedAt !== null && job.flags.length === 0),
        30_000,
      );
      await expectNothingLeft();
    },
    2 * LONG_MS,
  );
});

describe("the way there and back", () => {
  test(
    "a stop leaves jobs running, the next command finds them",
    async () => {
      const id = await site.sbatch("#!/bin/sh\necho up; while [ ! -e go ]; do sleep 0.02; done; exit 4\n");
      await site.written(`slurm-${id}.out`, "up");
      expect((await site.run(["berth", "daemon", "stop"])).stdout).toBe("The controller has stopped; 1 running step goes on\n");
      expect(existsSync(site.socket)).toBe(false);
      expect((await site.run(["squeue", "-h", "-o", "%A %T"])).stdout).toBe(`${id} RUNNING\n`);
      writeFileSync(site.path("go"), "");
      expect(await endsOf([id])).toEqual([`${id} FAILED 4:0`]);
      await expectNothingLeft();
    },
    LONG_MS,
  );

  test(
    "a command of another version is told to restart the controller, and may: it answers status and stop",
    async () => {
      await site.run(["squeue", "-h"]);
      const asOtherVersion = async (op: string): Promise<unknown> => {
        const connection = await connectFrames(site.socket);
        const { promise, resolve, reject } = Promise.withResolvers<unknown>();
        connection.handle({
          frame: (_type, payload) => resolve(parseJsonFrame(payload)),
          closed: () => reject(new Error(`no answer to ${op}`)),
        });
        connection.sendJson({ id: 1, version: "0.0.1", op, args: { cancelJobs: false } });
        return await promise;
      };
      expect(await asOtherVersion("nodes")).toMatchObject({
        error: { code: "VERSION", hint: "run: berth daemon restart   (jobs that run go on)" },
      });
      expect(await asOtherVersion("status")).toMatchObject({ result: { pid: controllers()[0], liveJobs: 0 } });
      expect(await asOtherVersion("stop")).toMatchObject({ id: 1, result: null });
      await until("the controller to be gone", () => controllers().length === 0);
    },
    LONG_MS,
  );

  test(
    "a stop with --jobs ends everything",
    async () => {
      const running = await site.sbatch("#!/bin/sh\necho up; exec sleep 1000\n");
      const held = await site.sbatch("#!/bin/sh\n", "-H");
      await site.written(`slurm-${running}.out`, "up");
      expect((await site.run(["berth", "daemon", "stop", "--jobs"])).stdout).toBe("The controller has stopped\n");
      await until("the last process to be gone", () => processesOf(site.dir).length === 0);
      expect(await endsOf([running, held])).toEqual([`${running} CANCELLED 0:15`, `${held} CANCELLED 0:0`]);
    },
    LONG_MS,
  );

  test(
    "ten commands at once start one controller",
    async () => {
      const outcomes = await Promise.all(Array.from({ length: 10 }, () => site.run(["squeue", "-h"])));
      expect(outcomes.map(({ status, stderr }) => `${status}${stderr}`)).toEqual(outcomes.map(() => "0"));
      await until("the losers to be gone", () => controllers().length === 1);
    },
    LONG_MS,
  );
});
