// The JSON of scrun.lua, in the interpreter that runs it: what comes in goes out again, and text that is no JSON is refused as JSON.parse does.
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseJson, printJson } from "#container/json.ts";
import { havePeers } from "../../../../test/peers.ts";
import JSON_LIBRARY from "./json.lua" with { type: "text" };

/** Each line through decode and encode; what raises becomes `!` and the reason. */
const LOOP = `
local json = (function() ${JSON_LIBRARY} end)()
for line in io.lines() do
  local done, result = pcall(function() return json.encode(json.decode(line)) end)
  print(done and result or "!" .. result)
end`;

function throughLua(lines: readonly string[]): string[] {
  const dir = mkdtempSync(join(tmpdir(), "berth-json-"));
  try {
    writeFileSync(join(dir, "loop.lua"), LOOP);
    writeFileSync(join(dir, "in"), lines.map((line) => `${line}\n`).join(""));
    const child = Bun.spawnSync(["sh", "-c", 'exec lua5.4 "$0/loop.lua" <"$0/in" >"$0/out"', dir], { timeout: 30_000 });
    expect({ status: child.exitCode, stderr: child.stderr.toString() }).toEqual({ status: 0, stderr: "" });
    return readFileSync(join(dir, "out"), "utf8").trimEnd().split("\n");
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** A small generator with a seed that a failure prints (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const NUMBERS = [
  "0",
  "-1",
  "7",
  "4096",
  "9007199254740993",
  "9223372036854775807",
  "-9223372036854775808",
  "18446744073709551615",
  "1.50",
  "-0.0",
  "1e3",
  "2.5E-7",
];
const LETTERS = ["a", "Z", "0", " ", '"', "\\", "/", "\n", "\t", "\u0001", "\u007f", "é", "字", "😀", "%", "]", "{"];

function makeText(pick: (below: number) => number): string {
  return JSON.stringify(Array.from({ length: pick(6) }, () => LETTERS[pick(LETTERS.length)]).join(""));
}

/** Nulls only in the middle of lists: a member that is null is no member in Lua, and a list ends with its last value. */
function makeValue(pick: (below: number) => number, depth: number): string {
  const kind = pick(depth > 4 ? 4 : 6);
  if (kind === 0) return NUMBERS[pick(NUMBERS.length)] ?? "0";
  if (kind === 1) return ["true", "false"][pick(2)] ?? "true";
  if (kind < 4) return makeText(pick);
  const items = Array.from({ length: pick(4) }, () => makeValue(pick, depth + 1));
  if (kind === 4) return `[${items.flatMap((item) => (pick(5) === 0 ? ["null", item] : [item])).join(" , ")}]`;
  return `{${items.map((item) => `${makeText(pick)}:${item}`).join(",\t")}}`;
}

/** Members sorted by their bytes, as the Lua side writes them. */
function canonical(text: string): string {
  const sort = (value: ReturnType<typeof parseJson>): ReturnType<typeof parseJson> => {
    if (Array.isArray(value)) return value.map(sort);
    if (!(value instanceof Map)) return value;
    const names = [...value.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    return new Map(names.map((name) => [name, sort(value.get(name) ?? null)]));
  };
  return printJson(sort(parseJson(text)));
}

test.skipIf(!havePeers("lua5.4"))("any JSON comes back as it was: numbers to the digit, empty objects and lists", () => {
  const seed = Date.now() % 1_000_000;
  const pick = random(seed);
  const given = Array.from({ length: 400 }, () => makeValue(pick, 0));
  // A number alone has no table that could keep its text.
  const values = given.filter((text) => /^[[{"tf]/.test(text));
  const came = throughLua(values);
  const wrong = values.flatMap((text, index) =>
    canonical(came[index] ?? "") === canonical(text) ? [] : [{ seed, text, came: came[index] }],
  );
  expect(wrong).toEqual([]);
  expect(values.length).toBeGreaterThan(100);
});

test.skipIf(!havePeers("lua5.4"))("what is no JSON is refused", () => {
  const wrong = [
    "",
    "01",
    "1.",
    ".5",
    "+1",
    "-",
    "1e",
    "[1,]",
    "[1 2]",
    '{"a":1,}',
    '{"a" 1}',
    "{a:1}",
    "tru",
    "nul",
    '"',
    '"\\x"',
    '"\\u12"',
    '"\t"',
    "[1]x",
    "[",
    "'a'",
    "NaN",
  ];
  expect(throughLua(wrong).filter((line) => !line.startsWith("!from_json: line 1: "))).toEqual([]);
  expect(() => wrong.map((text) => JSON.parse(text) as unknown)).toThrow();
  expect(throughLua(["[".repeat(1000)])[0]).toContain("nested deeper than 100");
});
