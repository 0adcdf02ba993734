import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, lchownSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeSpoolDir } from "./spool.ts";

const owner = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
const isRoot = owner.uid === 0;
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-spool-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("a spool directory is made with what is missing above it", () => {
  makeSpoolDir(join(dir, "a/b/task-0"), owner);
  expect(statSync(join(dir, "a/b")).mode & 0o777).toBe(0o770);
});

test("in a directory where everybody may rename it there is none", () => {
  mkdirSync(join(dir, "open"));
  chmodSync(join(dir, "open"), 0o777);
  expect(() => makeSpoolDir(join(dir, "open/me/task-0"), owner)).toThrow("others may replace");
});

test.skipIf(!isRoot)("nor in one that somebody else has made where everybody may, as in /tmp", () => {
  chmodSync(dir, 0o1777);
  mkdirSync(join(dir, "theirs"), { mode: 0o755 });
  lchownSync(join(dir, "theirs"), 65534, 65534);
  expect(() => makeSpoolDir(join(dir, "theirs/me/task-0"), owner)).toThrow("others may replace");
  mkdirSync(join(dir, "ours"), { mode: 0o755 });
  makeSpoolDir(join(dir, "ours/me/task-0"), owner);
});
