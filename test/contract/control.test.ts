// What scontrol and scancel do to jobs, nodes and partitions of the embedded engine, on two small nodes. Order within a
// test matters, and no two tests share a job.
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Engine, JobTarget } from "#engine/engine.ts";
import { Site } from "../e2e/site.ts";
import { batch, byId, ended, find, when, type Place } from "./requests.ts";

const site = new Site({
  conf: "NodeName=n1 CPUs=1 RealMemory=1000 Feature=a\nNodeName=n2 CPUs=1 RealMemory=1000 Feature=b\nPartitionName=main Nodes=n1,n2 Default=YES\nPartitionName=side Nodes=n2\nKillWait=1\n",
});
const place: Place = { workDir: site.workDir, bundle: null };
let engine: Engine;
beforeAll(async () => {
  engine = await site.engine();
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
}, 60_000);

const LIMIT_MS = 60_000;
const within = () => ({ signal: AbortSignal.timeout(LIMIT_MS - 5000) });
const target = (jobId: number, arrayTasks: readonly number[] | null = null): JobTarget => ({ jobId, arrayTasks, stepKey: null });
const submit = async (script: string, ...options: string[]) => (await engine.submit(batch(place, script, ...options), within())).jobId;
/** kill -9, and a new one from the executable: started from here it would be this file. */
const restartKilled = async () => {
  await site.killController();
  expect((await site.run(["berth", "daemon", "start"])).status).toBe(0);
};
const isRunning = ({ state }: { readonly state: string }) => state === "RUNNING";

test(
  "many jobs are cancelled by one request, and what cannot be is told at its place",
  async () => {
    const [one, two] = [await submit("true", "-H"), await submit("true", "-H")];
    const array = await submit("true", "-H", "-a", "1-3");
    const outcomes = await engine.cancelEach([target(one), target(99_999), target(array, [2]), target(two)], within());
    expect(outcomes.map((error) => error?.code ?? null)).toEqual([null, "INVALID_JOB_ID", null, null]);
    for (const id of [one, two]) expect((await find(engine, id, within())).state).toBe("CANCELLED");
    const left = await engine.jobs(byId(array), within());
    expect(left.map(({ state, array: tasks }) => [state, tasks?.taskId, tasks?.pendingIndices]).sort()).toEqual([
      ["CANCELLED", 2, null],
      ["PENDING", null, "1,3"],
    ]);
    expect(await engine.cancelEach([target(array)], within())).toEqual([null]);
    expect((await engine.waitForEnd(array, within())).every(({ state }) => state === "CANCELLED")).toBe(true);
  },
  LIMIT_MS,
);

test(
  "a waiting job gets other wishes, and runs by them after a controller was killed",
  async () => {
    const id = await submit("echo $SLURM_JOB_NODELIST $SLURM_NTASKS $SLURM_JOB_PARTITION", "-H");
    const change = (changes: Record<string, string>) => engine.update({ ...target(id), changes }, within());
    await change({ Partition: "side", MinMemoryNode: "200", Comment: "changed", StdOut: "changed.out", NumTasks: "1" });
    expect(await find(engine, id, within())).toMatchObject({ partition: "side", memPerNodeMib: 200, comment: "changed", tasks: 1 });
    for (const [key, value, code] of [
      ["Partition", "nowhere", "INVALID_PARTITION"],
      ["ReqNodeList", "n9", "INVALID_NODE_NAME"],
      ["Features", "c", "INVALID_FEATURE"],
      ["Dependency", `afterany:${id}`, "DEPENDENCY"],
      ["NumNodes", "x", "BAD_NODE_COUNT"],
      ["MinMemoryNode", "much", "UPDATE_VALUE"],
      ["BurstBuffer", "x", "UPDATE_UNSUPPORTED"],
    ] as const) {
      expect(await change({ [key]: value }).catch((error) => error.code), key).toBe(code);
    }
    await restartKilled();
    expect(await find(engine, id, within())).toMatchObject({ partition: "side", memPerNodeMib: 200 });
    await engine.release(target(id), within());
    expect(await ended(engine, id, within())).toMatchObject({ state: "COMPLETED", nodes: ["n2"] });
    expect(await Bun.file(`${site.workDir}/changed.out`).text()).toContain("n2");
    const tooLate = await change({ Partition: "main" }).catch((error) => error.code);
    expect(["ALREADY_DONE", "INVALID_JOB_ID"]).toContain(tooLate);
  },
  LIMIT_MS,
);

test(
  "a job that is changed to wait for another one does",
  async () => {
    const first = await submit("exit 1", "-H");
    const second = await submit("true", "-H");
    await engine.update({ ...target(second), changes: { Dependency: `afternotok:${first}` } }, within());
    await engine.release(target(second), within());
    await when(engine, second, ({ reason }) => reason === "Dependency", within());
    await engine.release(target(first), within());
    expect((await ended(engine, second, within())).state).toBe("COMPLETED");
  },
  LIMIT_MS,
);

