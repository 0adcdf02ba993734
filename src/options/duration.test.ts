import { describe, expect, test } from "bun:test";
import { parseDuration } from "./duration.ts";

describe("parseDuration", () => {
  test.each([
    ["5", 5],
    ["1:30", 2],
    ["90", 90],
    ["2:00:00", 120],
    ["1-2", 26 * 60],
    ["1-2:30", 26 * 60 + 30],
    ["1-2:30:45", 26 * 60 + 31],
    ["0:30", 1],
    ["00:00:61", 2],
    ["100:00:00", 6000],
    ["0:01:5", 2],
    ["0", "unlimited"],
    ["-1", "unlimited"],
    ["UNLIMITED", "unlimited"],
    ["infinite", "unlimited"],
  ] as const)("%s", (text, minutes) => expect(parseDuration(text)).toBe(minutes));

  test.each(["", "5:", ":5", "1-2-3", "abc", "5m", "1:2:3:4", "1.5", "5:xx", "-5", "1-", " 5"])("%p is refused", (text) =>
    expect(parseDuration(text)).toBeUndefined(),
  );
});
