import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NodeDirs } from "../node-dirs.ts";
import { sweepLeftovers } from "./task-dir.ts";

const dir = mkdtempSync(join(tmpdir(), "berth-tasks-"));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("a directory whose task was killed before it became the owner goes, one that is being made stays", async () => {
  const ended = Bun.spawnSync(["/bin/true"]).pid;
  const [left, made] = [join(dir, `7.0.0-${ended}`), join(dir, `7.0.1-${process.pid}`)];
  for (const path of [left, made]) mkdirSync(join(path, "spool"), { recursive: true });
  await sweepLeftovers({ tasks: dir } as NodeDirs);
  expect([existsSync(left), existsSync(made)]).toEqual([false, true]);
});
