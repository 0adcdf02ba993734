import { describe, expect, test } from "bun:test";
import { parseMemoryMib } from "./memory.ts";

describe("parseMemoryMib", () => {
  test.each([
    ["100", 100],
    ["100M", 100],
    ["1G", 1024],
    ["1g", 1024],
    ["1024K", 1],
    ["1T", 1024 ** 2],
    ["0", 0],
    ["1500", 1500],
    ["1GB", 1024],
    ["100MB", 100],
    ["2Gb", 2048],
    ["10K", 1],
    ["1025K", 2],
  ] as const)("%s", (text, mib) => expect(parseMemoryMib(text)).toBe(mib));

  test.each(["0.5G", "1G1", "1e3", "", "1Q", "-1", "100B", "B", "K", "99999999999999999999"])("%p is refused", (text) =>
    expect(parseMemoryMib(text)).toBeUndefined(),
  );
});
