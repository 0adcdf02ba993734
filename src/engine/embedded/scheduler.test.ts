import { describe, expect, test } from "bun:test";
import type { JobId } from "#job/id.ts";
import { place, type Ask, type NodeFree, type Placement } from "./placement.ts";
import { schedule, type Decision, type Holding, type SchedulerInput, type WaitingJob } from "./scheduler.ts";

const MINUTE = 60_000;
const NOW = 1_000_000;

const node = (name: string, cpus: number, memMib = 1000, gres: Record<string, number> = {}): NodeFree => ({
  name,
  totalCpus: cpus,
  totalMemMib: memMib,
  features: [],
  cpus,
  memMib,
  gres,
});

const ask = (changes: Partial<Ask> = {}): Ask => ({
  nodesMin: 1,
  nodesMax: null,
  tasks: 1,
  cpusPerTask: 1,
  tasksPerNode: null,
  minCpusPerNode: 1,
  memPerNodeMib: null,
  memPerCpuMib: null,
  gresPerNode: {},
  exclusive: false,
  overcommit: false,
  requiredNodes: [],
  excludedNodes: [],
  features: [],
  partitionNodes: ["n1", "n2", "n3"],
  ...changes,
});

const job = (jobId: number, minutes: number, changes: Partial<Ask> = {}): WaitingJob => ({
  jobId: jobId as JobId,
  partition: "debug",
  ask: ask(changes),
  durationMs: minutes * MINUTE,
});

const holding = (minutes: number, name: string, cpus: number, memMib = 0): Holding => ({
  until: NOW + minutes * MINUTE,
  placements: [{ node: name, tasks: 1, cpus, memMib, gres: {} }],
});

/** `free` is what the holdings leave. */
function decide(nodes: readonly NodeFree[], holdings: readonly Holding[], waiting: readonly WaitingJob[], depth = 100): Decision {
  const free = nodes.map((found) => ({ ...found, gres: { ...found.gres } }));
  for (const { placements } of holdings)
    for (const held of placements) {
      const found = free.find(({ name }) => name === held.node);
      if (found === undefined) continue;
      found.cpus -= held.cpus;
      found.memMib -= held.memMib;
    }
  return schedule({ now: NOW, free, holdings, waiting, depth } satisfies SchedulerInput);
}

const started = (decision: Decision) => decision.starts.map(({ jobId }) => Number(jobId));
const waits = (decision: Decision) =>
  decision.waits.map(({ jobId, reason, expectedStartAt }) => [
    Number(jobId),
    reason,
    expectedStartAt === null ? null : (expectedStartAt - NOW) / MINUTE,
  ]);

describe("schedule", () => {
  test("what fits starts, in order", () => {
    expect(started(decide([node("n1", 4)], [], [job(1, 1), job(2, 1), job(3, 1)]))).toEqual([1, 2, 3]);
  });
  test("the first that does not fit waits for Resources, the next ones for Priority", () => {
    const decision = decide([node("n1", 2)], [], [job(1, 10, { tasks: 2 }), job(2, 10), job(3, 10)]);
    expect(started(decision)).toEqual([1]);
    expect(waits(decision)).toEqual([
      [2, "Resources", 10],
      [3, "Priority", 10],
    ]);
  });
  test("a short job is filled in before a reservation, a long one is not", () => {
    const running = [holding(10, "n1", 2)];
    const big = job(1, 60, { tasks: 4 });
    expect(started(decide([node("n1", 4)], running, [big, job(2, 10)]))).toEqual([2]);
    expect(started(decide([node("n1", 4)], running, [big, job(2, 11)]))).toEqual([]);
  });
  test("a job without a limit is never filled in before a reservation", () => {
    const decision = decide([node("n1", 4)], [holding(10, "n1", 2)], [job(1, 60, { tasks: 4 }), job(2, Infinity)]);
    expect(started(decision)).toEqual([]);
    expect(waits(decision)).toEqual([
      [1, "Resources", 10],
      [2, "Priority", 70],
    ]);
  });
  test("nobody knows when a job can start that waits for one without a limit", () => {
    expect(
      waits(
        decide([node("n1", 2)], [{ until: Infinity, placements: [{ node: "n1", tasks: 1, cpus: 2, memMib: 0, gres: {} }] }], [job(1, 5)]),
      ),
    ).toEqual([[1, "Resources", null]]);
  });
  test("a job that should have ended already still holds what it has", () => {
    expect(started(decide([node("n1", 2)], [holding(-5, "n1", 2)], [job(1, 1)]))).toEqual([]);
  });
  test("a job that is filled in may use the other node", () => {
    const decision = decide(
      [node("n1", 2), node("n2", 2)],
      [holding(10, "n1", 2)],
      [job(1, 60, { tasks: 2, requiredNodes: ["n1"] }), job(2, 60, { tasks: 2 })],
    );
    expect(decision.starts.map(({ jobId, placements, isBackfill }) => [Number(jobId), placements[0]?.node, isBackfill])).toEqual([
      [2, "n2", true],
    ]);
  });
  test("only `depth` jobs are looked at once they wait", () => {
    const decision = decide(
      [node("n1", 1)],
      [holding(10, "n1", 1)],
      [1, 2, 3, 4].map((id) => job(id, 1)),
      2,
    );
    expect(decision.waits).toHaveLength(2);
  });
  test("memory and devices are counted like CPUs", () => {
    const nodes = [node("n1", 8, 1000, { gpu: 1 })];
    expect(
      started(decide(nodes, [], [job(1, 1, { memPerNodeMib: 600 }), job(2, 1, { memPerNodeMib: 600 }), job(3, 1, { memPerNodeMib: 400 })])),
    ).toEqual([1, 3]);
    expect(started(decide(nodes, [], [job(1, 1, { gresPerNode: { gpu: 1 } }), job(2, 1, { gresPerNode: { gpu: 1 } })]))).toEqual([1]);
  });
});

