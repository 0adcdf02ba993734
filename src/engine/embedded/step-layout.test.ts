import { describe, expect, test } from "bun:test";
import type { NodeShare } from "#job/record.ts";
import { parseSrun } from "#options/srun.ts";
import type { StepRequest } from "../engine.ts";
import { layOut, type LayoutFacts } from "./step-layout.ts";

const share = (node: string, ...cpuIds: readonly number[]): NodeShare => ({ node, cpuIds, memMib: 0, gres: {} });
const four = (node: string): NodeShare => share(node, 0, 1, 2, 3);

/** As `srun WORDS true` would ask. */
function request(...words: readonly string[]): StepRequest {
  const line = parseSrun([...words, "true"], {}, { cwd: "/", now: 0 as never, isRoot: false, readFile: () => undefined });
  return { options: line.step, resources: line.resources } as StepRequest;
}

function layOutWords(words: readonly string[], changes: Partial<LayoutFacts>): string | undefined {
  const facts: LayoutFacts = {
    shares: [four("n1"), four("n2")],
    busy: new Map(),
    busyGres: new Map(),
    overlaps: false,
    jobTasks: 1,
    isJobsOwnStep: false,
    ...changes,
  };
  return layOut(request(...words), facts)
    ?.nodes.map(({ name, ranks, cpuIds }) => `${name}:${ranks.join(",")}/${cpuIds.join(",")}`)
    .join(" ");
}

const busy = (entries: Readonly<Record<string, readonly number[]>>) =>
  new Map(Object.entries(entries).map(([node, ids]) => [node, new Set(ids)]));

const rows: readonly (readonly [name: string, words: readonly string[], changes: Partial<LayoutFacts>, wanted: string | undefined])[] = [
  ["without counts one task on each node", [], {}, "n1:0/0,1,2,3 n2:1/0,1,2,3"],
  ["a job of its own has the job's tasks", [], { isJobsOwnStep: true, jobTasks: 3 }, "n1:0,1/0,1,2,3 n2:2/0,1,2,3"],
  ["one task takes one node, with all its CPUs", ["-n1"], {}, "n1:0/0,1,2,3"],
  ["block: as many on each as if they were dealt", ["-n5"], {}, "n1:0,1,2/0,1,2,3 n2:3,4/0,1,2,3"],
  ["cyclic: one after the other", ["-n5", "-m", "cyclic"], {}, "n1:0,2,4/0,1,2,3 n2:1,3/0,1,2,3"],
  ["plane: so many at a time", ["-n6", "-m", "plane=2"], {}, "n1:0,1,4,5/0,1,2,3 n2:2,3/0,1,2,3"],
  ["cyclic goes on where there is room", ["-n4", "-m", "cyclic"], { shares: [share("n1", 0), four("n2")] }, "n1:0/0 n2:1,2,3/0,1,2,3"],
  ["--exact takes the CPUs it needs", ["-n1", "-c2", "--exact"], {}, "n1:0/0,1"],
  ["--exact takes what is free", ["-n1", "-c2", "--exact"], { busy: busy({ n1: [0, 1] }) }, "n1:0/2,3"],
  ["--exact waits when too little is free", ["-n1", "-c2", "--exact"], { busy: busy({ n1: [0, 1, 2], n2: [0, 1, 2] }) }, undefined],
  ["a node in use is passed over", ["-n1"], { busy: busy({ n1: [0] }) }, "n2:0/0,1,2,3"],
  ["all nodes in use: wait", ["-n1"], { busy: busy({ n1: [0], n2: [3] }) }, undefined],
  ["--overlap does not look", ["-n1"], { overlaps: true, busy: busy({ n1: [0, 1, 2, 3] }) }, "n1:0/0,1,2,3"],
  ["-N counts nodes", ["-N1", "-n4"], {}, "n1:0,1,2,3/0,1,2,3"],
  ["-w names them", ["-w", "n2", "-n1"], {}, "n2:0/0,1,2,3"],
  ["-x leaves one out", ["-x", "n1", "-n1"], {}, "n2:0/0,1,2,3"],
  ["-r starts further on", ["-r1", "-n1"], {}, "n2:0/0,1,2,3"],
  ["tasks for each node", ["--ntasks-per-node=2"], {}, "n1:0,1/0,1,2,3 n2:2,3/0,1,2,3"],
  ["-O deals the nodes out evenly", ["-O", "-n5"], {}, "n1:0,1,2/0,1,2,3 n2:3,4/0,1,2,3"],
  [
    "-O uses the CPUs there are before it doubles up",
    ["-O", "-n9"],
    { shares: [four("n1"), share("n2", 0, 1)] },
    "n1:0,1,2,3,4,5/0,1,2,3 n2:6,7,8/0,1",
  ],
  ["-O with tasks for each node", ["-O", "--ntasks-per-node=3"], { shares: [share("n1", 0), share("n2", 0)] }, "n1:0,1,2/0 n2:3,4,5/0"],
  ["-O fits any number", ["-O", "-n9", "-N1"], {}, "n1:0,1,2,3,4,5,6,7,8/0,1,2,3"],
  [
    "tasks go to the node that has room for all of them",
    ["-n3", "--exact"],
    { shares: [share("n1", 0), four("n2")], busy: busy({ n2: [3] }) },
    "n1:0/0 n2:1,2/0,1",
  ],
  ["a task goes to the node that has the CPUs for it", ["-n1", "-c4"], { shares: [share("n1", 0), four("n2")] }, "n2:0/0,1,2,3"],
];

describe("layOut", () => {
  test.each(rows)("%s", (_name, words, changes, wanted) => expect(layOutWords(words, changes)).toBe(wanted as string));
  test.each([
    ["more tasks than CPUs", ["-n9"], "TOO_MANY_CPUS"],
    ["a task wider than a node", ["-n1", "-c5"], "TOO_MANY_CPUS"],
    ["a node that is not in the allocation", ["-w", "n9"], "NODE_CONFIG_UNAVAILABLE"],
    ["more nodes than there are", ["-N3"], "NODE_CONFIG_UNAVAILABLE"],
  ] as const)("%s can never run", (_name, words, code) => {
    expect(() => layOutWords(words, {})).toThrow(expect.objectContaining({ code }));
  });
  test("every rank is on one node, whatever the shape", () => {
    for (let tasks = 1; tasks <= 8; tasks++) {
      for (const how of [[], ["-m", "cyclic"], ["-m", "plane=3"]]) {
        const found = layOut(request(`-n${tasks}`, ...how), {
          shares: [share("n1", 0, 1, 2), share("n2", 0), four("n3")],
          busy: new Map(),
          busyGres: new Map(),
          overlaps: false,
          jobTasks: 1,
          isJobsOwnStep: false,
        });
        const ranks = found?.nodes.flatMap((node) => node.ranks) ?? [];
        expect([...ranks].sort((a, b) => a - b)).toEqual(Array.from({ length: tasks }, (_, rank) => rank));
        for (const { ranks: mine } of found?.nodes ?? []) expect([...mine]).toEqual([...mine].sort((a, b) => a - b));
      }
    }
  });
});
