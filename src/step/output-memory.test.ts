import { expect, test } from "bun:test";
import { OutputMemory } from "./output-memory.ts";

test("the last output is kept in order, and no more of it than there is room for", () => {
  const memory = new OutputMemory();
  for (let rank = 0; rank < 10_000; rank++) memory.add({ type: 2, rank, bytes: Buffer.alloc(100) });
  const ranks = [...memory].map(({ rank }) => rank);
  expect(ranks.at(-1)).toBe(9999);
  expect(ranks).toEqual(Array.from({ length: ranks.length }, (_, i) => 10_000 - ranks.length + i));
  expect(ranks.length).toBe(Math.floor((256 * 1024) / 164));
});

test("what is too long by itself is kept until more comes", () => {
  const memory = new OutputMemory();
  memory.add({ type: 2, rank: 0, bytes: Buffer.alloc(1 << 20) });
  expect([...memory].length).toBe(1);
  memory.add({ type: 2, rank: 1, bytes: Buffer.alloc(1) });
  expect([...memory].map(({ rank }) => rank)).toEqual([1]);
});
