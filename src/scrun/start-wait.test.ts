import { describe, expect, test } from "bun:test";
import { BerthError } from "#job/errors.ts";
import { defaultStartWait, readStartWait, type StartWait } from "./start-wait.ts";

const read: readonly (readonly [text: string | undefined, wait: StartWait | null])[] = [
  [undefined, null],
  ["", null],
  ["0", 0],
  ["90", 90],
  ["infinite", "infinite"],
  ["INFINITE", "infinite"],
];

describe("SCRUN_START_WAIT", () => {
  test.each(read)("%p is %p", (text, wait) => expect(readStartWait({ SCRUN_START_WAIT: text })).toBe(wait));
  test.each(["-1", "1.5", "soon", "10s", "2000001", " "])("%p is refused", (text) => {
    expect(() => readStartWait({ SCRUN_START_WAIT: text })).toThrow(BerthError);
  });
  test("without it dockerd is not kept waiting, others for a short time", () => {
    expect(defaultStartWait({ isContainerd: true })).toBe(0);
    expect(defaultStartWait({ isContainerd: false })).toBe(10);
  });
});
