// The comparison itself: a recorded transcript must equal itself after everything that varies between two runs of the
// same Slurm was changed in it, and must not equal itself after anything else was.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseExpectations } from "./expected.ts";
import { bestIdMap, isSame, jobIdsOf, normalise, RECORDED, replaceInColumn, splitTaskLines, type Place } from "./normalise.ts";
import { transcripts } from "./replay.ts";
import { parseTranscript, type Exchange } from "./transcript.ts";

const ELSEWHERE: Place = { user: "carol", uid: 1000, gid: 1000, hosts: ["front"], dir: "/tmp/berth-x1y2z3" };
const exchange = (command: string, stdout: string, status = 0): Exchange => ({
  number: 1,
  command,
  stdout: stdout.split("\n"),
  stderr: [],
  status,
});

/** The same session as another user would have recorded it on another machine, on another day, one job later. */
function elsewhere(text: string, ids: readonly number[]): string {
  let result = text
    .replaceAll(RECORDED.dir, ELSEWHERE.dir)
    .replaceAll("alice", ELSEWHERE.user)
    .replace(/(?<![A-Za-z0-9_])login(?![A-Za-z0-9_])/g, "front")
    .replace(/\b202[0-6]-\d\d-\d\dT/g, "2024-02-29T")
    .replace(/(?<![\d:-])0:0(\d)(?![\d:])/g, "0:1$1")
    .replace(/\b(UserId|GroupId)=(\w+)\(2001\)/g, "$1=$2(1000)");
  const last = (ids.at(-1) ?? 0) + 1;
  for (let id = last; id >= Math.max(100, ids[0] ?? last); id--) {
    // downwards, so that no id is moved twice
    result = result.replace(new RegExp(`(?<![\\d.:])${id}(?![\\d:])`, "g"), String(id + 1));
  }
  return result;
}

describe("a transcript recorded elsewhere is the same", () => {
  const recordings = [...transcripts()].filter(([, dir]) => dir.endsWith("slurm-22.05"));
  test.each(recordings)("%s", (name, dir) => {
    const text = readFileSync(join(dir, `${name}.txt`), "utf8");
    const recorded = parseTranscript(text);
    const other = parseTranscript(elsewhere(text, jobIdsOf(recorded)));
    const map = bestIdMap(recorded, other, ELSEWHERE);
    expect(recorded.length).toBeGreaterThan(0);
    const different = recorded
      .filter((one, index) => {
        const again = other[index];
        return again === undefined || !isSame(normalise(one, RECORDED, new Map()), normalise(again, ELSEWHERE, map));
      })
      .map((one) => one.command);
    expect(different).toEqual([]);
  });
});

describe("what matters is not normalised away", () => {
  const cases: readonly (readonly [name: string, a: Exchange, b: Exchange])[] = [
    ["another status", exchange("srun true", ""), exchange("srun true", "", 1)],
    ["another word", exchange("squeue", "PENDING"), exchange("squeue", "RUNNING")],
    ["a column moved", exchange("squeue", "  a   b"), exchange("squeue", "  a    b")],
    ["lines of one command in another order", exchange("squeue -h", "a\nb"), exchange("squeue -h", "b\na")],
    ["a time limit", exchange("squeue", "1-00:00:00"), exchange("squeue", "2-00:00:00")],
    ["a date in the far future", exchange("squeue", "2030-01-02T03:04:05"), exchange("squeue", "2031-01-02T03:04:05")],
    ["a task missing", exchange("srun", "srun: error: n1: tasks 0-1: Killed"), exchange("srun", "srun: error: n1: task 0: Killed")],
  ];
  test.each(cases)("%s", (_name, a, b) => {
    expect(isSame(normalise(a, RECORDED, new Map()), normalise(b, RECORDED, new Map()))).toBe(false);
  });
});

describe("the parts", () => {
  test("a name in a right-aligned column keeps the width", () => {
    expect(replaceInColumn("job1  berthci R", "berthci", "alice")).toBe("job1    alice R");
  });
  test("a name in a left-aligned column keeps the width", () => {
    expect(replaceInColumn("job1 berthci   R", "berthci", "alice")).toBe("job1 alice     R");
  });
  test("tasks that ended together are one line each", () => {
    expect(splitTaskLines("srun: error: n1: tasks 0-1,3: Killed")).toEqual([
      "srun: error: n1: task 0: Killed",
      "srun: error: n1: task 1: Killed",
      "srun: error: n1: task 3: Killed",
    ]);
  });
  test("a transcript falls into its commands", () => {
    expect(parseTranscript("# title\n$ a\n< in\n| out\n! err\n= 3\n@ f\n  $ not a command\n@\n$ b\n= 0\n")).toEqual([
      { number: 1, command: "a", stdout: ["out"], stderr: ["err"], status: 3 },
      { number: 2, command: "b", stdout: [], stderr: [], status: 0 },
    ]);
  });
  test("a difference needs a transcript and a reason", () => {
    expect(() => parseExpectations("differ x 1 why")).toThrow("must follow");
    expect(() => parseExpectations("pass x\ndiffer x 1")).toThrow("want:");
    expect(parseExpectations("pass x\ndiffer x 1,2 why not").get("x")?.differences.get(2)).toBe("why not");
  });
});
