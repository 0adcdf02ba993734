import { describe, expect, test } from "bun:test";
import { BerthError } from "#job/errors.ts";
import { compressHostlist, expandHostlist, parseHostFile } from "./hostlist.ts";

describe("expandHostlist", () => {
  test.each([
    ["n[1-3,07-09],login1", "n1 n2 n3 n07 n08 n09 login1"],
    ["a[1-2]b[3-4]", "a1b3 a1b4 a2b3 a2b4"],
    ["n5", "n5"],
    ["n1,n2", "n1 n2"],
    ["n[08-11]", "n08 n09 n10 n11"],
    ["n[1-2]-ib", "n1-ib n2-ib"],
    ["", ""],
    ["n1,,n2 n3", "n1 n2 n3"],
  ])("%s", (text, names) => expect(expandHostlist(text).join(" ")).toBe(names));

  test.each(["n[1-", "n1]", "n[]", "n[3-1]", "n[a]", "n[1-2-3]", "n[0-999999999]", "n[[1]]", "a[1-9999]b[1-9999]"])(
    "%s is refused",
    (text) => expect(() => expandHostlist(text)).toThrow(BerthError),
  );
});

describe("compressHostlist", () => {
  test.each([
    ["n1,n2,n3,n10,x07,x08", "n[1-3,10],x[07-08]"],
    ["n3,n1,n2,n1", "n[3,1-2,1]"],
    ["n5", "n5"],
    ["n9,n10", "n[9-10]"],
    ["n09,n10", "n[09-10]"],
    ["n9,n010", "n9,n010"],
    ["login,n1,n2", "login,n[1-2]"],
    ["n1,n1", "n[1,1]"],
    ["a1b3,a1b4,a2b3", "a1b[3-4],a2b3"],
    ["n1,n01", "n1,n01"],
    ["n0,n1", "n[0-1]"],
    ["", ""],
  ])("%s", (names, text) => expect(compressHostlist(names.split(",").filter((name) => name !== ""))).toBe(text));
});

test("a host file has names on lines, and comments", () => {
  expect(parseHostFile("n1 n2\n# no\nn[3-4] # yes\n\n")).toEqual(["n1", "n2", "n3", "n4"]);
});
