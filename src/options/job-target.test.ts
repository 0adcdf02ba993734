import { describe, expect, test } from "bun:test";
import { parseJobTarget, parseJobTargets } from "./job-target.ts";

describe("parseJobTarget", () => {
  test.each([
    ["12", { jobId: 12, arrayTasks: null, stepKey: null }],
    ["12_3", { jobId: 12, arrayTasks: [3], stepKey: null }],
    ["12_[1-3,5]", { jobId: 12, arrayTasks: [1, 2, 3, 5], stepKey: null }],
    ["12_[1-3%2]", { jobId: 12, arrayTasks: [1, 2, 3], stepKey: null }],
    ["12_*", { jobId: 12, arrayTasks: null, stepKey: null }],
    ["12.0", { jobId: 12, arrayTasks: null, stepKey: 0 }],
    ["12.batch", { jobId: 12, arrayTasks: null, stepKey: "batch" }],
    ["12_3.1", { jobId: 12, arrayTasks: [3], stepKey: 1 }],
    ["12+1", { jobId: 13, arrayTasks: null, stepKey: null }],
  ] as const)("%s", (text, target) => expect(parseJobTarget(text)).toEqual(target as never));
  test.each(["abc", "", "0", "12_", "12_[]", "12_[3-1]", "12.x", "12.-1", "99999999999", "12 ", "-1"])("%p is refused", (text) =>
    expect(parseJobTarget(text)).toBeUndefined(),
  );
  test("a list keeps its brackets together", () => {
    const parsed = parseJobTargets("12_[1,3],14 15");
    expect("targets" in parsed && parsed.targets.map(({ jobId }) => jobId)).toEqual([12, 14, 15]);
    expect(parseJobTargets("1,abc")).toEqual({ bad: "abc" });
  });
});
