import { describe, expect, test } from "bun:test";
import { BerthError } from "#job/errors.ts";
import type { EpochMs } from "#job/id.ts";
import { foldArraySpec, parseArraySpec } from "./array.ts";
import { parseNodeCount } from "./count.ts";
import { parseDependency } from "./dependency.ts";
import { parseDuration } from "./duration.ts";
import { parseExportRule } from "./export-rule.ts";
import { expandFilePattern, needsPerTask } from "./file-pattern.ts";
import { parseGpus, parseGres } from "./gres.ts";
import { parseJobTarget, parseJobTargets } from "./job-target.ts";
import { parseMailTypes } from "./mail-type.ts";
import { parseMemoryMib } from "./memory.ts";
import { parseSignal, signalName, signalText } from "./signals.ts";
import { expandPerNode, foldPerNode } from "./tasks-per-node.ts";
import { parseTimePoint } from "./time-point.ts";
import { parseWarnSignal } from "./warn-signal.ts";

describe("parseDuration", () => {
  test.each([
    ["5", 5], ["1:30", 2], ["90", 90], ["2:00:00", 120], ["1-2", 26 * 60], ["1-2:30", 26 * 60 + 30],
    ["1-2:30:45", 26 * 60 + 31], ["0:30", 1], ["00:00:61", 2], ["100:00:00", 6000], ["0:01:5", 2],
    ["0", "unlimited"], ["-1", "unlimited"], ["UNLIMITED", "unlimited"], ["infinite", "unlimited"],
  ] as const)("%s", (text, minutes) => expect(parseDuration(text)).toBe(minutes));

  test.each(["", "5:", ":5", "1-2-3", "abc", "5m", "1:2:3:4", "1.5", "5:xx", "-5", "1-", " 5"])("%p is refused",
    (text) => expect(parseDuration(text)).toBeUndefined());
});

describe("parseMemoryMib", () => {
  test.each([
    ["100", 100], ["100M", 100], ["1G", 1024], ["1g", 1024], ["1024K", 1], ["1T", 1024 ** 2], ["0", 0], ["1500", 1500],
    ["1GB", 1024], ["100MB", 100], ["2Gb", 2048], ["10K", 1], ["1025K", 2],
  ] as const)("%s", (text, mib) => expect(parseMemoryMib(text)).toBe(mib));

  test.each(["0.5G", "1G1", "1e3", "", "1Q", "-1", "99999999999999999999"])("%p is refused",
    (text) => expect(parseMemoryMib(text)).toBeUndefined());
});

test.each([
  ["2", { kind: "count", min: 2, max: 2 }], ["1-2", { kind: "count", min: 1, max: 2 }],
  ["1k", { kind: "count", min: 1024, max: 1024 }], ["1m-2M", { kind: "count", min: 1024 ** 2, max: 2 * 1024 ** 2 }],
  ["0", { kind: "count", min: 0, max: 0 }], ["3-2", { kind: "reversed", min: 3, max: 2 }],
  ["1,2", { kind: "invalid" }], ["x", { kind: "invalid" }], ["", { kind: "invalid" }], ["4000000k", { kind: "invalid" }],
] as const)("node count %p", (text, count) => expect(parseNodeCount(text)).toEqual(count));

describe("tasks per node", () => {
  test.each([[[2, 2, 2, 1], "2(x3),1"], [[2], "2"], [[2, 2], "2(x2)"], [[2, 1], "2,1"], [[], ""]])("%p", (counts, text) => {
    expect(foldPerNode(counts)).toBe(text);
    if (text !== "") expect(expandPerNode(text)).toEqual(counts);
  });
  test.each(["", "2(x0)", "2(x999999)", "a", "2(x3"])("%p is refused", (text) => expect(expandPerNode(text)).toBeUndefined());
});

