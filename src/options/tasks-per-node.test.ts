import { describe, expect, test } from "bun:test";
import { foldPerNode } from "./tasks-per-node.ts";

describe("tasks per node", () => {
  test.each([
    [[2, 2, 2, 1], "2(x3),1"],
    [[2], "2"],
    [[2, 2], "2(x2)"],
    [[2, 1], "2,1"],
    [[], ""],
  ])("%p", (counts, text) => expect(foldPerNode(counts)).toBe(text));
});
