import { describe, expect, test } from "bun:test";
import { parseDependency } from "./dependency.ts";

describe("parseDependency", () => {
  test("terms, delays and array tasks", () => {
    expect(parseDependency("after:5+10:6,singleton,afterok:7_2")).toEqual({
      isAny: false,
      terms: [
        {
          type: "after",
          jobs: [
            { jobId: 5, arrayTask: null, delayMinutes: 10 },
            { jobId: 6, arrayTask: null, delayMinutes: 0 },
          ],
        },
        { type: "singleton", jobs: [] },
        { type: "afterok", jobs: [{ jobId: 7, arrayTask: 2, delayMinutes: 0 }] },
      ],
    });
    expect(parseDependency("12:13?afterany:1_*").isAny).toBe(true);
  });
  test.each(["bogus:1", "afterok", "afterok:", "", "afterok:0", "afterok:1+5", "afterok:1,afterok:2?singleton", "singleton:1"])(
    "%p is refused",
    (text) => expect(() => parseDependency(text)).toThrow("Job dependency problem"),
  );
});