test(
  "each task of an array waits for its own, and for no other (aftercorr)",
  async () => {
    const parent = await submit("[ $SLURM_ARRAY_TASK_ID != 1 ]", "-a", "1-3");
    await engine.waitForEnd(parent, within());
    const child = await submit("true", "-a", "1-3", "-d", `aftercorr:${parent}`);
    const states = async () =>
      (await engine.jobs(byId(child), within())).map(({ state, array }) => [array?.taskId ?? Number(array?.pendingIndices), state]).sort();
    while ((await states()).filter(([, state]) => state === "COMPLETED").length < 2) await Bun.sleep(20);
    expect(await states()).toEqual([
      [1, "PENDING"],
      [2, "COMPLETED"],
      [3, "COMPLETED"],
    ]);
    await when(engine, child, ({ reason }) => reason === "DependencyNeverSatisfied", within());
    await engine.cancel(target(child), within());
  },
  LIMIT_MS,
);

test(
  "a drained node gets no new job until it is resumed, and says why, also after a controller was killed",
  async () => {
    expect(await engine.updateNodes(["n2"], { State: "DRAIN" }, within()).catch((error) => error.code)).toBe("UPDATE_VALUE");
    await engine.updateNodes(["n2"], { State: "DRAIN", Reason: "bad disk" }, within());
    const id = await submit("true", "-w", "n2");
    await restartKilled();
    const node = (await engine.nodes(within())).find(({ name }) => name === "n2");
    expect(node).toMatchObject({ state: "DRAIN", reason: "bad disk" });
    const other = await submit("true", "-w", "n1");
    await ended(engine, other, within());
    expect((await find(engine, id, within())).state).toBe("PENDING");
    await engine.updateNodes(["n2"], { State: "RESUME" }, within());
    expect((await ended(engine, id, within())).state).toBe("COMPLETED");
    expect((await engine.nodes(within())).map(({ state, reason }) => [state, reason])).toEqual([
      ["UP", null],
      ["UP", null],
    ]);
  },
  LIMIT_MS,
);

test(
  "what ran on a node that is taken down runs again, or has failed",
  async () => {
    const again = await submit("sleep 100", "-w", "n1", "--requeue");
    const lost = await submit("sleep 100", "-w", "n2", "--no-requeue");
    for (const id of [again, lost]) await when(engine, id, isRunning, within());
    await engine.updateNodes(["n1", "n2"], { State: "DOWN", Reason: "power" }, within());
    expect(await ended(engine, lost, within())).toMatchObject({ state: "NODE_FAIL", reason: "NodeDown", exit: { code: 0, signal: 0 } });
    expect(await when(engine, again, ({ restarts }) => restarts === 1, within())).toMatchObject({ state: "PENDING" });
    await engine.cancel(target(again), within());
    await engine.updateNodes(["n1", "n2"], { State: "RESUME" }, within());
  },
  LIMIT_MS,
);

test(
  "a partition that is down keeps its jobs waiting; one that is drained takes none",
  async () => {
    await engine.updatePartition("side", { State: "DOWN" }, within());
    const id = await submit("true", "-p", "side");
    await when(engine, id, ({ reason }) => reason === "PartitionDown", within());
    await engine.updatePartition("side", { State: "DRAIN" }, within());
    expect(await submit("true", "-p", "side").catch((error) => error.code)).toBe("JOB_MISSING_REQUIRED_PARTITION");
    expect(await engine.updatePartition("side", { Nodes: "n1" }, within()).catch((error) => error.code)).toBe("UPDATE_UNSUPPORTED");
    await engine.updatePartition("side", { State: "UP" }, within());
    expect((await ended(engine, id, within())).state).toBe("COMPLETED");
  },
  LIMIT_MS,
);

test(
  "a suspended job leaves its CPUs to others, and resumes beside them",
  async () => {
    const first = await submit("sleep 100", "-w", "n1");
    await when(engine, first, isRunning, within());
    const second = await submit("sleep 100", "-w", "n1");
    await when(engine, second, ({ reason }) => reason === "Resources", within());
    await engine.suspend(target(first), within());
    await when(engine, second, isRunning, within());
    await engine.resume(target(first), within());
    expect((await find(engine, first, within())).state).toBe("RUNNING");
    await engine.cancel(target(first), within());
    await ended(engine, first, within());
    // Its CPU is the other one's as long as that one runs.
    const third = await submit("true", "-w", "n1");
    await when(engine, third, ({ reason }) => reason === "Resources", within());
    await engine.cancel(target(second), within());
    expect((await ended(engine, third, within())).state).toBe("COMPLETED");
  },
  LIMIT_MS,
);

test("the controller has complained of nothing", () => {
  expect(site.complaints()).toEqual([]);
});
