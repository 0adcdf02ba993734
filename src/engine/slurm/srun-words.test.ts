import { describe, expect, test } from "bun:test";
import { parseSrunLine, type SrunWord } from "./srun-words.ts";

// Captured from srun -v --label, 22.05.8.
const rows: readonly (readonly [line: string, word: SrunWord])[] = [
  ["srun: launching StepId=19.0 on host c1, 2 tasks: [0-1]", { kind: "launching", jobId: 19, step: "0", node: "c1", ranks: [0, 1] }],
  ["srun: launching StepId=19.0 on host c2, 1 tasks: 2", { kind: "launching", jobId: 19, step: "0", node: "c2", ranks: [2] }],
  ["srun: launch/slurm: _task_start: Node c2, 1 tasks started", { kind: "started", node: "c2" }],
  [
    "srun: launch/slurm: _task_finish: Received task exit notification for 1 task of StepId=19.0 (status=0x0200).",
    { kind: "status", count: 1, status: { kind: "exited", code: 2 } },
  ],
  [
    "srun: launch/slurm: _task_finish: Received task exit notification for 1 task of StepId=20.0 (status=0x0009).",
    { kind: "status", count: 1, status: { kind: "signaled", signal: 9, coreDumped: false } },
  ],
  ["srun: error: c1: tasks 0-2: Exited with exit code 1", { kind: "ended", node: "c1", ranks: [0, 1, 2] }],
  ["srun: error: c1: task 1: Killed", { kind: "ended", node: "c1", ranks: [1] }],
  ["srun: launch/slurm: _task_finish: c1: task 0: Completed", { kind: "ended", node: "c1", ranks: [0] }],
  [
    "srun: Job 21 step creation temporarily disabled, retrying (Requested nodes are busy)",
    { kind: "waiting", text: "Requested nodes are busy" },
  ],
  [
    "srun: error: Unable to create step for job 21: More processors requested than permitted",
    { kind: "failed", text: "srun: error: Unable to create step for job 21: More processors requested than permitted" },
  ],
  ["srun: Force Terminated StepId=20.0", { kind: "message", text: "Force Terminated StepId=20.0" }],
  ["srun: Node c1, 2 tasks started", { kind: "started", node: "c1" }], // 26.05
  ["srun: route/default: init: route default plugin loaded", { kind: "noise" }],
  ["srun: verbose             : 1", { kind: "noise" }],
];

describe("parseSrunLine", () => {
  test.each(rows)("%s", (line, word) => expect(parseSrunLine(Buffer.from(`${line}\n`))).toEqual(word));
  test("a task cannot speak for srun: its lines are labelled", () => {
    const word = parseSrunLine(Buffer.from(" 3: srun: error: c1: task 1: Killed\n"));
    expect(word).toEqual({ kind: "output", task: 3, bytes: Buffer.from("srun: error: c1: task 1: Killed\n") });
  });
});
