import { describe, expect, test } from "bun:test";
import { isBefore, parseVersion } from "../site-version.ts";
import { NodeFailures } from "./watched-srun.ts";

describe("what srun says of nodes", () => {
  const rows: readonly (readonly [name: string, chunks: readonly string[], nodes: readonly string[]])[] = [
    ["nothing", ["srun: error: c1: task 0: Exited with exit code 1\n"], []],
    ["one, in pieces", ["srun: err", "or: Node failure on c4\nsrun: For", "ce\n"], ["c4"]],
    [
      "two, one of them twice",
      ["srun: error: Node failure on c4\nsrun: error: Node failure on c3\nsrun: error: Node failure on c4\n"],
      ["c4", "c3"],
    ],
    ["a task's own line that only mentions it", ["0: srun: error: Node failure on c4\n"], []],
    ["a line without an end", ["srun: error: Node failure on c4"], []],
  ];
  test.each(rows)("%s", (_name, chunks, nodes) => {
    const ear = new NodeFailures();
    for (const chunk of chunks) ear.hear(Buffer.from(chunk));
    expect(ear.nodes).toEqual(nodes as string[]);
  });
});

test("versions are told apart", () => {
  expect(parseVersion("slurm-wlm 22.05.8\n")).toEqual([22, 5]);
  expect(parseVersion("slurm 26.05.0-0rc1")).toEqual([26, 5]);
  expect(parseVersion("")).toEqual([0, 0]);
  expect([isBefore([21, 8], [22, 5]), isBefore([22, 5], [22, 5]), isBefore([26, 5], [26, 5])]).toEqual([true, false, false]);
});
