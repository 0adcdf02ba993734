import { describe, expect, test } from "bun:test";
import { at } from "./fixtures.ts";
import { cpuDuration, dateLine, longDuration, shortDuration, strftime, timeFormatter } from "./times.ts";

describe("durations", () => {
  const rows: readonly (readonly [seconds: number, short: string, long: string])[] = [
    [0, "0:00", "00:00:00"],
    [2, "0:02", "00:00:02"],
    [300, "5:00", "00:05:00"],
    [5400, "1:30:00", "01:30:00"],
    [93_660, "1-02:01:00", "1-02:01:00"],
    [360_000, "4-04:00:00", "4-04:00:00"],
    [-1, "INVALID", "INVALID"],
  ];
  test.each(rows)("%d s", (seconds, short, long) => expect([shortDuration(seconds), longDuration(seconds)]).toEqual([short, long]));
  test.each([
    [0, "00:00:00"],
    [12, "00:00.012"],
    [61_500, "01:01.500"],
    [3_600_000, "01:00:00"],
  ] as const)("%d ms of CPU", (ms, text) => expect(cpuDuration(ms)).toBe(text));
});

describe("points in time", () => {
  const now = at("2026-11-20T22:54:37");
  test("standard, in any order", () => {
    const format = timeFormatter(null, now);
    const texts = ["2026-11-20T22:54:36", "2026-11-20T22:54:59", "2030-01-02T03:04:05", "2026-11-20T22:54:00"];
    expect(texts.map((text) => format(at(text)))).toEqual(texts);
    expect(format(at("2026-11-20T22:54:36.999"))).toBe("2026-11-20T22:54:36");
  });
  const relative: readonly (readonly [text: string, shown: string])[] = [
    ["2026-11-20T01:02:03", "01:02:03"],
    ["2026-11-19T01:02:03", "Ystday 01:02"],
    ["2026-11-21T01:02:03", "Tomorr 01:02"],
    ["2026-11-23T01:02:03", "Mon 01:02"],
    ["2026-12-25T01:02:03", "25 Dec 01:02"],
    ["2030-01-02T03:04:05", "2 Jan 2030"],
  ];
  test.each(relative)("relative: %s", (text, shown) => expect(timeFormatter("relative", now)(at(text))).toBe(shown));
  test("%s is the epoch", () => expect(timeFormatter("%s", now)(now)).toBe(`${Math.floor(now / 1000)}`));
  test("strftime", () => {
    const date = new Date(2026, 0, 5, 3, 4, 6);
    expect(strftime("%F %T %-d|%e|%j|%y|%I%p|%Q|%%", date)).toBe("2026-01-05 03:04:06 5| 5|005|26|03AM|%Q|%");
  });
  test("date line", () => expect(dateLine(at("2026-11-20T21:46:05"))).toBe("Fri Nov 20 21:46:05 2026"));
});
