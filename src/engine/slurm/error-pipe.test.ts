import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrorPipe } from "./error-pipe.ts";

const before = process.env["XDG_RUNTIME_DIR"];
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-pipe-"));
  process.env["XDG_RUNTIME_DIR"] = dir;
});
afterEach(() => {
  if (before === undefined) delete process.env["XDG_RUNTIME_DIR"];
  else process.env["XDG_RUNTIME_DIR"] = before;
  rmSync(dir, { recursive: true });
});

test("what a killed process has left goes with the next one, but not what is young or somebody's", () => {
  const runtime = join(dir, "berth");
  mkdirSync(runtime, { mode: 0o700 });
  const old = new Date(Date.now() - 3_600_000);
  for (const name of ["srun-999999999.1-old", "srun-999999999.1-young", "other"]) mkdirSync(join(runtime, name));
  for (const name of ["srun-999999999.1-old", "other"]) utimesSync(join(runtime, name), old, old);
  using live = new ErrorPipe();
  utimesSync(join(live.path, ".."), old, old);
  using next = new ErrorPipe();
  expect(next.path).not.toBe(live.path);
  const names = readdirSync(runtime);
  expect(names).toHaveLength(4);
  expect(names).toContain("srun-999999999.1-young");
  expect(names).toContain("other");
});
