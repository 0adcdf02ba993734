import { describe, expect, test } from "bun:test";
import { JsonSyntaxError, parseJson, printJson } from "./json.ts";

describe("json", () => {
  test.each([
    ["64-bit limits", '{"limit":18446744073709551615,"other":-9223372036854775808}'],
    ["fractions and exponents", "[1.0,1e3,-0,0.1]"],
    ["empty objects and lists", '{"a":{},"b":[],"c":[{}]}'],
    ["names that look like numbers keep their place", '{"b":1,"2":2,"1":3}'],
    ["a member called __proto__", '{"__proto__":{"x":1},"constructor":1}'],
    ["escapes", '["\\u0001\\"\\\\\\n","\\ud800"]'],
  ])("%s come back as they went in", (_name, text) => {
    expect(printJson(parseJson(text)).replace(/\n */g, "").replaceAll(": ", ":")).toBe(text);
  });
  test("the last of two equal members counts", () => expect(printJson(parseJson('{"a":1,"a":2.5}'))).toBe('{\n  "a": 2.5\n}'));
  test.each([
    "",
    "{",
    "[1,]",
    '{"a"}',
    '{"a":}',
    "01",
    "+1",
    "nul",
    '"\n"',
    '"\\x"',
    '"abc',
    "[1] x",
    "{,}",
    "1.",
    "[".repeat(5000),
    '{"a":'.repeat(2e5),
  ])("%p is refused", (text) => {
    expect(() => parseJson(text)).toThrow(JsonSyntaxError);
  });
  test("an error knows its line", () => {
    try {
      parseJson('{\n"a": 1,\n"b": x}');
    } catch (error) {
      expect((error as JsonSyntaxError).line).toBe(3);
      return;
    }
    throw new Error("accepted");
  });
  test("both parsers agree", () => {
    const text = JSON.stringify({ a: [1, true, null, "é😀", { b: "" }], c: -5 });
    expect(printJson(parseJson(text))).toBe(printJson(parseJson(text.replace("-5", "-5 ") + " ".repeat(3))));
    expect(parseJson(`[${text},1.5]`)).toEqual([parseJson(text), parseJson("1.5")]);
  });
});
