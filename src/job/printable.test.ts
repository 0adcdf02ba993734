import { expect, test } from "bun:test";
import { hasControls, printable, withoutControls } from "./printable.ts";

test.each([
  ["plain text, tab\tand\nlines", "plain text, tab\tand\nlines", "plain text, tab\tand\nlines"],
  ["é 語 😀", "é 語 😀", "é 語 😀"],
  ["\x1b]52;c;AAAA\x07", "?]52;c;AAAA?", "\\x1b]52;c;AAAA\\x07"],
  ["a\x7f\x00b\r\x0bc", "a??b??c", "a\\x7f\\x00b\\x0d\\x0bc"],
  ["\x9b2J \x90q\x9c", "?2J ?q?", "\\x9b2J \\x90q\\x9c"],
])("%j: %j as data, %j in a message", (text, asData, inMessage) => {
  expect(withoutControls(text)).toBe(asData);
  expect(printable(text)).toBe(inMessage);
  expect(hasControls(text)).toBe(text !== asData);
});
