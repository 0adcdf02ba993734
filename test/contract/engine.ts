// What every engine must do, written once against the interface (engine/engine.ts) and run on each implementation. A
// difference is a bug or a capability that the engine lacks, by name; a listed case that passes is reported too.
// Sources: spec lifecycle.md and commands.md, by section.
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Engine } from "#engine/engine.ts";
import { isTerminal } from "#job/state.ts";
import {
  account,
  allocation,
  batch,
  byId,
  ended,
  find,
  follow,
  grant,
  runStep,
  step,
  submitContext,
  target,
  when,
  type Place,
} from "./requests.ts";
import { rejectionOf } from "../rejection.ts";

export interface Subject {
  readonly name: string;
  open(): Promise<Engine>;
  readonly place: Place;
  /** Seconds from TERM to KILL; small, or cases that wait for it take long. */
  readonly killWaitSeconds: number;
  /** Case name → the capability, by name, that this engine lacks. */
  readonly lacks: Readonly<Record<string, string>>;
}

interface Case {
  readonly engine: Engine;
  readonly signal: AbortSignal;
  readonly place: Place;
}

const CASE_MS = 20_000;

export function contractOf(subject: Subject): void {
  const names = new Set<string>();
  const { place } = subject;
  const check = (name: string, body: (facts: Case) => Promise<void>, options: { readonly needsContainers?: boolean } = {}) => {
    if (names.has(name)) throw new Error(`two cases are called "${name}"`);
    names.add(name);
    const run = async () => {
      await using engine = await subject.open();
      await body({ engine, signal: AbortSignal.timeout(CASE_MS), place });
    };
    const capability = subject.lacks[name];
    if (options.needsContainers === true && place.bundle === null) test.skip(name, () => undefined);
    else if (capability === undefined) test(name, run, CASE_MS + 5000);
    else test.failing(`${name} [lacks ${capability}]`, run, CASE_MS + 5000);
  };
  /** Submits a script and waits for its end. */
  const runJob = async ({ engine, signal }: Case, script: string, ...options: readonly string[]) => {
    const { jobId } = await engine.submit(batch(place, script, ...options), { signal });
    return await ended(engine, jobId, { signal });
  };
  const output = (jobId: number | string) => readFileSync(join(place.workDir, `slurm-${jobId}.out`), "utf8");
  /** A script that says when it runs; `started` waits for that. */
  const started = async (facts: Case, jobId: number, text = "up") => {
    for (; !(existsSync(join(place.workDir, `slurm-${jobId}.out`)) && output(jobId).includes(text)); await Bun.sleep(10))
      facts.signal.throwIfAborted();
  };

  describe(`engine: ${subject.name}`, () => {
    describe("batch jobs", () => {
      check("a script that exits 0 is COMPLETED, and its output is in slurm-N.out", async (facts) => {
        const job = await runJob(facts, "echo hello; echo oops >&2");
        expect(job).toMatchObject({ state: "COMPLETED", reason: "None", exit: { code: 0, signal: 0 } });
        expect(output(job.jobId)).toBe("hello\noops\n");
      });
      for (const code of [1, 3, 127, 200, 255]) {
        check(`exit ${code} is FAILED with that code`, async (facts) => {
          expect(await runJob(facts, `exit ${code}`)).toMatchObject({
            state: "FAILED",
            reason: "NonZeroExitCode",
            exit: { code, signal: 0 },
          });
        });
      }
      for (const [signal, number] of [
        ["TERM", 15],
        ["KILL", 9],
        ["SEGV", 11],
      ] as const) {
        check(`a script that dies of SIG${signal} is FAILED with the signal`, async (facts) => {
          const job = await runJob(facts, `kill -${signal} $$; sleep 5`);
          expect(job).toMatchObject({ state: "FAILED", exit: { code: 0, signal: number } });
        });
      }
      check("ids only grow", async (facts) => {
        const { engine, signal } = facts;
        const ids: number[] = [];
        for (let i = 0; i < 5; i++) ids.push((await engine.submit(batch(place, "true"), { signal })).jobId);
        expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
      });
      check("submissions at the same time all count, each once", async (facts) => {
        const { engine, signal } = facts;
        const submitted = await Promise.all(Array.from({ length: 20 }, (_, i) => engine.submit(batch(place, `exit ${i}`), { signal })));
        const jobs = await Promise.all(submitted.map(({ jobId }) => ended(engine, jobId, { signal })));
        expect(new Set(jobs.map(({ jobId }) => jobId)).size).toBe(20);
        expect(jobs.map(({ exit }) => exit.code)).toEqual(Array.from({ length: 20 }, (_, i) => i));
      });
      check("the script sees its job in the environment", async (facts) => {
        const job = await runJob(
          facts,
          "echo $SLURM_JOB_ID $SLURM_JOB_NAME $SLURM_NTASKS $SLURM_JOB_NUM_NODES $SLURM_CPUS_ON_NODE",
          "-J",
          "named",
          "-n",
          "2",
        );
        expect(output(job.jobId)).toBe(`${job.jobId} named 2 1 2\n`);
      });
      check("arguments of the script are kept apart", async (facts) => {
        const { engine, signal } = facts;
        const request = batch(place, 'for a; do echo "<$a>"; done');
        if (request.batch === null) throw new Error("not a batch job");
        const { jobId } = await engine.submit({ ...request, batch: { ...request.batch, args: ["a b", "", "'"] } }, { signal });
        await ended(engine, jobId, { signal });
        expect(output(jobId)).toBe("<a b>\n<>\n<'>\n");
      });
      check("output and error patterns are expanded", async (facts) => {
        const job = await runJob(facts, "echo out; echo err >&2", "-J", "pat", "-o", "%x-%j.out", "-e", "%x-%j.err");
        expect(readFileSync(join(place.workDir, `pat-${job.jobId}.out`), "utf8")).toBe("out\n");
        expect(readFileSync(join(place.workDir, `pat-${job.jobId}.err`), "utf8")).toBe("err\n");
      });
      check("-i gives the script its standard input; without it there is none", async (facts) => {
        writeFileSync(join(place.workDir, "input"), "from a file\n");
        expect(output((await runJob(facts, "cat", "-i", "input")).jobId)).toBe("from a file\n");
        expect(output((await runJob(facts, "cat; echo end")).jobId)).toBe("end\n");
      });
      check("--open-mode=append keeps what was in the file", async (facts) => {
        writeFileSync(join(place.workDir, "kept"), "before\n");
        await runJob(facts, "echo after", "-o", "kept", "--open-mode=append");
        expect(readFileSync(join(place.workDir, "kept"), "utf8")).toBe("before\nafter\n");
        await runJob(facts, "echo alone", "-o", "kept");
        expect(readFileSync(join(place.workDir, "kept"), "utf8")).toBe("alone\n");
      });
      check("a missing input file fails the launch with 0:53", async (facts) => {
        expect(await runJob(facts, "true", "-i", "nosuch")).toMatchObject({
          state: "FAILED",
          reason: "JobLaunchFailure",
          exit: { code: 0, signal: 53 },
        });
      });
      check("a missing working directory is replaced by /tmp, and the user hears of it", async (facts) => {
        const job = await runJob(facts, "pwd", "-D", "/nosuch", "-o", join(place.workDir, "nodir.out"));
        expect(job.state).toBe("COMPLETED");
        const text = readFileSync(join(place.workDir, "nodir.out"), "utf8");
        expect(text).toContain("couldn't chdir to `/nosuch': No such file or directory: going to /tmp instead");
        expect(text.endsWith("/tmp\n")).toBe(true);
      });
      check("what a script leaves behind ends with the job", async (facts) => {
        const job = await runJob(facts, "setsid sleep 1000 & echo $!");
        const pid = Number(output(job.jobId));
        expect(pid).toBeGreaterThan(1);
        expect(existsSync(`/proc/${pid}`)).toBe(false);
      });
      check("the script of a job can be read back", async ({ engine, signal }) => {
        const { jobId } = await engine.submit(batch(place, "#!/bin/sh\n# as submitted\ntrue\n", "-H"), { signal });
        expect(await engine.batchScript(jobId, { signal })).toBe("#!/bin/sh\n# as submitted\ntrue\n");
        await engine.cancel(target(jobId), { signal });
      });
    });

    describe("refusals", () => {
      const refused = (name: string, code: string, ...options: readonly string[]) =>
        check(`${name} is refused`, async ({ engine, signal }) => {
          expect(await rejectionOf(engine.submit(batch(place, "true", ...options), { signal }))).toMatchObject({ code });
        });
      refused("an unknown partition", "INVALID_PARTITION", "-p", "nosuch");
      refused("an unknown node", "INVALID_NODE_NAME", "-w", "nosuch");
      refused("more memory than any node has", "NODE_CONFIG_UNAVAILABLE", "--mem=900T");
      refused("more CPUs for a task than any node has", "NODE_CONFIG_UNAVAILABLE", "-c", "60000");
      refused("afterok of a job that never was", "DEPENDENCY", "-d", "afterok:4000000");
      check("a question about a job that never was is refused", async ({ engine, signal }) => {
        const id = 4_000_000;
        const asks = [
          () => engine.cancel(target(id), { signal }),
          () => engine.hold(target(id), { signal }),
          () => engine.waitForEnd(id, { signal }),
          () => engine.findAllocation(id, { signal }),
          () => engine.batchScript(id, { signal }),
        ];
        for (const ask of asks) expect(await rejectionOf(ask())).toMatchObject({ code: "INVALID_JOB_ID" });
      });
    });

    describe("cancelling", () => {
      check("a pending job ends at once, without steps", async ({ engine, signal }) => {
        const { jobId } = await engine.submit(batch(place, "true", "-H"), { signal });
        await engine.cancel(target(jobId), { signal });
        expect(await account(engine, jobId, { signal })).toMatchObject({ state: "CANCELLED", exit: { code: 0, signal: 0 }, steps: [] });
      });
      check("a running job is told by SIGTERM", async (facts) => {
        const { engine, signal } = facts;
        const { jobId } = await engine.submit(batch(place, "echo up; exec sleep 100"), { signal });
        await started(facts, jobId);
        await engine.cancel(target(jobId), { signal });
        expect(await ended(engine, jobId, { signal })).toMatchObject({
          state: "CANCELLED",
          exit: { code: 0, signal: 15 },
          cancelledBy: process.getuid?.(),
        });
        expect(output(jobId)).toMatch(/\*\*\* JOB \d+ ON \S+ CANCELLED AT \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d \*\*\*/);
      });
      check("a script that catches SIGTERM ends in its own way, and is CANCELLED all the same", async (facts) => {
        const { engine, signal } = facts;
        const { jobId } = await engine.submit(batch(place, "trap 'echo caught; exit 0' TERM; echo up; while :; do sleep 0.1; done"), {
          signal,
        });
        await started(facts, jobId);
        await engine.cancel(target(jobId), { signal });
        expect(await ended(engine, jobId, { signal })).toMatchObject({ state: "CANCELLED", exit: { code: 0, signal: 0 } });
        expect(output(jobId)).toContain("caught\n");
      });
      check("what ignores SIGTERM is killed after KillWait", async (facts) => {
        const { engine, signal } = facts;
        const { jobId } = await engine.submit(batch(place, "trap '' TERM; echo up; while :; do sleep 0.1; done"), { signal });
        await started(facts, jobId);
        const since = performance.now();
        await engine.cancel(target(jobId), { signal });
        expect(await ended(engine, jobId, { signal })).toMatchObject({ state: "CANCELLED", exit: { code: 0, signal: 9 } });
        expect(performance.now() - since).toBeGreaterThan(subject.killWaitSeconds * 1000 - 100);
      });
      check("cancelling twice is not an error, and ends it once", async (facts) => {
        const { engine, signal } = facts;
        const { jobId } = await engine.submit(batch(place, "echo up; exec sleep 100"), { signal });
        await started(facts, jobId);
        await engine.cancel(target(jobId), { signal });
        await engine.cancel(target(jobId), { signal }).catch((error: { code: string }) => expect(error.code).toBe("ALREADY_DONE"));
        expect(await ended(engine, jobId, { signal })).toMatchObject({ state: "CANCELLED" });
        expect(await rejectionOf(engine.cancel(target(jobId), { signal }))).toMatchObject({ code: "ALREADY_DONE" });
      });
      check("a cancel right after the submission is never lost", async ({ engine, signal }) => {
        const jobs = await Promise.all(
          Array.from({ length: 12 }, async (_, i) => {
            const { jobId } = await engine.submit(batch(place, "sleep 100"), { signal });
            await Bun.sleep(i * 4);
            await engine.cancel(target(jobId), { signal });
            return await ended(engine, jobId, { signal });
          }),
        );
        expect(jobs.map(({ state }) => state)).toEqual(jobs.map(() => "CANCELLED"));
      });
      check("a step is killed at once, and its job goes on", async (facts) => {
        const { engine, signal } = facts;
        const { held } = await grant(engine, allocation(place, "-n1"), { signal });
        await using channel = await engine.runStep(
          step(place, held.jobId, ["sh", "-c", "trap 'echo no' TERM; echo up; while :; do sleep 0.1; done"]),
          {
            signal,
            onWaiting: () => undefined,
          },
        );
        let cancelled: Promise<void> | undefined; // once: what the step still says comes when it may be gone
        const seen = await follow(channel, (event) => {
          if (event.kind === "output") cancelled ??= engine.cancel(target(held.jobId, null, 0), { signal });
        });
        await cancelled;
        expect(seen.exit).toEqual({ code: 0, signal: 9 });
        expect((await find(engine, held.jobId, { signal })).state).toBe("RUNNING");
        await held.release({ code: 0, signal: 0 });
      });
      check("signals reach the script with scope batch, its steps with scope steps, nobody with 0", async (facts) => {
        const { engine, signal } = facts;
        const { jobId } = await engine.submit(batch(place, "trap 'echo got USR1; exit 7' USR1; echo up; while :; do sleep 0.05; done"), {
          signal,
        });
        await started(facts, jobId);
        await engine.sendSignal({ ...target(jobId), signalNumber: 10, scope: "steps" }, { signal });
        expect((await find(engine, jobId, { signal })).state).toBe("RUNNING");
        await engine.sendSignal({ ...target(jobId), signalNumber: 10, scope: "batch" }, { signal });
        expect(await ended(engine, jobId, { signal })).toMatchObject({ state: "FAILED", exit: { code: 7, signal: 0 } });
        expect(output(jobId)).toContain("got USR1");
      });
    });

    describe("waiting", () => {
      check("hold keeps a job back, release lets it go", async ({ engine, signal }) => {
        const { jobId } = await engine.submit(batch(place, "true", "-H"), { signal });
        expect(await find(engine, jobId, { signal })).toMatchObject({ state: "PENDING", reason: "JobHeldUser", priority: 0 });
        await engine.release(target(jobId), { signal });
        expect((await ended(engine, jobId, { signal })).state).toBe("COMPLETED");
      });
      check("begin in the future waits, and an update of StartTime starts it", async ({ engine, signal }) => {
        const { jobId } = await engine.submit(batch(place, "true", "--begin=now+1hour"), { signal });
        expect(await when(engine, jobId, (job) => job.reason !== "None", { signal })).toMatchObject({
          state: "PENDING",
          reason: "BeginTime",
        });
        await engine.update({ ...target(jobId), changes: { StartTime: "now" } }, { signal });
        expect((await ended(engine, jobId, { signal })).state).toBe("COMPLETED");
      });
      check("begin soon starts it by itself", async ({ engine, signal }) => {
        const { jobId } = await engine.submit(batch(place, "true", "--begin=now+1"), { signal });
        expect((await ended(engine, jobId, { signal })).state).toBe("COMPLETED");
      });
      check("a time limit can be changed while the job waits, and only lowered while it runs", async (facts) => {
        const { engine, signal } = facts;
        const { jobId } = await engine.submit(batch(place, "echo up; exec sleep 100", "-H", "-t", "10"), { signal });
        await engine.update({ ...target(jobId), changes: { TimeLimit: "20" } }, { signal });
        expect((await find(engine, jobId, { signal })).timeLimitMinutes).toBe(20);
        await engine.release(target(jobId), { signal });
        await started(facts, jobId);
        await engine.update({ ...target(jobId), changes: { TimeLimit: "5" } }, { signal });
        expect(await rejectionOf(engine.update({ ...target(jobId), changes: { TimeLimit: "30" } }, { signal }))).toMatchObject({
          code: "ACCESS_DENIED",
        });
        expect((await find(engine, jobId, { signal })).timeLimitMinutes).toBe(5);
        await engine.cancel(target(jobId), { signal });
      });
      check("waiting for a job that has ended answers at once", async (facts) => {
        const job = await runJob(facts, "exit 2");
        expect(await ended(facts.engine, job.jobId, facts)).toMatchObject({ jobId: job.jobId, state: "FAILED" });
      });
      check("a wait can be given up", async ({ engine, signal }) => {
        const { jobId } = await engine.submit(batch(place, "true", "-H"), { signal });
        expect(await rejectionOf(engine.waitForEnd(jobId, { signal: AbortSignal.timeout(50) }))).toBeInstanceOf(Error);
        await engine.cancel(target(jobId), { signal });
      });
    });

    describe("requeue", () => {
      check("a running job comes back under the same id, delayed", async (facts) => {
        const { engine, signal } = facts;
        const { jobId } = await engine.submit(
          batch(place, 'echo up $SLURM_RESTART_COUNT; if [ -z "$SLURM_RESTART_COUNT" ]; then exec sleep 100; fi', "--requeue"),
          { signal },
        );
        await started(facts, jobId);
        await engine.requeue({ ...target(jobId), hold: false }, { signal });
        expect(await when(engine, jobId, (job) => job.flags.length === 0 && job.state === "PENDING", { signal })).toMatchObject({
          restarts: 1,
          reason: "BeginTime",
        });
        await engine.update({ ...target(jobId), changes: { StartTime: "now" } }, { signal });
        expect(await ended(engine, jobId, { signal })).toMatchObject({ state: "COMPLETED", restarts: 1 });
        expect(output(jobId)).toBe("up 1\n");
      });
      check("a finished job can run again", async (facts) => {
        const { engine, signal } = facts;
        const job = await runJob(facts, "exit ${SLURM_RESTART_COUNT:-9}", "--requeue");
        expect(job.exit.code).toBe(9);
        await engine.requeue({ ...target(job.jobId), hold: true }, { signal });
        expect(await find(engine, job.jobId, { signal })).toMatchObject({
          state: "PENDING",
          priority: 0,
          stateDescription: "job requeued in held state",
        });
        await engine.update({ ...target(job.jobId), changes: { StartTime: "now" } }, { signal });
        await engine.release(target(job.jobId), { signal });
        expect(await ended(engine, job.jobId, { signal })).toMatchObject({ state: "FAILED", exit: { code: 1, signal: 0 } });
      });
      check("a job that must not be requeued is not", async ({ engine, signal }) => {
        const { jobId } = await engine.submit(batch(place, "true", "-H", "--no-requeue"), { signal });
        expect(await rejectionOf(engine.requeue({ ...target(jobId), hold: false }, { signal }))).toMatchObject({ code: "DISABLED" });
        await engine.cancel(target(jobId), { signal });
      });
      check("a cancel while the old run still ends wins over the requeue", async (facts) => {
        const { engine, signal } = facts;
        const { jobId } = await engine.submit(batch(place, "trap '' TERM; echo up; while :; do sleep 0.1; done", "--requeue"), { signal });
        await started(facts, jobId);
        await engine.requeue({ ...target(jobId), hold: false }, { signal });
        await engine.cancel(target(jobId), { signal });
        expect(await ended(engine, jobId, { signal })).toMatchObject({ state: "CANCELLED", flags: [] });
        expect(await engine.steps({ jobId }, { signal })).toEqual([]);
      });
      check("hold and release while the old run still ends do not start it twice", async (facts) => {
        const { engine, signal } = facts;
        const { jobId } = await engine.submit(batch(place, "trap '' TERM; echo up; while :; do sleep 0.1; done", "--requeue"), { signal });
        await started(facts, jobId);
        await engine.requeue({ ...target(jobId), hold: false }, { signal });
        await engine.hold(target(jobId), { signal });
        await engine.release(target(jobId), { signal });
        await engine.update({ ...target(jobId), changes: { Comment: "x" } }, { signal });
        const job = await when(engine, jobId, ({ flags }) => flags.length === 0, { signal });
        expect(job).toMatchObject({ state: "PENDING", restarts: 1, shares: [] });
        await engine.cancel(target(jobId), { signal });
      });
    });

    describe("suspending", () => {
      check("a suspended job stands still until it is resumed", async (facts) => {
        const { engine, signal } = facts;
        const { jobId } = await engine.submit(batch(place, "echo up; for i in 1 2 3 4 5; do sleep 0.1; done; echo over"), { signal });
        await started(facts, jobId);
        await engine.suspend(target(jobId), { signal });
        expect(await find(engine, jobId, { signal })).toMatchObject({ state: "SUSPENDED" });
        await Bun.sleep(800); // longer than the script needs
        expect(output(jobId)).not.toContain("over");
        await engine.resume(target(jobId), { signal });
        expect(await ended(engine, jobId, { signal })).toMatchObject({ state: "COMPLETED" });
      });
      check("a suspended job can be cancelled", async (facts) => {
        const { engine, signal } = facts;
        const { jobId } = await engine.submit(batch(place, "echo up; exec sleep 100"), { signal });
        await started(facts, jobId);
        await engine.suspend(target(jobId), { signal });
        await engine.cancel(target(jobId), { signal });
        expect((await ended(engine, jobId, { signal })).state).toBe("CANCELLED");
      });
    });

    describe("dependencies", () => {
      const rows: readonly (readonly [type: string, exit: number, state: "COMPLETED" | "NEVER"])[] = [
        ["afterok", 0, "COMPLETED"],
        ["afterok", 1, "NEVER"],
        ["afternotok", 1, "COMPLETED"],
        ["afternotok", 0, "NEVER"],
        ["afterany", 0, "COMPLETED"],
        ["afterany", 1, "COMPLETED"],
        ["after", 1, "COMPLETED"],
      ];
      for (const [type, exit, state] of rows) {
        check(`${type} of a job that exits ${exit} ${state === "NEVER" ? "never starts" : "runs"}`, async ({ engine, signal }) => {
          const first = await engine.submit(batch(place, `exit ${exit}`, "-H"), { signal });
          const { jobId } = await engine.submit(batch(place, "true", "-d", `${type}:${first.jobId}`), { signal });
          expect(await when(engine, jobId, (job) => job.reason !== "None", { signal })).toMatchObject({
            state: "PENDING",
            reason: "Dependency",
            dependency: `${type}:${first.jobId}(unfulfilled)`,
          });
          await engine.release(target(first.jobId), { signal });
          if (state === "COMPLETED") {
            expect(await ended(engine, jobId, { signal })).toMatchObject({ state, dependency: null });
          } else {
            const job = await when(engine, jobId, ({ reason }) => reason === "DependencyNeverSatisfied", { signal });
            expect(job).toMatchObject({ state: "PENDING", dependency: `${type}:${first.jobId}(failed)` });
            await engine.cancel(target(jobId), { signal });
          }
        });
      }
      check("after starts beside a job that goes on", async (facts) => {
        const { engine, signal } = facts;
        const first = await engine.submit(batch(place, "exec sleep 100", "-H"), { signal });
        const { jobId } = await engine.submit(batch(place, "true", "-d", `after:${first.jobId}`), { signal });
        await when(engine, jobId, ({ reason }) => reason === "Dependency", { signal });
        await engine.release(target(first.jobId), { signal });
        expect(await ended(engine, jobId, { signal })).toMatchObject({ state: "COMPLETED", dependency: null });
        await engine.cancel(target(first.jobId), { signal });
      });
      check("--kill-on-invalid-dep cancels what can never start", async (facts) => {
        const { engine, signal } = facts;
        const first = await runJob(facts, "exit 1");
        const { jobId } = await engine.submit(batch(place, "true", "-d", `afterok:${first.jobId}`, "--kill-on-invalid-dep=yes"), {
          signal,
        });
        expect(await ended(engine, jobId, { signal })).toMatchObject({ state: "CANCELLED", reason: "DependencyNeverSatisfied" });
      });
      check("any of several is enough with ?", async (facts) => {
        const { engine, signal } = facts;
        const failed = await runJob(facts, "exit 1");
        const good = await runJob(facts, "exit 0");
        const { jobId } = await engine.submit(batch(place, "true", "-d", `afterok:${failed.jobId}?afterok:${good.jobId}`), { signal });
        expect((await ended(engine, jobId, { signal })).state).toBe("COMPLETED");
      });
      check("singletons of one name run one after the other", async ({ engine, signal }) => {
        const first = await engine.submit(batch(place, "true", "-H", "-J", "single"), { signal });
        const { jobId } = await engine.submit(batch(place, "true", "-J", "single", "-d", "singleton"), { signal });
        expect(await when(engine, jobId, (job) => job.reason !== "None", { signal })).toMatchObject({
          state: "PENDING",
          reason: "Dependency",
        });
        await engine.release(target(first.jobId), { signal });
        expect((await ended(engine, jobId, { signal })).state).toBe("COMPLETED");
      });
    });

    describe("arrays", () => {
      check("each task is a job of its own with its own exit", async ({ engine, signal }) => {
        const { jobId } = await engine.submit(
          batch(place, "echo $SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID $SLURM_ARRAY_TASK_COUNT; exit $SLURM_ARRAY_TASK_ID", "-a", "0-3"),
          { signal },
        );
        const tasks = await engine.waitForEnd(jobId, { signal });
        const byIndex = [...tasks].sort((a, b) => (a.array?.taskId ?? 0) - (b.array?.taskId ?? 0));
        expect(byIndex.map((job) => [job.array?.jobId, job.array?.taskId, job.exit.code])).toEqual(
          [0, 1, 2, 3].map((index) => [jobId, index, index]),
        );
        expect(new Set(tasks.map((job) => job.jobId)).size).toBe(4);
        expect(byIndex.at(-1)?.jobId).toBe(jobId); // the last task keeps the array's id (lifecycle §6)
        for (const index of [0, 1, 2, 3]) expect(output(`${jobId}_${index}`)).toBe(`${jobId} ${index} 4\n`);
      });
      check("one task by its own id can be waited for", async ({ engine, signal }) => {
        const { jobId } = await engine.submit(batch(place, "sleep 0.3", "-a", "1-2"), { signal });
        const task = await (async () => {
          for (;;) {
            const found = (await engine.jobs(byId(jobId), { signal })).find((job) => job.array?.taskId === 1);
            if (found !== undefined) return found;
            await Bun.sleep(10);
          }
        })();
        expect(task.jobId).not.toBe(jobId);
        expect((await ended(engine, task.jobId, { signal })).state).toBe("COMPLETED");
        await engine.waitForEnd(jobId, { signal });
      });
      check("a throttle lets only so many run", async ({ engine, signal }) => {
        const { jobId } = await engine.submit(batch(place, "sleep 0.2", "-a", "1-6%2"), { signal });
        const over = engine.waitForEnd(jobId, { signal });
        let most = 0;
        let isOver = false;
        void over.finally(() => {
          isOver = true;
        });
        while (!isOver) {
          const running = (await engine.jobs(byId(jobId), { signal })).filter(
            (job) => job.state === "RUNNING" && job.array?.taskId !== null,
          );
          most = Math.max(most, running.length);
          await Bun.sleep(10);
        }
        expect(most).toBe(2);
        expect((await over).map(({ state }) => state)).toEqual(Array.from({ length: 6 }, () => "COMPLETED"));
      });
      check("tasks are cancelled one by one, or all together", async ({ engine, signal }) => {
        const { jobId } = await engine.submit(batch(place, "true", "-H", "-a", "1-4"), { signal });
        await engine.cancel(target(jobId, [2]), { signal });
        const one = (await engine.jobs(byId(jobId), { signal })).filter((job) => isTerminal(job.state));
        expect(one.map((job) => [job.array?.taskId, job.state])).toEqual([[2, "CANCELLED"]]);
        await engine.cancel(target(jobId), { signal });
        expect((await engine.waitForEnd(jobId, { signal })).every(({ state }) => state === "CANCELLED")).toBe(true);
      });
      check("afterok of an array waits for all of its tasks", async ({ engine, signal }) => {
        const first = await engine.submit(batch(place, "sleep 0.2; exit $((SLURM_ARRAY_TASK_ID / 3))", "-a", "1-3"), { signal });
        const { jobId } = await engine.submit(batch(place, "true", "-d", `afterok:${first.jobId}`), { signal });
        const job = await when(engine, jobId, ({ reason }) => reason === "DependencyNeverSatisfied", { signal });
        expect(job.state).toBe("PENDING");
        await engine.cancel(target(jobId), { signal });
      });
    });

    describe("allocations and steps", () => {
      check("an allocation is granted with its environment, and released with its holder's result", async ({ engine, signal }) => {
        const { held, info } = await grant(engine, allocation(place, "-n2", "-J", "mine"), { signal });
        expect(info.environment).toMatchObject({ SLURM_JOB_ID: String(held.jobId), SLURM_NTASKS: "2", SLURM_JOB_NAME: "mine" });
        expect(info.job.state).toBe("RUNNING");
        await held.release({ code: 0, signal: 0 });
        expect((await held.ended).state).toBe("COMPLETED");
        expect(await account(engine, held.jobId, { signal })).toMatchObject({ state: "COMPLETED", exit: { code: 0, signal: 0 } });
      });
      check("an allocation ends when somebody cancels it", async ({ engine, signal }) => {
        const { held } = await grant(engine, allocation(place), { signal });
        await engine.cancel(target(held.jobId), { signal });
        expect((await held.ended).state).toBe("CANCELLED");
      });
      check("a request that waits can be withdrawn", async ({ engine, signal }) => {
        const withdraw = new AbortController();
        let jobId = 0;
        const waiting = engine.allocate(allocation(place, "-H"), {
          signal: withdraw.signal,
          onEvent: (event) => {
            if (event.kind === "queued") {
              ({ jobId } = event);
              withdraw.abort(new Error("enough"));
            }
          },
        });
        expect(String(await rejectionOf(waiting))).toContain("enough");
        expect((await ended(engine, jobId, { signal })).state).toBe("CANCELLED");
      });
      check("a detached allocation lives on until it is cancelled", async (facts) => {
        const { signal } = facts;
        const other = await subject.open();
        const { held } = await grant(other, allocation(place), { signal });
        await held.detach();
        await other[Symbol.asyncDispose]();
        expect((await find(facts.engine, held.jobId, { signal })).state).toBe("RUNNING");
        await facts.engine.cancel(target(held.jobId), { signal });
        expect((await ended(facts.engine, held.jobId, { signal })).state).toBe("CANCELLED");
      });
      check("streams of two tasks come apart, with each its rank", async ({ engine, signal }) => {
        const { held } = await grant(engine, allocation(place, "-n2"), { signal });
        const seen = await runStep(
          engine,
          step(place, held.jobId, ["-n2", "sh", "-c", "echo out $SLURM_PROCID; echo err $SLURM_PROCID >&2; exit $SLURM_PROCID"]),
          { signal },
        );
        expect(Object.fromEntries(seen.stdout)).toEqual({ 0: "out 0\n", 1: "out 1\n" });
        expect(Object.fromEntries(seen.stderr)).toEqual({ 0: "err 0\n", 1: "err 1\n" });
        expect(Object.fromEntries(seen.exits)).toEqual({ 0: { kind: "exited", code: 0 }, 1: { kind: "exited", code: 1 } });
        expect(seen.exit).toEqual({ code: 1, signal: 0 });
        await held.release({ code: 0, signal: 0 });
        const job = await account(engine, held.jobId, { signal });
        expect(job.derivedExit).toEqual({ code: 1, signal: 0 });
        expect(job.steps.map(({ stepKey, state, exit }) => ({ stepKey, state, exit }))).toEqual([
          { stepKey: 0, state: "FAILED", exit: { code: 1, signal: 0 } },
        ]);
      });
      check("every task gets all of the input", async ({ engine, signal }) => {
        const { held } = await grant(engine, allocation(place, "-n2"), { signal });
        const text = "line\n".repeat(20_000);
        const seen = await runStep(engine, step(place, held.jobId, ["-n2", "wc", "-c"]), { signal }, text);
        expect([...seen.stdout.values()].map((count) => count.trim())).toEqual([String(text.length), String(text.length)]);
        await held.release({ code: 0, signal: 0 });
      });
      check("much output arrives whole, in order", async ({ engine, signal }) => {
        const { held } = await grant(engine, allocation(place, "-n1"), { signal });
        const seen = await runStep(engine, step(place, held.jobId, ["-n1", "seq", "1", "200000"]), { signal });
        const lines = (seen.stdout.get(0) ?? "").trimEnd().split("\n");
        expect(lines).toHaveLength(200_000);
        expect(lines.every((line, index) => line === String(index + 1))).toBe(true);
        await held.release({ code: 0, signal: 0 });
      });
      check("steps are numbered from 0, and each is accounted", async ({ engine, signal }) => {
        const { held } = await grant(engine, allocation(place), { signal });
        for (const code of [0, 3, 0]) await runStep(engine, step(place, held.jobId, ["sh", "-c", `exit ${code}`]), { signal });
        await held.release({ code: 0, signal: 0 });
        const { steps, derivedExit } = await account(engine, held.jobId, { signal });
        expect(steps.map((row) => [row.stepKey, row.state])).toEqual([
          [0, "COMPLETED"],
          [1, "FAILED"],
          [2, "COMPLETED"],
        ]);
        expect(derivedExit.code).toBe(3);
      });
      check("a second step waits for the CPUs of the first", async ({ engine, signal }) => {
        const { held } = await grant(engine, allocation(place, "-n1"), { signal });
        await using first = await engine.runStep(step(place, held.jobId, ["cat"]), { signal, onWaiting: () => undefined });
        let waiting = "";
        const second = engine.runStep(step(place, held.jobId, ["true"]), {
          signal,
          onWaiting: (text) => {
            waiting = text;
            first.closeInput();
          },
        });
        expect((await follow(first)).exit).toEqual({ code: 0, signal: 0 });
        await using channel = await second;
        expect((await follow(channel)).exit).toEqual({ code: 0, signal: 0 });
        expect(waiting).toBe("Requested nodes are busy");
        await held.release({ code: 0, signal: 0 });
      });
      check("overlapping steps do not wait, and an immediate one is refused instead", async ({ engine, signal }) => {
        const { held } = await grant(engine, allocation(place, "-n1"), { signal });
        await using first = await engine.runStep(step(place, held.jobId, ["cat"]), { signal, onWaiting: () => undefined });
        expect((await runStep(engine, step(place, held.jobId, ["--overlap", "true"]), { signal })).exit).toEqual({ code: 0, signal: 0 });
        const immediate = { ...step(place, held.jobId, ["true"]), immediateSeconds: 0 };
        expect(await rejectionOf(engine.runStep(immediate, { signal, onWaiting: () => undefined }))).toMatchObject({ code: "NODES_BUSY" });
        first.closeInput();
        await follow(first);
        await held.release({ code: 0, signal: 0 });
      });
      check("more tasks than the allocation has CPUs is refused", async ({ engine, signal }) => {
        const { held } = await grant(engine, allocation(place, "-n1"), { signal });
        expect(
          await rejectionOf(engine.runStep(step(place, held.jobId, ["-n9", "true"]), { signal, onWaiting: () => undefined })),
        ).toMatchObject({
          code: "TOO_MANY_CPUS",
        });
        await held.release({ code: 0, signal: 0 });
      });
      check("a signal through the channel reaches the tasks", async ({ engine, signal }) => {
        const { held } = await grant(engine, allocation(place), { signal });
        await using channel = await engine.runStep(
          step(place, held.jobId, ["sh", "-c", "trap 'echo got; exit 5' USR1; echo up; while :; do sleep 0.05; done"]),
          { signal, onWaiting: () => undefined },
        );
        let isSent = false;
        const seen = await follow(channel, (event) => {
          if (event.kind === "output" && !isSent) {
            isSent = true;
            channel.sendSignal(10);
          }
        });
        expect(seen.exit).toEqual({ code: 5, signal: 0 });
        await held.release({ code: 0, signal: 0 });
      });
      check("a released allocation ends the steps that still run", async ({ engine, signal }) => {
        const { held } = await grant(engine, allocation(place), { signal });
        await using channel = await engine.runStep(step(place, held.jobId, ["sleep", "100"]), { signal, onWaiting: () => undefined });
        const seen = follow(channel);
        await held.release({ code: 0, signal: 0 });
        expect((await seen).exit).toEqual({ code: 0, signal: 15 });
        expect((await held.ended).state).toBe("COMPLETED");
      });
      check("a step whose caller goes away is killed", async ({ engine, signal }) => {
        const { held } = await grant(engine, allocation(place), { signal });
        const channel = await engine.runStep(
          step(place, held.jobId, ["sh", "-c", "trap '' TERM HUP; echo up; while :; do sleep 0.05; done"]),
          {
            signal,
            onWaiting: () => undefined,
          },
        );
        for await (const event of channel) if (event.kind === "output") break;
        await channel[Symbol.asyncDispose]();
        while ((await engine.steps({ jobId: held.jobId }, { signal })).length > 0) await Bun.sleep(10);
        await held.release({ code: 0, signal: 0 });
        expect((await account(engine, held.jobId, { signal })).steps[0]).toMatchObject({ exit: { code: 0, signal: 9 } });
      });
      check("a command that is not there is an exit status with a message", async ({ engine, signal }) => {
        const { held } = await grant(engine, allocation(place), { signal });
        const seen = await runStep(engine, step(place, held.jobId, ["nosuch-command"]), { signal });
        expect(seen.exits.get(0)).toMatchObject({ kind: "notStarted", errno: 2 });
        expect(seen.stderr.get(0)).toBe("slurmstepd: error: execve(): nosuch-command: No such file or directory\n");
        expect(seen.exit).toEqual({ code: 2, signal: 0 });
        await held.release({ code: 0, signal: 0 });
      });
      check("variables of the caller reach the tasks, with the step's own", async ({ engine, signal }) => {
        const { held } = await grant(engine, allocation(place), { signal });
        const seen = await runStep(
          engine,
          step(place, held.jobId, ["sh", "-c", "echo $MINE $SLURM_JOB_ID.$SLURM_STEP_ID $SLURM_LOCALID"], { environment: { MINE: "ä b" } }),
          { signal },
        );
        expect(seen.stdout.get(0)).toBe(`ä b ${held.jobId}.0 0\n`);
        await held.release({ code: 0, signal: 0 });
      });
      check("no step starts in a job that waits, or is over", async (facts) => {
        const { engine, signal } = facts;
        const { jobId } = await engine.submit(batch(place, "true", "-H"), { signal });
        expect(await rejectionOf(engine.runStep(step(place, jobId, ["true"]), { signal, onWaiting: () => undefined }))).toMatchObject({
          code: "JOB_PENDING",
        });
        await engine.release(target(jobId), { signal });
        await ended(engine, jobId, { signal });
        expect(await rejectionOf(engine.runStep(step(place, jobId, ["true"]), { signal, onWaiting: () => undefined }))).toMatchObject({
          code: "ALREADY_DONE",
        });
      });
    });

    describe("containers", () => {
      const bundle = place.bundle ?? "/nosuch";
      const inContainers = (name: string, body: (facts: Case) => Promise<void>) => check(name, body, { needsContainers: true });
      inContainers("a step runs inside, with the job's variables, and keeps its exit code", async ({ engine, signal }) => {
        const { held } = await grant(engine, allocation(place), { signal });
        const seen = await runStep(
          engine,
          step(place, held.jobId, ["--container", bundle, "sh", "-c", "ls /; echo $SLURM_JOB_ID; exit 42"]),
          { signal },
        );
        expect(seen.stdout.get(0)).toBe(`bin\ndev\nproc\nsys\ntmp\n${held.jobId}\n`);
        expect(seen.exit).toEqual({ code: 42, signal: 0 });
        await held.release({ code: 0, signal: 0 });
        expect((await account(engine, held.jobId, { signal })).steps[0]).toMatchObject({
          container: bundle,
          state: "FAILED",
          exit: { code: 42, signal: 0 },
        });
      });
      inContainers("one container for each task, with its rank and its input", async ({ engine, signal }) => {
        const { held } = await grant(engine, allocation(place, "-n2"), { signal });
        const seen = await runStep(
          engine,
          step(place, held.jobId, ["-n2", "--container", bundle, "sh", "-c", "echo $SLURM_PROCID $(cat)"]),
          { signal },
          "input",
        );
        expect(Object.fromEntries(seen.stdout)).toEqual({ 0: "0 input\n", 1: "1 input\n" });
        await held.release({ code: 0, signal: 0 });
      });
      inContainers("a batch script runs inside", async (facts) => {
        const job = await runJob(facts, "echo $(ls /); exit 9", "--container", bundle);
        expect(job).toMatchObject({ state: "FAILED", exit: { code: 9, signal: 0 }, container: bundle });
        expect(output(job.jobId)).toBe("bin dev proc sys tmp\n");
      });
      inContainers("a container is cancelled, even when its first process ignores SIGTERM", async (facts) => {
        const { engine, signal } = facts;
        const { jobId } = await engine.submit(batch(place, "trap '' TERM; echo up; while :; do sleep 0.1; done", "--container", bundle), {
          signal,
        });
        await started(facts, jobId);
        await engine.cancel(target(jobId), { signal });
        const job = await ended(engine, jobId, { signal });
        expect(job.state).toBe("CANCELLED");
      });
      inContainers("a bundle that is missing fails the launch, and says so", async ({ engine, signal }) => {
        const { held } = await grant(engine, allocation(place), { signal });
        const seen = await runStep(engine, step(place, held.jobId, ["--container", "/nosuch/bundle", "true"]), { signal });
        expect(seen.launchFailure).toMatchObject({ errno: 2 });
        expect(seen.launchFailure?.message).toContain("/nosuch/bundle");
        await held.release({ code: 0, signal: 0 });
      });
      inContainers("a command that is missing inside fails the task", async ({ engine, signal }) => {
        const { held } = await grant(engine, allocation(place), { signal });
        const seen = await runStep(engine, step(place, held.jobId, ["--container", bundle, "nosuch-command"]), { signal });
        expect(seen.exits.get(0)).not.toEqual({ kind: "exited", code: 0 });
        expect([...seen.stderr.values()].join("") + (seen.launchFailure?.message ?? "")).toContain("nosuch-command");
        await held.release({ code: 0, signal: 0 });
      });
    });

    describe("questions", () => {
      check("jobs are found by id, name, state, partition and user", async ({ engine, signal }) => {
        const { jobId } = await engine.submit(batch(place, "true", "-H", "-J", "findme"), { signal });
        const [{ name: partition } = { name: "" }] = (await engine.partitions({ signal })).filter(({ isDefault }) => isDefault);
        const any = { jobIds: null, userIds: null, states: null, names: null, partitions: null };
        const ids = async (filter: Partial<typeof any> | Record<string, unknown>) =>
          (await engine.jobs({ ...any, ...filter }, { signal })).map((job) => Number(job.jobId));
        for (const filter of [
          { jobIds: [jobId] },
          { names: ["findme"] },
          { states: ["PENDING"] },
          { partitions: [partition] },
          { userIds: [process.getuid?.()] },
        ]) {
          expect(await ids(filter)).toContain(jobId);
        }
        for (const filter of [{ names: ["other"] }, { states: ["RUNNING"] }, { partitions: ["nosuch"] }, { userIds: [4242] }])
          expect(await ids(filter)).not.toContain(jobId);
        await engine.cancel(target(jobId), { signal });
      });
      check("nodes and partitions are described, and count what runs", async (facts) => {
        const { engine, signal } = facts;
        const before = (await engine.nodes({ signal })).reduce((sum, node) => sum + node.allocatedCpus, 0);
        const { held, info } = await grant(engine, allocation(place, "-n3"), { signal });
        const nodes = await engine.nodes({ signal });
        expect(nodes.reduce((sum, node) => sum + node.allocatedCpus, 0) - before).toBe(3);
        expect(nodes.map(({ name }) => name)).toEqual(expect.arrayContaining([...info.job.nodes]));
        const partitions = await engine.partitions({ signal });
        expect(partitions.filter(({ isDefault }) => isDefault)).toHaveLength(1);
        await held.release({ code: 0, signal: 0 });
      });
      check("live steps are listed while they run", async ({ engine, signal }) => {
        const { held } = await grant(engine, allocation(place), { signal });
        await using channel = await engine.runStep(step(place, held.jobId, ["-J", "listed", "cat"]), {
          signal,
          onWaiting: () => undefined,
        });
        expect(await engine.steps({ jobId: held.jobId }, { signal })).toMatchObject([{ stepKey: 0, name: "listed", tasks: 1 }]);
        channel.closeInput();
        await follow(channel);
        expect(await engine.steps({ jobId: held.jobId }, { signal })).toEqual([]);
        await held.release({ code: 0, signal: 0 });
      });
      check("accounting keeps a job's times in order, and finds it by its window", async (facts) => {
        const { engine, signal } = facts;
        const { jobId } = await runJob(facts, "sleep 0.2");
        const job = await account(engine, jobId, { signal });
        const { submittedAt, startedAt, endedAt } = job;
        if (startedAt === null || endedAt === null) throw new Error("no times");
        expect(submittedAt).toBeLessThanOrEqual(startedAt);
        expect(endedAt - startedAt).toBeGreaterThanOrEqual(200);
        const within = async (from: number, to: number) =>
          (await engine.accounting({ ...byId(jobId), from: from as never, to: to as never, earlierRuns: false }, { signal })).length;
        expect(await within(startedAt, endedAt)).toBe(1);
        expect(await within(endedAt + 10_000, endedAt + 20_000)).toBe(0);
        expect(job.steps.map(({ stepKey }) => stepKey)).toEqual(["batch"]);
      });
      check("a trial says when and where, and leaves nothing", async ({ engine, signal }) => {
        const count = (await engine.jobs({ jobIds: null, userIds: null, states: null, names: null, partitions: null }, { signal })).length;
        const found = await engine.tryJob(batch(place, "true", "-n2"), { signal });
        expect(found.cpus).toBe(2);
        expect(found.nodes.length).toBeGreaterThan(0);
        expect((await engine.jobs({ jobIds: null, userIds: null, states: null, names: null, partitions: null }, { signal })).length).toBe(
          count,
        );
      });
      check("user and group of a job are the caller's, whatever its environment says", async (facts) => {
        const { engine, signal } = facts;
        const request = { ...batch(place, "id -u"), submit: submitContext(place, { USER: "somebody", UID: "4242" }) };
        const { jobId } = await engine.submit(request, { signal });
        expect(await ended(engine, jobId, { signal })).toMatchObject({ userId: process.getuid?.() });
        expect(output(jobId)).toBe(`${process.getuid?.()}\n`);
      });
    });

    test("every capability that is lacking belongs to a case", () => {
      expect(Object.keys(subject.lacks).filter((name) => !names.has(name))).toEqual([]);
    });
  });
}
