import { expect, test } from "bun:test";
import { parseMailTypes } from "./mail-type.ts";

test.each([
  ["END,fail,END", ["END", "FAIL"]],
  ["NONE", []],
  ["BOGUS", undefined],
])("mail types %p", (text, types) => expect(parseMailTypes(text)).toEqual(types));
