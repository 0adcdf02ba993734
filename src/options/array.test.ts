import { describe, expect, test } from "bun:test";
import { BerthError } from "#job/errors.ts";
import { foldArraySpec, parseArraySpec } from "./array.ts";

describe("array specifications", () => {
  test.each([
    ["0-9:3", "0,3,6,9"],
    ["1,3,5-7%2", "1,3,5-7%2"],
    ["1-100", "1-100"],
    ["1-3%0", "1-3"],
    ["0-99:3", "0-99:3"],
    ["5,1,3-4,3", "1,3-5"],
    ["7", "7"],
    ["1-2", "1-2"],
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
