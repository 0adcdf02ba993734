import { describe, expect, test } from "bun:test";
import type { JobTarget } from "#engine/engine.ts";
import type { JobRecord, StepRecord } from "#job/record.ts";
import { parseJobTarget } from "#options/job-target.ts";
import { isInStates, isTargetJob, isTargetStep, targetOf, targetText } from "./job-filter.ts";

function target(text: string): JobTarget {
  const parsed = parseJobTarget(text);
  if (parsed === undefined) throw new Error(`"${text}" is no target`);
  return parsed;
}

/** Only what the functions look at. */
function job(jobId: number, facts: object = {}): JobRecord {
  return { jobId, array: null, state: "RUNNING", flags: [], ...facts } as unknown as JobRecord;
}
const array = { jobId: 9, throttle: null, count: 5, min: 1, max: 5, step: 1 };
const waiting = job(9, { array: { ...array, taskId: null, pendingIndices: "3-5" }, state: "PENDING" });
const running = job(11, { array: { ...array, taskId: 2, pendingIndices: null } });
const single = job(12);

describe("isTargetJob", () => {
  const cases: readonly (readonly [text: string, jobs: readonly JobRecord[]])[] = [
    ["12", [single]],
    ["9", [waiting, running]],
    ["9_*", [waiting, running]],
    ["9_2", [running]],
    ["9_4", [waiting]],
    ["9_[1-3]", [waiting, running]],
    ["9_1", []],
    ["11", [running]],
    ["12_1", []],
    ["8", []],
  ];
  test.each(cases)("%s", (text, jobs) => {
    expect([waiting, running, single].filter((one) => isTargetJob(target(text), one))).toEqual([...jobs]);
  });
});

test("a step is found by its job's array task", () => {
  const step = { jobId: 11, stepKey: 0 } as unknown as StepRecord;
  const found = (text: string) => isTargetStep(target(text), step, running);
  expect(["11.0", "9_2.0", "9_2", "9"].filter(found)).toEqual(["11.0", "9_2.0", "9_2", "9"]);
  expect(["11.1", "9_3.0", "11.batch"].filter(found)).toEqual([]);
});

test.each(["12", "9_3", "9_[1-3,7]", "12.0", "9_3.batch"])("%s is written as it is read", (text) =>
  expect(targetText(target(text))).toBe(text),
);

test("a record's target means it alone", () => {
  expect([waiting, running, single].map((one) => targetText(targetOf(one)))).toEqual(["9_[3-5]", "9_2", "12"]);
});

test("base state and flags are found, each by its own word", () => {
  const ending = job(1, { state: "COMPLETED", flags: ["COMPLETING"] });
  expect(isInStates(ending, ["COMPLETED"])).toBe(true);
  expect(isInStates(ending, ["COMPLETING"])).toBe(true);
  expect(isInStates(ending, ["RUNNING", "PENDING"])).toBe(false);
});
