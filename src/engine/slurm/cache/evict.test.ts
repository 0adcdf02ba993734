import { expect, test } from "bun:test";
import { entriesToEvict } from "./evict.ts";

const DAY = 86_400_000;
const now = 100 * DAY;
const entry = (name: string, ageDays: number, bytes = 1) => ({ name, usedAt: now - ageDays * DAY, bytes });
const rows: readonly (readonly [
  name: string,
  entries: readonly ReturnType<typeof entry>[],
  inUse: readonly string[],
  maxBytes: number,
  evicted: readonly string[],
])[] = [
  ["what was used lately stays", [entry("a", 1), entry("b", 29)], [], 10, []],
  ["what is old goes", [entry("a", 1), entry("b", 31)], [], 10, ["b"]],
  ["what a task uses stays, however old", [entry("a", 99)], ["a"], 0, []],
  [
    "too much: the least recently used goes first, until the rest fits",
    [entry("a", 1, 4), entry("b", 3, 4), entry("c", 2, 4)],
    [],
    8,
    ["b"],
  ],
  ["what was used in this hour stays, however much it is", [entry("a", 0, 100)], [], 8, []],
];
test.each(rows)("%s", (_name, entries, inUse, maxBytes, evicted) => {
  expect(entriesToEvict(entries, { now, isInUse: (name) => inUse.includes(name), maxBytes })).toEqual(evicted);
});
