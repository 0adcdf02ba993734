import { expect, test } from "bun:test";
import { printable } from "./printable.ts";

test("only line ends and tabs reach the terminal", () => {
  expect(printable("a\tb\nä €")).toBe("a\tb\nä €");
  expect(printable("\u001b]0;x\u0007\r\u009b2J\u007f\u0000")).toBe("\\x1b]0;x\\x07\\x0d\\x9b2J\\x7f\\x00");
});
