import { expect, test } from "bun:test";
import { readAnnotations } from "./bundle.ts";
import { parseJson, type JsonObject } from "./json.ts";

const annotationsOf = (text: string) =>
  readAnnotations({ path: "/b", rootfs: "/b/rootfs", env: [], config: parseJson(`{"annotations":${text}}`) as JsonObject });

test.each([
  ["text values are kept", '{"org.example.a":"b","c":""}', { "org.example.a": "b", c: "" }],
  ["other values are left out", '{"a":1,"b":null,"c":{"d":"e"},"f":"g"}', { f: "g" }],
  ["what is no object has none", '["a"]', {}],
  ["a name that means something to JavaScript is a name", '{"__proto__":"x"}', { ["__proto__"]: "x" }],
])("%s", (_name, text, expected) => {
  expect({ ...annotationsOf(text) }).toEqual(expected as Record<string, string>);
});

test("what is recorded is bounded", () => {
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`a${i}`, "x".repeat(1000)]));
  expect(Object.keys(annotationsOf(JSON.stringify(many))).length).toBeLessThan(20);
});
