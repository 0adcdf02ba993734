import { describe, expect, test } from "bun:test";
import { splitPair } from "./scontrol-hostlist.ts";
import { splitWords } from "./scontrol.ts";

describe("words at the prompt", () => {
  const cases: readonly (readonly [line: string, words: readonly string[]])[] = [
    ["show job 12", ["show", "job", "12"]],
    ["  ", []],
    ['update jobid=1 Comment="two words" Nice', ["update", "jobid=1", "Comment=two words", "Nice"]],
    ["update jobid=1 comment='it is'", ["update", "jobid=1", "comment=it is"]],
    ['name "open', ["name", "open"]],
  ];
  test.each(cases)("%s", (line, words) => expect(splitWords(line)).toEqual([...words]));
});

test("a pair is split at its first equals sign", () => {
  expect([splitPair("job"), splitPair("job=12"), splitPair("a=b=c")]).toEqual([
    ["job", undefined],
    ["job", "12"],
    ["a", "b=c"],
  ]);
});