describe("array specifications", () => {
  test.each([
    ["0-9:3", "0,3,6,9"], ["1,3,5-7%2", "1,3,5-7%2"], ["1-100", "1-100"], ["1-3%0", "1-3"], ["0-99:3", "0-99:3"],
    ["5,1,3-4,3", "1,3-5"], ["7", "7"], ["1-2", "1-2"],
  ] as const)("%s is shown as %s", (text, shown) => expect(foldArraySpec(parseArraySpec(text))).toBe(shown));

  test("a long list is cut as SLURM_BITSTR_LEN says", () => {
    const spec = parseArraySpec(`${Array.from({ length: 30 }, (_, i) => 1 + 3 * i).join(",")},91,95`);
    expect(foldArraySpec(spec, 20)).toBe("1,4,7,10,13,16,1...");
    expect(foldArraySpec(spec)).toHaveLength(63);
    expect(foldArraySpec(spec, 0)).toEndWith("88,91,95");
  });

  test.each(["x", "", "1-2000", "3-1", "1-5:0", "1-", "1%", "1%a", "-1", "1,,2"])("%p is refused", (text) => {
    expect(() => parseArraySpec(text)).toThrow(BerthError);
  });
});

describe("signals", () => {
  test.each([["TERM", 15], ["SIGTERM", 15], ["usr1", 10], ["9", 9], ["SIGkill", 9], ["64", 64]] as const)("%s",
    (text, number) => expect(parseSignal(text)).toBe(number));
  test.each(["FOO", "0", "65", "", "SIG", "1.5"])("%p is refused", (text) => expect(parseSignal(text)).toBeUndefined());
  test("names and descriptions", () => {
    expect([signalName(15), signalName(40)]).toEqual(["TERM", "40"]);
    expect([9, 15, 11, 6, 2, 10, 53].map(signalText)).toEqual([
      "Killed", "Terminated", "Segmentation fault", "Aborted", "Interrupt", "User defined signal 1", "Real-time signal 19",
    ]);
  });
  test.each([
    ["USR1", { signal: 10, seconds: 60, toBatch: false, atReservation: false }],
    ["B:USR2@30", { signal: 12, seconds: 30, toBatch: true, atReservation: false }],
    ["RB:INT@0", { signal: 2, seconds: 0, toBatch: true, atReservation: true }],
    ["R:15", { signal: 15, seconds: 60, toBatch: false, atReservation: true }],
  ])("--signal=%s", (text, signal) => expect(parseWarnSignal(text, { isBatch: true })).toEqual(signal));
  test.each(["FOO", "USR1@", "USR1@65536", "BB:USR1", "X:USR1", "@30"])("--signal=%s is refused",
    (text) => expect(parseWarnSignal(text, { isBatch: true })).toBeUndefined());
  test("B: needs a batch script", () => expect(parseWarnSignal("B:USR1", { isBatch: false })).toBeUndefined());
});

describe("parseExportRule", () => {
  const rule = (text: string) => JSON.parse(JSON.stringify(parseExportRule(text)));
  test.each([
    ["ALL", { kind: "all", set: {}, text: "ALL" }], ["none", { kind: "none", text: "none" }], ["NIL", { kind: "nil", text: "NIL" }],
    ["FOO,NEW=1", { kind: "list", keep: ["FOO"], set: { NEW: "1" }, text: "FOO,NEW=1" }],
    ["ALL,FOO=a=b", { kind: "all", set: { FOO: "a=b" }, text: "ALL,FOO=a=b" }],
    ["NEW=x,y", { kind: "list", keep: ["y"], set: { NEW: "x" }, text: "NEW=x,y" }],
    ["ALL,NEW='x,y'", { kind: "all", set: { NEW: "x,y" }, text: "ALL,NEW='x,y'" }],
  ])("%s", (text, expected) => expect(rule(text)).toEqual(expected));
});

