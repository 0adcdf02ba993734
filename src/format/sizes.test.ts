import { expect, test } from "bun:test";
import { expandIndices } from "./array-ids.ts";
import { indexRanges } from "./scontrol-job.ts";
import { exactSize, gpusText, gresText, sizeIn, sortedTresText, tresText } from "./sizes.ts";

test.each([
  [0, "0"],
  [100, "100M"],
  [1024, "1G"],
  [1500, "1500M"],
  [2048, "2G"],
  [1048576, "1T"],
] as const)("%d MiB", (mib, text) => expect(exactSize(mib, "M")).toBe(text));
test("a chosen unit", () =>
  expect([sizeIn(12_800, "K", "M"), sizeIn(1024, "M", "K"), sizeIn(0, "K", "M")]).toEqual(["12.50M", "1048576K", "0"]));
test("TRES", () => {
  const tres = { cpus: 2, memMib: 2048, nodes: 1, gres: { gpu: 1 } };
  expect(tresText(tres)).toBe("cpu=2,mem=2G,node=1,billing=2,gres/gpu=1");
  expect(sortedTresText(tres)).toBe("billing=2,cpu=2,gres/gpu=1,mem=2G,node=1");
});
test("GRES", () =>
  expect([gresText("gpu:a100:2,shard:1"), gresText(null), gpusText("2"), gpusText("a100:2"), gpusText("gpu:1")]).toEqual([
    "gres:gpu:a100:2,gres:shard:1",
    null,
    "gres:gpu:2",
    "gres:gpu:a100:2",
    "gres:gpu:1",
  ]));
test("index lists", () => {
  expect(expandIndices("1,3,5-7,10-20:5")).toEqual([1, 3, 5, 6, 7, 10, 15, 20]);
  expect(indexRanges([0, 1, 2, 5, 7, 8])).toBe("0-2,5,7-8");
});
