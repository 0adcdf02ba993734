import { expect, test } from "bun:test";
import { usageOfStep } from "./step-usage.ts";

const place = (rank: number, name: string) => ({ rank, localId: 0, node: { name, ranks: [rank] } as never });

test("times add up, and memory is that of the task with the most", () => {
  expect(
    usageOfStep([
      { place: place(0, "n1"), usage: { userCpuMs: 1, systemCpuMs: 10, maxRssKib: 5 } },
      { place: place(1, "n2"), usage: { userCpuMs: 2, systemCpuMs: 20, maxRssKib: 7 } },
      { place: place(2, "n2"), usage: { userCpuMs: 4, systemCpuMs: 40, maxRssKib: null } },
      { place: place(3, "n3"), usage: { userCpuMs: 8, systemCpuMs: 80, maxRssKib: 7 } },
      { place: place(4, "n3"), usage: null },
    ]),
  ).toEqual({
    userCpuMs: 15,
    systemCpuMs: 150,
    maxRssKib: 7,
    maxRssTask: 1,
    maxRssNode: "n2",
    aveRssKib: 19 / 3,
    vmSize: null,
    pages: null,
  });
});

test("what tasks were seen to have: the most, whose it was, and the average of those that were looked at", () => {
  const usage = { userCpuMs: 0, systemCpuMs: 0, maxRssKib: null };
  const found = usageOfStep([
    { place: place(0, "n1"), usage, sampled: { vmKib: 100, majorFaults: 4 } },
    { place: place(1, "n2"), usage, sampled: { vmKib: 300, majorFaults: 0 } },
    { place: place(2, "n2"), usage, sampled: null },
  ]);
  expect(found.vmSize).toEqual({ max: 300, task: 1, node: "n2", average: 200 });
  expect(found.pages).toEqual({ max: 4, task: 0, node: "n1", average: 2 });
});

test("what nobody measured is not zero", () => {
  expect(usageOfStep([{ place: place(0, "n1"), usage: { userCpuMs: 1, systemCpuMs: 1, maxRssKib: null } }])).toEqual({
    userCpuMs: 1,
    systemCpuMs: 1,
    maxRssKib: null,
    maxRssTask: null,
    maxRssNode: null,
    aveRssKib: null,
    vmSize: null,
    pages: null,
  });
});