describe("parseDependency", () => {
  test("terms, delays and array tasks", () => {
    expect(parseDependency("after:5+10:6,singleton,afterok:7_2")).toEqual({
      isAny: false,
      terms: [
        { type: "after", jobs: [{ jobId: 5, arrayTask: null, delayMinutes: 10 }, { jobId: 6, arrayTask: null, delayMinutes: 0 }] },
        { type: "singleton", jobs: [] },
        { type: "afterok", jobs: [{ jobId: 7, arrayTask: 2, delayMinutes: 0 }] },
      ],
    });
    expect(parseDependency("12:13?afterany:1_*").isAny).toBe(true);
  });
  test.each(["bogus:1", "afterok", "afterok:", "", "afterok:0", "afterok:1+5", "afterok:1,afterok:2?singleton", "singleton:1"])(
    "%p is refused", (text) => expect(() => parseDependency(text)).toThrow("Job dependency problem"));
});

test.each([
  ["gpu", [{ name: "gpu", type: null, count: 1 }]], ["gpu:2", [{ name: "gpu", type: null, count: 2 }]],
  ["gres:gpu:a100:2,nic", [{ name: "gpu", type: "a100", count: 2 }, { name: "nic", type: null, count: 1 }]],
  ["none", []], ["gpu:a:b:1", undefined], ["", undefined], ["gpu:", undefined],
])("gres %p", (text, gres) => expect(parseGres(text)).toEqual(gres));

test.each([
  ["2", [{ name: "gpu", type: null, count: 2 }]], ["a100:2", [{ name: "gpu", type: "a100", count: 2 }]],
  ["a100", [{ name: "gpu", type: "a100", count: 1 }]], ["a:b:c", undefined], ["", undefined],
])("gpus %p", (text, gpus) => expect(parseGpus(text)).toEqual(gpus));

test.each([["END,fail,END", ["END", "FAIL"]], ["NONE", []], ["BOGUS", undefined]])("mail types %p",
  (text, types) => expect(parseMailTypes(text)).toEqual(types));

describe("parseJobTarget", () => {
  test.each([
    ["12", { jobId: 12, arrayTasks: null, stepKey: null }], ["12_3", { jobId: 12, arrayTasks: [3], stepKey: null }],
    ["12_[1-3,5]", { jobId: 12, arrayTasks: [1, 2, 3, 5], stepKey: null }],
    ["12_[1-3%2]", { jobId: 12, arrayTasks: [1, 2, 3], stepKey: null }],
    ["12_*", { jobId: 12, arrayTasks: null, stepKey: null }], ["12.0", { jobId: 12, arrayTasks: null, stepKey: 0 }],
    ["12.batch", { jobId: 12, arrayTasks: null, stepKey: "batch" }],
    ["12_3.1", { jobId: 12, arrayTasks: [3], stepKey: 1 }], ["12+1", { jobId: 13, arrayTasks: null, stepKey: null }],
  ] as const)("%s", (text, target) => expect(parseJobTarget(text)).toEqual(target as never));
  test.each(["abc", "", "0", "12_", "12_[]", "12_[3-1]", "12.x", "12.-1", "99999999999", "12 ", "-1"])("%p is refused",
    (text) => expect(parseJobTarget(text)).toBeUndefined());
  test("a list keeps its brackets together", () => {
    const parsed = parseJobTargets("12_[1,3],14 15");
    expect("targets" in parsed && parsed.targets.map(({ jobId }) => jobId)).toEqual([12, 14, 15]);
    expect(parseJobTargets("1,abc")).toEqual({ bad: "abc" });
  });
});

