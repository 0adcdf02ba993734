import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { directories } from "#platform/directories.ts";
import { keptAnswer } from "./kept-answer.ts";

const dir = mkdtempSync(join(tmpdir(), "berth-kept-"));
const before = process.env["XDG_STATE_HOME"];
process.env["XDG_STATE_HOME"] = dir;
afterAll(() => {
  if (before === undefined) delete process.env["XDG_STATE_HOME"];
  else process.env["XDG_STATE_HOME"] = before;
  rmSync(dir, { recursive: true, force: true });
});

test("the site is asked once, until what the answer hangs on changes or the answer is old; silence is no answer", () => {
  const about = join(dir, "slurm.conf");
  const answers = ["one\n", "two\n", "three\n", "", "four\n"];
  let asked = 0;
  const ask = () => answers[asked++] ?? "too often";
  const get = (maxAgeMs = 60_000) => keptAnswer("q", { about, maxAgeMs, ask });
  expect(get()).toBe("one\n"); // there is nothing that could be looked at
  writeFileSync(about, "a");
  expect([get(), get()]).toEqual(["two\n", "two\n"]);
  writeFileSync(about, "changed");
  expect([get(), get()]).toEqual(["three\n", "three\n"]);
  const file = readdirSync(directories().state).find((name) => name === "site-q") ?? "";
  utimesSync(join(directories().state, file), new Date(0), new Date(0));
  expect([get(), get(), get()]).toEqual(["", "four\n", "four\n"]);
  expect(asked).toBe(5);
});

test("what cannot be kept leaves nothing behind", () => {
  const about = join(dir, "slurm.conf");
  writeFileSync(about, "b");
  mkdirSync(join(directories().state, "site-in-the-way"), { recursive: true, mode: 0o700 });
  expect(keptAnswer("in-the-way", { about, maxAgeMs: 60_000, ask: () => "yes\n" })).toBe("yes\n");
  expect(readdirSync(directories().state).filter((name) => name.includes("part"))).toEqual([]);
});