const placements: readonly (readonly [name: string, ask: Partial<Ask>, nodes: readonly NodeFree[], wanted: string | undefined])[] = [
  ["as few nodes as fit, first nodes first", { tasks: 3 }, [node("n1", 4), node("n2", 4)], "n1:3/3"],
  ["a second node when one is too small", { tasks: 5 }, [node("n1", 4), node("n2", 4)], "n1:4/4 n2:1/1"],
  [
    "every wanted node gets a task, then the first ones fill",
    { nodesMin: 2, nodesMax: 2, tasks: 3 },
    [node("n1", 4), node("n2", 4)],
    "n1:2/2 n2:1/1",
  ],
  ["more nodes than tasks: the rest hold a CPU", { nodesMin: 2, nodesMax: 2, tasks: 1 }, [node("n1", 4), node("n2", 4)], "n1:1/1 n2:0/1"],
  ["CPUs for each task", { tasks: 2, cpusPerTask: 3 }, [node("n1", 4), node("n2", 4)], "n1:1/3 n2:1/3"],
  ["a limit of tasks for each node", { tasks: 4, tasksPerNode: 2 }, [node("n1", 8), node("n2", 8)], "n1:2/2 n2:2/2"],
  ["at most so many nodes", { tasks: 6, nodesMax: 1 }, [node("n1", 4), node("n2", 4)], undefined],
  ["exclusive takes all CPUs of an empty node", { exclusive: true }, [{ ...node("n1", 4), cpus: 3 }, node("n2", 4)], "n2:1/4"],
  ["a required node is used even when another one would do", { requiredNodes: ["n2"] }, [node("n1", 4), node("n2", 4)], "n2:1/1"],
  ["a required node that is full", { requiredNodes: ["n2"] }, [node("n1", 4), { ...node("n2", 4), cpus: 0 }], undefined],
  ["an excluded node is not used", { excludedNodes: ["n1"] }, [node("n1", 4), node("n2", 4)], "n2:1/1"],
  ["all memory of a node, which must be free", { memPerNodeMib: 0 }, [{ ...node("n1", 4), memMib: 999 }, node("n2", 4)], "n2:1/1"],
  ["memory for each CPU limits the tasks of a node", { tasks: 3, memPerCpuMib: 400 }, [node("n1", 4), node("n2", 4)], "n1:2/2 n2:1/1"],
  ["the roomiest nodes when the first ones are too small", { nodesMax: 1, tasks: 6 }, [node("n1", 4), node("n2", 8)], "n2:6/6"],
  ["overcommit needs one CPU", { tasks: 9, overcommit: true }, [node("n1", 2)], "n1:9/1"],
  ["least CPUs of a node", { minCpusPerNode: 4 }, [node("n1", 2), node("n2", 4)], "n2:1/4"],
  [
    "exclusive with memory for each CPU needs that of all CPUs",
    { exclusive: true, memPerCpuMib: 300 },
    [node("n1", 4), node("n2", 2)],
    "n2:1/2",
  ],
  ["least CPUs with memory for each", { minCpusPerNode: 4, memPerCpuMib: 300 }, [node("n1", 4)], undefined],
];