describe("file patterns", () => {
  const job = { jobId: 157, arrayJobId: 156, arrayTask: 7, userName: "alice", jobName: "nm", nodeName: "n1" };
  const batch = { ...job, kind: "batch" as const };
  const task = { ...job, kind: "task" as const, stepKey: 0, nodeIndex: 1, task: 2 };
  test.each([
    ["a_%A_%a_%3a_%6j.out", "a_156_7_007_000157.out"], ["o_%x_%u_%N_%n_%s_%t_%J_%%.out", "o_nm_alice_n1_0_batch_0_157_%.out"],
    ["%q %5x %", "%q nm %"], ["%99j", "0000000157"], ["lit\\%j.txt", "lit%j.txt"], ["a\\\\%j", "a\\%j"],
  ])("batch %s", (pattern, name) => expect(expandFilePattern(pattern, batch)).toBe(name));
  test("outside an array", () => {
    expect(expandFilePattern("%A_%a", { ...batch, arrayJobId: null, arrayTask: null })).toBe("157_4294967294");
  });
  test.each([["out.%J.%3t.%n.%s", "out.157.0.002.1.0"], ["%2s", "00"]])("task %s",
    (pattern, name) => expect(expandFilePattern(pattern, task)).toBe(name));
  test("tasks have their own files", () => {
    expect(["x%t", "x%3t", "%N", "%n"].map(needsPerTask)).toEqual([true, true, true, true]);
    expect(["x%j", "x%%t", "x\\%t", "t"].map(needsPerTask)).toEqual([false, false, false, false]);
  });
});

describe("parseTimePoint", () => {
  const now = new Date(2026, 10, 20, 22, 51, 24).getTime() as EpochMs;
  const local = (text: string, isPast = false) => {
    const point = parseTimePoint(text, { now, isPast });
    if (point.kind === "invalid") return point.message;
    const date = new Date(point.at);
    return new Date(point.at - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
  };
  test.each([
    ["now", "2026-11-20T22:51:24"], ["now+60", "2026-11-20T22:52:24"], ["now+1hour", "2026-11-20T23:51:24"],
    ["now + 2 days", "2026-11-22T22:51:24"], ["now+1week", "2026-11-27T22:51:24"], ["now-2days", "2026-11-18T22:51:24"],
    ["23:59", "2026-11-20T23:59:00"], ["16:00", "2026-11-21T16:00:00"], ["4:30PM", "2026-11-21T16:30:00"],
    ["12:05am", "2026-11-21T00:05:00"], ["noon", "2026-11-21T12:00:00"], ["midnight", "2026-11-21T00:00:00"],
    ["teatime", "2026-11-21T16:00:00"], ["fika", "2026-11-21T15:00:00"], ["2030-01-02", "2030-01-02T00:00:00"],
    ["2030-01-02T03:04", "2030-01-02T03:04:00"], ["2030-01-02T03:04:05", "2030-01-02T03:04:05"],
    ["2030-01-02 03:04", "2030-01-02T03:04:00"], ["010230", "2030-01-02T00:00:00"], ["01/02/30", "2030-01-02T00:00:00"],
    ["01/02/30-10:11", "2030-01-02T10:11:00"], ["01.02", "2027-01-02T00:00:00"], ["1231", "2026-12-31T00:00:00"],
    ["today", "2026-11-20T00:00:00"], ["tomorrow", "2026-11-21T00:00:00"], ["noon tomorrow", "2026-11-21T12:00:00"],
    ["uts1000000000", undefined],
  ])("%s", (text, expected) => {
    if (expected !== undefined) expect(local(text)).toBe(expected);
    else expect(parseTimePoint(text, { now })).toEqual({ kind: "time", at: 1e12 as EpochMs });
  });
  test.each([
    ["notatime", 0], ["in 5 minutes", 0], ["25:00", 0], ["2030-13-01", 5], ["2030-01-32", 8], ["12:61", 3], ["", 0],
    ["now+5fortnights", 5], ["2030-01-02T", 10], ["noon noon", 5], ["nonsense", 0],
  ])("%p fails at %d", (text, pos) => expect(local(text)).toBe(`Invalid time specification (pos=${pos}): ${text}`));
  test("of the past, a time of day is today's", () => {
    expect(local("23:59", true)).toBe("2026-11-20T23:59:00");
    expect(local("01/02", true)).toBe("2026-01-02T00:00:00");
    expect(local("16:00", true)).toBe("2026-11-20T16:00:00");
  });
});
