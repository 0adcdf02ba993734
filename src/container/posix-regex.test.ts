import { describe, expect, test } from "bun:test";
import { compileExtendedRegex } from "./posix-regex.ts";

const matching: readonly (readonly [regex: string, text: string, found: boolean])[] = [
  ["^(SLURM_CONF|SLURM_CONF_SERVER)=", "SLURM_CONF_SERVER=h", true],
  ["^(A|B)=", "XA=1", false],
  ["a.c", "a\nc", true],
  ["[[:upper:]]+_[0-9]{2}$", "AB_12", true],
  ["[]a]", "]", true],
  ["[^]a]", "]", false],
  ["[a-]", "-", true],
  ["[\\d]", "\\", true],
  ["[\\d]", "5", false],
  ["a**", "", true],
  ["^a+?$", "", true],
  ["^(ab)\\1$", "abab", true],
  ["a{,2}b", "aab", true],
  ["^x{2}{2}$", "xxxx", true],
  ["\\<foo\\>", "a foo b", true],
  ["\\<foo\\>", "afoo", false],
  ["a\\.b", "axb", false],
  [")", ")", true],
  ["a|", "zzz", true],
  ["}", "}", true],
  ["[[.-.]a]", "-", true],
  ["é{2}", "éé", true],
];
describe("compileExtendedRegex", () => {
  test.each(matching)("%s on %j is %p", (regex, text, found) => expect(compileExtendedRegex(regex).test(text)).toBe(found));
  test.each(["(", "[a", "*a", "a{2", "a{3,2}", "a{99999}", "\\", "[[:no:]]", "[b-a]", "(*a)", "a|*b", "\\1", "[[:alpha:]-z]"])(
    "%s is refused",
    (regex) => {
      expect(() => compileExtendedRegex(regex)).toThrow(SyntaxError);
    },
  );

  test("grep -E agrees on random expressions", () => {
    const pieces = [
      "a",
      "b",
      "AB",
      ".",
      "[ab]",
      "[^a]",
      "[[:digit:]]",
      "1",
      "(a|b)",
      "(ab)",
      "*",
      "+",
      "?",
      "{2}",
      "{1,}",
      "|",
      "^",
      "$",
      "\\.",
      "-",
      "=",
    ];
    const subjects = ["", "a", "ab", "aab=1", "b1", "AB=a.b", "11", "--", "abab", "a.b", "bbb", "=", "A"];
    let state = 7;
    const random = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    let compared = 0;
    for (let round = 0; round < 120; round++) {
      const regex = Array.from({ length: 1 + random(6) }, () => pieces[random(pieces.length)]).join("");
      let ours: RegExp;
      try {
        ours = compileExtendedRegex(regex);
      } catch (error) {
        expect(error).toBeInstanceOf(SyntaxError);
        continue;
      }
      const grep = Bun.spawnSync(["grep", "-nE", "-e", regex], {
        stdin: Buffer.from(`${subjects.join("\n")}\n`),
        env: { LC_ALL: "C", PATH: process.env["PATH"] ?? "" },
      });
      if (grep.exitCode === 2) continue; // grep is stricter in places, and says so
      const theirs = grep.stdout
        .toString()
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => Number(line.split(":")[0]) - 1);
      expect([regex, subjects.flatMap((subject, index) => (ours.test(subject) ? [index] : []))]).toEqual([regex, theirs]);
      compared++;
    }
    expect(compared).toBeGreaterThan(30);
  });
});
