import { expect, test } from "bun:test";
import { processMapping } from "./process-mapping.ts";

const CASES: readonly (readonly [nodeOf: readonly number[], mapping: string])[] = [
  [[0, 0, 0, 0], "(vector,(0,1,4))"],
  [[0, 0, 1, 1], "(vector,(0,2,2))"],
  [[0, 1, 2, 3], "(vector,(0,4,1))"],
  [[0, 0, 0, 1], "(vector,(0,1,3),(1,1,1))"],
  [[0, 1, 0, 1, 0], "(vector,(0,2,1),(0,2,1),(0,1,1))"],
  [[1, 1, 0], "(vector,(1,1,2),(0,1,1))"],
];

test.each(CASES)("%j", (nodeOf, mapping) => expect(processMapping(nodeOf)).toBe(mapping));

/** Block after block, each node of a block with its ranks: as the form is defined. */
function readMapping(text: string): number[] {
  return [...text.matchAll(/\((\d+),(\d+),(\d+)\)/g)].flatMap(([, node, nodes, ranks]) =>
    Array.from({ length: Number(nodes) * Number(ranks) }, (_, index) => Number(node) + Math.floor(index / Number(ranks))),
  );
}

test("any layout can be read back", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const nodeOf = Array.from({ length: seed % 17 }, (_, rank) => ((seed * 7919) >> (rank % 11)) % 4);
    expect(readMapping(processMapping(nodeOf))).toEqual(nodeOf);
  }
});
