import { describe, expect, test } from "bun:test";
import { expandPerNode, foldPerNode } from "./tasks-per-node.ts";

describe("tasks per node", () => {
  test.each([
    [[2, 2, 2, 1], "2(x3),1"],
    [[2], "2"],
    [[2, 2], "2(x2)"],
    [[2, 1], "2,1"],
    [[], ""],
  ])("%p", (counts, text) => {
    expect(foldPerNode(counts)).toBe(text);
    if (text !== "") expect(expandPerNode(text)).toEqual(counts);
  });
  test.each(["", "2(x0)", "2(x999999)", "a", "2(x3"])("%p is refused", (text) => expect(expandPerNode(text)).toBeUndefined());
});
