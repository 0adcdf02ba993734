import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findCommand } from "./command.ts";

let dir = "";
beforeAll(() => {
  dir = mkdtempSync("/tmp/berth-command-");
  for (const [name, mode] of [
    ["first/tool", 0o644],
    ["second/tool", 0o755],
    ["work/tool", 0o755],
    ["work/script", 0o755],
    ["work/data", 0o644],
  ] as const) {
    mkdirSync(join(dir, name, ".."), { recursive: true });
    writeFileSync(join(dir, name), "#!/bin/sh\n");
    chmodSync(join(dir, name), mode);
  }
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe("findCommand", () => {
  test.each([
    ["tool", "second/tool"], // the first one is not executable, and PATH comes before the working directory
    ["script", "work/script"], // in the working directory only
    ["data", "work/data"], // to be told that it cannot be executed
    ["./data", "work/data"],
    ["../second/tool", "second/tool"],
    ["nothing", undefined],
  ] as const)("%s", (name, wanted) => {
    const found = findCommand(name, { path: `${dir}/first:${dir}/second`, cwd: join(dir, "work") });
    expect(found).toBe(wanted === undefined ? undefined : join(dir, wanted));
  });
});
