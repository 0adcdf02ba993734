import { afterEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { enginePaths } from "./paths.ts";

const before = process.env["XDG_RUNTIME_DIR"];
let dir: string | undefined;

afterEach(() => {
  if (before === undefined) delete process.env["XDG_RUNTIME_DIR"];
  else process.env["XDG_RUNTIME_DIR"] = before;
  if (dir !== undefined) rmSync(dir, { recursive: true, force: true });
});

test("a runtime directory whose path is too long for sockets is refused by name", () => {
  dir = mkdtempSync("/tmp/berth-paths-");
  const long = join(dir, "x".repeat(80));
  mkdirSync(long, { mode: 0o700 });
  process.env["XDG_RUNTIME_DIR"] = long;
  expect(() => enginePaths()).toThrow(BerthError);
  expect(() => enginePaths()).toThrow(long);
});

test("one that is short enough is used", () => {
  dir = mkdtempSync("/tmp/berth-paths-");
  process.env["XDG_RUNTIME_DIR"] = dir;
  expect(enginePaths().socket).toBe(join(dir, "berth", "berthd.sock"));
});
