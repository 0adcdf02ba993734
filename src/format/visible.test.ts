import { expect, test } from "bun:test";
import { hasControls, withoutControls } from "./visible.ts";

test.each([
  ["plain text, tab\tand\nlines", "plain text, tab\tand\nlines"],
  ["é 語 😀", "é 語 😀"],
  ["\x1b]52;c;AAAA\x07", "?]52;c;AAAA?"],
  ["a\x7f\x00b\r\x0bc", "a??b??c"],
  ["\x9b2J \x90q\x9c", "?2J ?q?"],
])("%j: %j", (text, wanted) => {
  expect(withoutControls(text)).toBe(wanted);
  expect(hasControls(text)).toBe(text !== wanted);
});
