// 200 container jobs, four at a time: success, failure, death by signal, cancel while running and while waiting, time
// limit. Each ends in the right state with the right exit code in sacct, and nothing is left of any of them.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { accounted, canRunContainers, exitText, processesOf, seeded, Site, until } from "./site.ts";

const JOBS = 200;
const CPUS = 4;
const MINUTE_MS = 60_000;

interface Kind {
  readonly name: string;
  readonly share: number;
  readonly script: (index: number) => string;
  readonly options?: readonly string[];
  /** State and exit code as sacct has them. */
  readonly sacct: (index: number) => string;
}

const failureCode = (index: number) => 1 + ((index * 37) % 255);

const KINDS: readonly Kind[] = [
  // First, so that their minute passes while the others run.
  { name: "time limit", share: 2, options: ["-t", "1"], script: () => "exec sleep 1000", sacct: () => "TIMEOUT|0:0" },
  {
    name: "cancelled while running",
    share: 12,
    script: () => "echo up; exec sleep 1000",
    sacct: () => `CANCELLED by ${process.getuid?.()}|0:0`,
  },
  {
    name: "cancelled, ignoring SIGTERM",
    share: 4,
    script: () => "trap '' TERM; echo up; while :; do sleep 0.1; done",
    sacct: () => `CANCELLED by ${process.getuid?.()}|0:0`,
  },
  {
    name: "cancelled while waiting",
    share: 16,
    options: ["-H"],
    script: () => "echo never",
    sacct: () => `CANCELLED by ${process.getuid?.()}|0:0`,
  },
  { name: "killed inside", share: 10, script: () => "sh -c 'kill -9 $$'; exit $?", sacct: () => "FAILED|137:0" },
  { name: "failure", share: 56, script: (index) => `exit ${failureCode(index)}`, sacct: (index) => `FAILED|${failureCode(index)}:0` },
  { name: "success", share: 100, script: (index) => `echo ${index} $SLURM_JOB_ID`, sacct: () => "COMPLETED|0:0" },
];

interface Submitted {
  readonly kind: Kind;
  readonly index: number;
  readonly jobId: number;
}

