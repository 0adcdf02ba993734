import { describe, expect, test } from "bun:test";
import { parseExportRule } from "./export-rule.ts";

describe("parseExportRule", () => {
  const rule = (text: string) => JSON.parse(JSON.stringify(parseExportRule(text)));
  test.each([
    ["ALL", { kind: "all", set: {}, text: "ALL" }],
    ["none", { kind: "none", text: "none" }],
    ["NIL", { kind: "nil", text: "NIL" }],
    ["FOO,NEW=1", { kind: "list", keep: ["FOO"], set: { NEW: "1" }, text: "FOO,NEW=1" }],
    ["ALL,FOO=a=b", { kind: "all", set: { FOO: "a=b" }, text: "ALL,FOO=a=b" }],
    ["NEW=x,y", { kind: "list", keep: ["y"], set: { NEW: "x" }, text: "NEW=x,y" }],
    ["ALL,NEW='x,y'", { kind: "all", set: { NEW: "x,y" }, text: "ALL,NEW='x,y'" }],
  ])("%s", (text, expected) => expect(rule(text)).toEqual(expected));
});
