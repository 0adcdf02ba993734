import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROBE, PROBE_ROOTFS, START_CACHED } from "./node-scripts.ts";

let dir: string;
let cache: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-node-"));
  cache = join(dir, "cache");
  mkdirSync(join(cache, "bundle-b"), { recursive: true, mode: 0o700 });
  writeFileSync(join(cache, "berth-e"), `#!/bin/sh\ntouch ${dir}/ran\n`, { mode: 0o755 });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function run(script: string, ...args: readonly string[]) {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["/bin/sh", "-c", script, "sh", ...args], { timeout: 10_000 });
  return { exitCode, stdout: stdout.toString().trim().split(" ").slice(2), stderr: stderr.toString() };
}
const probe = () => run(PROBE, cache, "/none", "/none", "x", "b", "/none", "x", "e").stdout;
const probeRootfs = () => run(PROBE_ROOTFS, cache, "/none", "x", "b", "/none", "x", "e").stdout.slice(1);
const start = () => run(START_CACHED, cache, "e", "b", "true");

describe("a node's cache", () => {
  test("of the user's own is used", () => {
    expect(probe()).toEqual(["cached", "cached"]);
    expect(probeRootfs()).toEqual(["cached", "cached"]);
    expect(start().exitCode).toBe(0);
    expect(existsSync(join(dir, "ran"))).toBe(true);
  });

  test.each([
    ["that others may enter", () => chmodSync(cache, 0o777)],
    [
      "that is somewhere else",
      () => {
        renameSync(cache, `${cache}.real`);
        symlinkSync(`${cache}.real`, cache);
      },
    ],
  ])("%s is none, and no program in it is run", (_what, spoil) => {
    spoil();
    expect(probe()).toEqual(["lacks", "lacks"]);
    expect(probeRootfs()).toEqual(["lacks", "lacks"]);
    const { exitCode, stderr } = start();
    expect({ exitCode, isSaid: stderr.includes("only its user can enter") }).toEqual({ exitCode: 1, isSaid: true });
    expect(existsSync(join(dir, "ran"))).toBe(false);
  });
});
