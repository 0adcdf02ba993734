import { expect, test } from "bun:test";
import { foldRanks } from "./ranks.ts";

test.each([
  [[0], "0"],
  [[0, 1, 2, 5], "0-2,5"],
  [[1, 5, 9, 13], "1,5,9,13"],
  [[], ""],
])("%j", (ranks, text) => expect(foldRanks(ranks)).toBe(text));
