import { expect, test } from "bun:test";
import { FieldReader, packFields } from "./fields.ts";

const MESSAGES = [["loaded"], ["log", "0", "two\nlines, ünicode"], ["", "", ""], ["returned", "0", "", "/b", "x".repeat(70_000)]];

test("messages come out as they went in, however they are cut", () => {
  const bytes = Buffer.concat(MESSAGES.map(packFields));
  for (const size of [1, 2, 3, 7, 1000, bytes.byteLength]) {
    const reader = new FieldReader();
    const came: string[][] = [];
    for (let at = 0; at < bytes.byteLength; at += size) came.push(...reader.push(bytes.subarray(at, at + size)));
    expect(came).toEqual(MESSAGES);
  }
});

test.each(["garbage\n", "\n", "-1\n", "3  4\n", "99999999999\n", "x".repeat(70_000)])("%p is no message", (text) => {
  expect(() => new FieldReader().push(Buffer.from(text))).toThrow("no message");
});
