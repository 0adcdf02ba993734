import { describe, expect, test } from "bun:test";
import { expandFilePattern, needsPerTask } from "./file-pattern.ts";

describe("file patterns", () => {
  const job = { jobId: 157, arrayJobId: 156, arrayTask: 7, userName: "alice", jobName: "nm", nodeName: "n1" };
  const batch = { ...job, kind: "batch" as const };
  const task = { ...job, kind: "task" as const, stepKey: 0, nodeIndex: 1, task: 2 };
  test.each([
    ["a_%A_%a_%3a_%6j.out", "a_156_7_007_000157.out"],
    ["o_%x_%u_%N_%n_%s_%t_%J_%%.out", "o_nm_alice_n1_0_batch_0_157_%.out"],
    ["%q %5x %", "%q nm %"],
    ["%99j", "0000000157"],
    ["lit\\%j.txt", "lit%j.txt"],
    ["a\\\\%j", "a\\%j"],
  ])("batch %s", (pattern, name) => expect(expandFilePattern(pattern, batch)).toBe(name));
  test("outside an array", () => {
    expect(expandFilePattern("%A_%a", { ...batch, arrayJobId: null, arrayTask: null })).toBe("157_4294967294");
  });
  test.each([
    ["out.%J.%3t.%n.%s", "out.157.0.002.1.0"],
    ["%2s", "00"],
  ])("task %s", (pattern, name) => expect(expandFilePattern(pattern, task)).toBe(name));
  test("tasks have their own files", () => {
    expect(["x%t", "x%3t", "%N", "%n"].map(needsPerTask)).toEqual([true, true, true, true]);
    expect(["x%j", "x%%t", "x\\%t", "t"].map(needsPerTask)).toEqual([false, false, false, false]);
  });
});
