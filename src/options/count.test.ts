import { expect, test } from "bun:test";
import { parseCount, parseNodeCount } from "./count.ts";

test.each([
  ["2", { kind: "count", min: 2, max: 2 }],
  ["1-2", { kind: "count", min: 1, max: 2 }],
  ["1k", { kind: "count", min: 1024, max: 1024 }],
  ["1m-2M", { kind: "count", min: 1024 ** 2, max: 2 * 1024 ** 2 }],
  ["0", { kind: "count", min: 0, max: 0 }],
  ["3-2", { kind: "reversed", min: 3, max: 2 }],
  ["1,2", { kind: "invalid" }],
  ["x", { kind: "invalid" }],
  ["", { kind: "invalid" }],
  ["4000000k", { kind: "invalid" }],
] as const)("node count %p", (text, count) => expect(parseNodeCount(text)).toEqual(count));

test.each([
  ["5", 5],
  ["+5", 5],
  ["0", undefined],
  ["-1", undefined],
  ["abc", undefined],
  ["", undefined],
  ["2147483648", undefined],
  ["99999999999", undefined],
  ["1.5", undefined],
] as const)("count %p", (text, count) => expect(parseCount(text, 1)).toBe(count));
