// The slurm engine changes things: many jobs at once, nodes, partitions. On a real Slurm of two nodes.
import { afterAll, describe, expect, test } from "bun:test";
import { cancelTogether } from "#engine/slurm/cancel-each.ts";
import type { JobTarget } from "#engine/engine.ts";
import { rejectionOf } from "../rejection.ts";
import { haveSlurm, SlurmSite } from "./site.ts";

const site = haveSlurm ? new SlurmSite({ nodes: 2, cpus: 2 }) : undefined;
afterAll(async () => {
  await site?.[Symbol.asyncDispose]();
}, 60_000);

const within = () => ({ signal: AbortSignal.timeout(50_000) });
const target = (jobId: number, more: Partial<JobTarget> = {}): JobTarget => ({ jobId, arrayTasks: null, stepKey: null, ...more });
const ANY = { jobIds: null, userIds: null, states: null, names: null, partitions: null } as const;

describe.skipIf(site === undefined)("the slurm engine in control", () => {
  const on = site as SlurmSite;
  const submit = async (...words: readonly string[]) =>
    Number((await on.run(["sbatch", "--parsable", "-H", "-o", "/dev/null", ...words, "--wrap", "true"])).stdout.trim());

  test("many jobs are cancelled by one scancel, and what cannot be is told at its place", async () => {
    const engine = on.engine();
    const jobs: number[] = [];
    for (let index = 0; index < 5; index++) jobs.push(await submit());
    const array = await submit("-a", "1-4");
    const wanted = [
      ...jobs.slice(0, 3).map((jobId) => target(jobId)),
      target(99_999),
      target(array, { arrayTasks: [2, 3] }),
      ...jobs.slice(3).map((jobId) => target(jobId)),
    ];
    const outcomes = await engine.cancelEach(wanted, within());
    expect(outcomes.map((error) => error?.code ?? null)).toEqual([null, null, null, "INVALID_JOB_ID", null, null, null]);
    const states = await engine.jobs({ ...ANY, jobIds: jobs }, within());
    expect(states.map(({ state }) => state)).toEqual(jobs.map(() => "CANCELLED"));
    expect((await on.run(["squeue", "-h", "-r", "-o", "%F_%K"])).stdout.trim().split("\n").sort()).toEqual([`${array}_1`, `${array}_4`]);
    expect(await engine.cancelEach([target(array)], within())).toEqual([null]);
  }, 60_000);

  test("whole jobs share a call; a failure that names nobody is that of all", async () => {
    const calls: string[][] = [];
    const scancel = (status: number, stderr: string) => (ids: readonly string[]) => {
      calls.push([...ids]);
      return Promise.resolve({ status: { kind: "exited", code: status } as const, stdout: "", stderr });
    };
    const cancel = ({ jobId }: JobTarget) => {
      calls.push([`one ${jobId}`]);
      return Promise.resolve();
    };
    await cancelTogether([target(1), target(2, { stepKey: 0 }), target(3)], { scancel: scancel(0, ""), cancel });
    expect(calls).toEqual([["1", "3"], ["one 2"]]);
    const down = cancelTogether([target(1), target(3)], {
      scancel: scancel(1, "scancel: error: Unable to contact slurm controller"),
      cancel,
    });
    expect(await rejectionOf(down)).toMatchObject({ code: "CONTROLLER_DOWN" });
  });

  test("a node is drained with a reason and taken back, by scontrol's own names", async () => {
    const engine = on.engine();
    const node = async (name: string) => (await engine.nodes(within())).find((found) => found.name === name);
    await engine.updateNodes(["c1", "c2"], { State: "DRAIN", Reason: "new fan" }, within());
    for (const name of ["c1", "c2"]) expect(await node(name)).toMatchObject({ state: "DRAIN", reason: "new fan" });
    await engine.updateNodes(["c1"], { State: "RESUME" }, within());
    // Slurm asks it first whether it is there.
    for (const deadline = performance.now() + 30_000; (await node("c1"))?.state !== "UP" && performance.now() < deadline; )
      await Bun.sleep(100);
    expect(await node("c1")).toMatchObject({ state: "UP", reason: null });
    expect(await node("c2")).toMatchObject({ state: "DRAIN" });
    await engine.updateNodes(["c2"], { State: "RESUME" }, within());
    expect(await rejectionOf(engine.updateNodes(["c9"], { State: "DRAIN", Reason: "x" }, within()))).toMatchObject({
      code: "INVALID_NODE_NAME",
    });
  }, 60_000);

  test("a partition's limits are changed", async () => {
    const engine = on.engine();
    await engine.updatePartition("debug", { MaxTime: "30", MaxNodes: "1", State: "DOWN" }, within());
    expect((await engine.partitions(within()))[0]).toMatchObject({ name: "debug", maxTimeMinutes: 30, maxNodes: 1, state: "DOWN" });
    await engine.updatePartition("debug", { MaxTime: "UNLIMITED", MaxNodes: "UNLIMITED", State: "UP" }, within());
    expect((await engine.partitions(within()))[0]).toMatchObject({ maxTimeMinutes: null, maxNodes: null, state: "UP" });
    expect(await rejectionOf(engine.updatePartition("nowhere", { State: "UP" }, within()))).toMatchObject({ code: "INVALID_PARTITION" });
  }, 60_000);
});