describe("place", () => {
  test.each(placements)("%s", (_name, changes, nodes, wanted) => {
    expect(
      place(ask(changes), nodes)
        ?.map(({ node: name, tasks, cpus }) => `${name}:${tasks}/${cpus}`)
        .join(" "),
    ).toBe(wanted as string);
  });
});

// --- Random clusters --------------------------------------------------------------------------------------------

/** mulberry32 */
function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** For each node, for each CPU, or none: the options exclude each other. */
function randomMemory(random: (below: number) => number): Partial<Ask> {
  const kind = random(3);
  return kind === 0 ? { memPerNodeMib: random(12) * 100 } : kind === 1 ? { memPerCpuMib: random(6) * 100 } : {};
}

interface World {
  readonly nodes: readonly NodeFree[];
  readonly holdings: readonly Holding[];
  readonly waiting: readonly WaitingJob[];
}

function randomWorld(random: (below: number) => number): World {
  const nodes = Array.from({ length: 1 + random(4) }, (_, i) =>
    node(`n${i + 1}`, 1 + random(8), 1000, random(2) === 0 ? {} : { gpu: 1 + random(3) }),
  );
  const names = nodes.map(({ name }) => name);
  const total = nodes.map((found) => ({ ...found, gres: { ...found.gres } }));
  const holdings: Holding[] = [];
  const free = nodes.map((found) => ({ ...found, gres: { ...found.gres } }));
  const randomAsk = (): Ask =>
    ask({
      partitionNodes: names,
      tasks: 1 + random(6),
      cpusPerTask: 1 + random(3),
      nodesMin: 1 + random(2),
      exclusive: random(8) === 0,
      overcommit: random(10) === 0,
      ...randomMemory(random),
      gresPerNode: random(4) === 0 ? { gpu: 1 + random(2) } : {},
      tasksPerNode: random(5) === 0 ? 1 + random(3) : null,
      minCpusPerNode: random(6) === 0 ? 1 + random(6) : 1,
    });
  for (let i = 0; i < 6; i++) {
    const found = place(randomAsk(), free);
    if (found === undefined || random(3) === 0) continue;
    holdings.push({ until: random(8) === 0 ? Infinity : NOW + random(30) * MINUTE - 2 * MINUTE, placements: found });
    take(free, found, -1);
  }
  const waiting: WaitingJob[] = [];
  for (let jobId = 1; jobId <= 12; jobId++) {
    const wanted = randomAsk();
    if (place(wanted, total) === undefined) continue; // refused at submission
    waiting.push({
      jobId: jobId as JobId,
      partition: "debug",
      ask: wanted,
      durationMs: random(10) === 0 ? Infinity : (1 + random(20)) * MINUTE,
    });
  }
  return { nodes: free, holdings, waiting };
}

function take(nodes: readonly NodeFree[], placed: readonly Placement[], sign: 1 | -1): void {
  for (const { node: name, cpus, memMib, gres } of placed) {
    const found = nodes.find((one) => one.name === name);
    if (found === undefined) continue;
    found.cpus += sign * cpus;
    found.memMib += sign * memMib;
    for (const [key, count] of Object.entries(gres)) found.gres[key] = (found.gres[key] ?? 0) + sign * count;
  }
}

const lowest = (nodes: readonly NodeFree[]) =>
  Math.min(...nodes.flatMap(({ cpus, memMib, gres }) => [cpus, memMib, ...Object.values(gres)]));

