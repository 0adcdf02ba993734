import { describe, expect, test } from "bun:test";
import { parseSignal, signalName, signalText } from "./signals.ts";
import { parseWarnSignal } from "./warn-signal.ts";

describe("signals", () => {
  test.each([
    ["TERM", 15],
    ["SIGTERM", 15],
    ["usr1", 10],
    ["9", 9],
    ["SIGkill", 9],
    ["64", 64],
  ] as const)("%s", (text, number) => expect(parseSignal(text)).toBe(number));
  test.each(["FOO", "0", "65", "", "SIG", "1.5"])("%p is refused", (text) => expect(parseSignal(text)).toBeUndefined());
  test("names and descriptions", () => {
    expect([signalName(15), signalName(40)]).toEqual(["TERM", "40"]);
    expect([9, 15, 11, 6, 2, 10, 53].map(signalText)).toEqual([
      "Killed",
      "Terminated",
      "Segmentation fault",
      "Aborted",
      "Interrupt",
      "User defined signal 1",
      "Real-time signal 19",
    ]);
  });
  test.each([
    ["USR1", { signal: 10, seconds: 60, toBatch: false, atReservation: false }],
    ["B:USR2@30", { signal: 12, seconds: 30, toBatch: true, atReservation: false }],
    ["RB:INT@0", { signal: 2, seconds: 0, toBatch: true, atReservation: true }],
    ["R:15", { signal: 15, seconds: 60, toBatch: false, atReservation: true }],
  ])("--signal=%s", (text, signal) => expect(parseWarnSignal(text, { isBatch: true })).toEqual(signal));
  test.each(["FOO", "USR1@", "USR1@65536", "BB:USR1", "X:USR1", "@30"])("--signal=%s is refused", (text) =>
    expect(parseWarnSignal(text, { isBatch: true })).toBeUndefined(),
  );
  test("B: needs a batch script", () => expect(parseWarnSignal("B:USR1", { isBatch: false })).toBeUndefined());
});
