import { describe, expect, test } from "bun:test";
import type { EpochMs } from "#job/id.ts";
import { parseTimePoint } from "./time-point.ts";

describe("parseTimePoint", () => {
  const now = new Date(2026, 10, 20, 22, 51, 24).getTime() as EpochMs;
  const local = (text: string, isPast = false) => {
    const point = parseTimePoint(text, { now, isPast });
    if (point.kind === "invalid") return point.message;
    const date = new Date(point.at);
    return new Date(point.at - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
  };
  test.each([
    ["now", "2026-11-20T22:51:24"],
    ["now+60", "2026-11-20T22:52:24"],
    ["now+1hour", "2026-11-20T23:51:24"],
    ["now + 2 days", "2026-11-22T22:51:24"],
    ["now+1week", "2026-11-27T22:51:24"],
    ["now-2days", "2026-11-18T22:51:24"],
    ["23:59", "2026-11-20T23:59:00"],
    ["16:00", "2026-11-21T16:00:00"],
    ["4:30PM", "2026-11-21T16:30:00"],
    ["12:05am", "2026-11-21T00:05:00"],
    ["noon", "2026-11-21T12:00:00"],
    ["midnight", "2026-11-21T00:00:00"],
    ["teatime", "2026-11-21T16:00:00"],
    ["fika", "2026-11-21T15:00:00"],
    ["2030-01-02", "2030-01-02T00:00:00"],
    ["2030-01-02T03:04", "2030-01-02T03:04:00"],
    ["2030-01-02T03:04:05", "2030-01-02T03:04:05"],
    ["2030-01-02 03:04", "2030-01-02T03:04:00"],
    ["010230", "2030-01-02T00:00:00"],
    ["01/02/30", "2030-01-02T00:00:00"],
    ["01/02/30-10:11", "2030-01-02T10:11:00"],
    ["01.02", "2027-01-02T00:00:00"],
    ["1231", "2026-12-31T00:00:00"],
    ["today", "2026-11-20T00:00:00"],
    ["tomorrow", "2026-11-21T00:00:00"],
    ["noon tomorrow", "2026-11-21T12:00:00"],
    ["uts1000000000", undefined],
  ])("%s", (text, expected) => {
    if (expected !== undefined) expect(local(text)).toBe(expected);
    else expect(parseTimePoint(text, { now })).toEqual({ kind: "time", at: 1e12 as EpochMs });
  });
  test.each([
    ["notatime", 0],
    ["in 5 minutes", 0],
    ["25:00", 0],
    ["2030-13-01", 5],
    ["2030-01-32", 8],
    ["12:61", 3],
    ["", 0],
    ["now+5fortnights", 5],
    ["2030-01-02T", 10],
    ["noon noon", 5],
    ["nonsense", 0],
  ])("%p fails at %d", (text, pos) => expect(local(text)).toBe(`Invalid time specification (pos=${pos}): ${text}`));
  test("of the past, a time of day is today's", () => {
    expect(local("23:59", true)).toBe("2026-11-20T23:59:00");
    expect(local("01/02", true)).toBe("2026-01-02T00:00:00");
    expect(local("16:00", true)).toBe("2026-11-20T16:00:00");
  });
});