describe("random clusters", () => {
  const seed = Number(process.env["BERTH_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  const ROUNDS = 1500;

  test(`never more than there is, never out of order, no earlier reservation delayed (BERTH_SEED=${seed})`, () => {
    const random = randomFrom(seed);
    for (let round = 0; round < ROUNDS; round++) {
      const { nodes, holdings, waiting } = randomWorld(random);
      const input = { now: NOW, holdings, depth: 100 };
      const decision = schedule({ ...input, free: nodes, waiting });

      // Everything that starts fits at once, on what is free.
      const after = nodes.map((found) => ({ ...found, gres: { ...found.gres } }));
      for (const { placements: placed } of decision.starts) take(after, placed, -1);
      expect(lowest(after), `round ${round}: over-allocated`).toBeGreaterThanOrEqual(0);

      // Each job was looked at: it starts or it waits.
      expect([...decision.starts, ...decision.waits].map(({ jobId }) => Number(jobId)).sort((a, b) => a - b)).toEqual(
        waiting.map(({ jobId }) => Number(jobId)),
      );

      // A job's start, now or expected, depends on the ones before it alone: what comes later never delays it.
      for (const [index, one] of waiting.entries()) {
        const alone = schedule({ ...input, free: nodes, waiting: waiting.slice(0, index + 1) });
        const startOf = (made: Decision) =>
          made.starts.some(({ jobId }) => jobId === one.jobId)
            ? NOW
            : (made.waits.find(({ jobId }) => jobId === one.jobId)?.expectedStartAt ?? Infinity);
        expect(startOf(decision), `round ${round}: job ${one.jobId} is delayed`).toBe(startOf(alone));
      }

      // What starts and asks for the tasks it was promised gets them.
      for (const { jobId, placements: placed } of decision.starts) {
        const wanted = waiting.find((one) => one.jobId === jobId)?.ask;
        expect(
          placed.reduce((sum, { tasks }) => sum + tasks, 0),
          `round ${round}: tasks of ${jobId}`,
        ).toBe(wanted?.tasks as number);
      }
    }
  });

  test(`what a placement takes is enough for it: the job still fits when nothing else is free (BERTH_SEED=${seed})`, () => {
    const random = randomFrom(seed + 2);
    for (let round = 0; round < 300; round++) {
      const { nodes, waiting } = randomWorld(random);
      for (const { jobId, ask: wanted } of waiting) {
        const placed = place(wanted, nodes);
        if (placed === undefined) continue;
        const alone = nodes.flatMap((found) => {
          const held = placed.find(({ node: name }) => name === found.name);
          return held === undefined ? [] : [{ ...found, cpus: held.cpus, memMib: held.memMib, gres: { ...held.gres } }];
        });
        expect(place(wanted, alone), `round ${round}: job ${jobId} on ${JSON.stringify(placed)}`).toBeDefined();
      }
    }
  });

  test(`the plan can be carried out: simulated to its end, the first in line starts no later than was expected (BERTH_SEED=${seed})`, () => {
    const random = randomFrom(seed + 1);
    for (let round = 0; round < 300; round++) {
      const { nodes, holdings, waiting } = randomWorld(random);
      const free = nodes.map((found) => ({ ...found, gres: { ...found.gres } }));
      const promised = new Map<number, number>();
      let running: readonly Holding[] = holdings.map((held) => (held.until <= NOW ? { ...held, until: NOW + 1 } : held));
      let queue = [...waiting];
      let now = NOW;
      for (let step = 0; step < 100 && queue.length > 0; step++) {
        const decision = schedule({ now, free, holdings: running, waiting: queue, depth: 100 });
        // Only the first in line: another plan for him may be worse for those behind, as in every scheduler that plans anew.
        for (const { jobId, expectedStartAt } of decision.waits.slice(0, 1)) {
          const before = promised.get(jobId);
          if (before !== undefined)
            expect(expectedStartAt ?? Infinity, `round ${round}: job ${jobId} is put off`).toBeLessThanOrEqual(before);
          if (expectedStartAt !== null) promised.set(jobId, Math.min(before ?? Infinity, expectedStartAt));
        }
        for (const { jobId, placements: placed } of decision.starts) {
          expect(now, `round ${round}: job ${jobId} starts late`).toBeLessThanOrEqual(promised.get(jobId) ?? Infinity);
          take(free, placed, -1);
          expect(lowest(free)).toBeGreaterThanOrEqual(0);
          running = [...running, { until: now + (queue.find((one) => one.jobId === jobId)?.durationMs ?? 0), placements: placed }];
        }
        queue = queue.filter((one) => !decision.starts.some(({ jobId }) => jobId === one.jobId));
        const next = Math.min(...running.map(({ until }) => until));
        if (!Number.isFinite(next)) break;
        now = next;
        for (const { placements: placed } of running.filter(({ until }) => until <= now)) take(free, placed, 1);
        running = running.filter(({ until }) => until > now);
      }
    }
  });

  test("all equal: first come, first served", () => {
    const nodes = [node("n1", 3)];
    let queue = Array.from({ length: 20 }, (_, i) => job(i + 1, 5));
    const order: number[] = [];
    while (queue.length > 0) {
      const ids = started(decide(nodes, [], queue));
      expect(ids).toHaveLength(Math.min(3, queue.length));
      order.push(...ids);
      queue = queue.filter(({ jobId }) => !ids.includes(Number(jobId)));
    }
    expect(order).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  });
});