describe.skipIf(!canRunContainers)("200 container jobs, 4 at a time", () => {
  let site: Site;
  let submitted: Submitted[] = [];
  let rows = new Map<string, string>();
  const of = (name: string) => submitted.filter(({ kind }) => kind.name === name);

  beforeAll(async () => {
    site = new Site({ conf: `NodeName=n1 CPUs=${CPUS} RealMemory=8000\nPartitionName=debug Nodes=ALL Default=YES\nKillWait=2\n` });
    const random = seeded("many-jobs");
    const plan = KINDS.flatMap((kind) => Array.from({ length: kind.share }, (_, index) => ({ kind, index })));
    expect(plan).toHaveLength(JOBS);
    const [first, rest] = [plan.slice(0, 2), plan.slice(2)];
    rest.sort(() => random() - 0.5);
    const submit = async ({ kind, index }: Omit<Submitted, "jobId">): Promise<Submitted> => {
      const jobId = await site.sbatch(
        `#!/bin/sh\n${kind.script(index)}\n`,
        "--container",
        site.bundle,
        "-J",
        kind.name.replaceAll(/\W+/g, "-"),
        ...(kind.options ?? []),
      );
      return { kind, index, jobId };
    };
    const since = performance.now();
    submitted = await Promise.all(first.map(submit));
    while (rest.length > 0) submitted.push(...(await Promise.all(rest.splice(0, 4).map(submit))));

    // Cancels come while everything else goes on.
    await using engine = await site.engine();
    const signal = AbortSignal.timeout(2 * MINUTE_MS);
    const cancel = async (jobId: number) => {
      const { status, stderr } = await site.run(["scancel", String(jobId)]);
      if (status !== 0) throw new Error(stderr);
    };
    const cancelling = [
      ...of("cancelled while waiting").map(({ jobId }) => cancel(jobId)),
      ...[...of("cancelled while running"), ...of("cancelled, ignoring SIGTERM")].map(async ({ jobId }) => {
        await until(`job ${jobId} to run`, () => site.read(`slurm-${jobId}.out`).includes("up"), 2 * MINUTE_MS);
        await cancel(jobId);
      }),
    ];
    await Promise.all(cancelling);
    await Promise.all(submitted.map(({ jobId }) => engine.waitForEnd(jobId, { signal })));
    console.error(`many-jobs: ${JOBS} jobs took ${Math.round((performance.now() - since) / 1000)} s`);
    const { stdout } = await site.run(["sacct", "-nP", "-o", "JobID,State,ExitCode"]);
    rows = new Map(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => [line.slice(0, line.indexOf("|")), line.slice(line.indexOf("|") + 1)]),
    );
  }, 4 * MINUTE_MS);
  afterAll(() => site[Symbol.asyncDispose](), MINUTE_MS);

  test.each(KINDS.map(({ name }) => name))("%s: state and exit code of each in sacct", (name) => {
    const seen = of(name).map(({ jobId }) => `${jobId} ${rows.get(String(jobId))}`);
    expect(seen).toEqual(of(name).map(({ jobId, kind, index }) => `${jobId} ${kind.sacct(index)}`));
  });

  test("sacct has each job once, and no other", () => {
    const jobs = [...rows.keys()].filter((id) => !id.includes("."));
    expect(jobs.map(Number).sort((a, b) => a - b)).toEqual(submitted.map(({ jobId }) => jobId).sort((a, b) => a - b));
  });

  test("jobs that ran have a batch step, the others none", () => {
    const withStep = submitted.filter(({ jobId }) => rows.has(`${jobId}.batch`)).map(({ kind }) => kind.name);
    expect(withStep.filter((name) => name === "cancelled while waiting")).toEqual([]);
    expect(withStep).toHaveLength(JOBS - of("cancelled while waiting").length);
  });

  test("output is whole, in the file of its own job", () => {
    for (const { jobId, index } of of("success")) expect(site.read(`slurm-${jobId}.out`)).toBe(`${index} ${jobId}\n`);
    for (const { jobId } of of("cancelled while waiting")) expect(existsSync(site.path(`slurm-${jobId}.out`))).toBe(false);
    for (const { jobId } of of("time limit")) expect(site.read(`slurm-${jobId}.out`)).toContain("DUE TO TIME LIMIT");
  });

  test("no CPU was given to two jobs at once, and all four were used", async () => {
    await using engine = await site.engine();
    const ran = [...(await accounted(engine)).values()].filter((job) => job.shares.length > 0);
    const edges = ran.flatMap((job) =>
      job.shares.flatMap(({ cpuIds }) =>
        cpuIds.flatMap((cpu) => [
          { at: job.startedAt ?? 0, cpu, change: 1 },
          { at: job.endedAt ?? 0, cpu, change: -1 },
        ]),
      ),
    );
    edges.sort((a, b) => a.at - b.at || a.change - b.change); // an end and a start in one millisecond: the end came first
    const held = new Map<number, number>();
    const most = new Map<number, number>();
    for (const { cpu, change } of edges) {
      held.set(cpu, (held.get(cpu) ?? 0) + change);
      most.set(cpu, Math.max(most.get(cpu) ?? 0, held.get(cpu) ?? 0));
    }
    expect([...most].sort(([a], [b]) => a - b)).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
      [3, 1],
    ]);
  });

  test("the time limit was kept", async () => {
    await using engine = await site.engine();
    const jobs = await accounted(engine);
    for (const { jobId } of of("time limit")) {
      const job = jobs.get(jobId);
      const ran = (job?.endedAt ?? 0) - (job?.startedAt ?? 0);
      expect(ran).toBeGreaterThanOrEqual(MINUTE_MS);
      expect(ran).toBeLessThan(MINUTE_MS + 15_000);
      expect(job === undefined ? "" : exitText(job)).not.toBe("");
    }
  });

  test("nothing is left: process, mount, runtime state, spool, socket, temporary file", async () => {
    expect(await site.leftovers()).toEqual([]);
    expect(site.complaints()).toEqual([]);
    expect((await site.status())?.liveJobs).toBe(0);
    await site.run(["berth", "daemon", "stop"]);
    await until("the last daemon to be gone", () => processesOf(site.dir).length === 0);
    expect(existsSync(site.socket)).toBe(false);
  }, 30_000);
});
