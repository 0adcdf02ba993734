import { afterEach, beforeEach, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeSealedCopy, openSealedCopy } from "./sealed-copy.ts";
import { closeFd, SystemError } from "./system.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync("/tmp/berth-sealed-");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("a copy runs when its file is gone, nobody can write to it, and it goes with its maker's descriptor", () => {
  const file = join(dir, "tool");
  copyFileSync(Bun.which("echo") ?? "/bin/echo", file);
  let path: string;
  {
    using copy = makeSealedCopy(file);
    ({ path } = copy);
    rmSync(file);
    expect(Bun.spawnSync([path, "still", "here"], { argv0: "echo", timeout: 20_000 }).stdout.toString()).toBe("still here\n");
    expect(() => writeFileSync(path, "other")).toThrow();
    const fd = openSealedCopy(path);
    if (fd === undefined) return expect.unreachable();
    expect(Bun.spawnSync([`/proc/self/fd/${fd}`, "by number"], { argv0: "echo", timeout: 20_000 }).stdout.toString()).toBe("by number\n");
    closeFd(fd);
  }
  expect(existsSync(path)).toBe(false);
  expect(openSealedCopy(path)).toBeUndefined();
});

test("a script is not copied", () => {
  const file = join(dir, "tool");
  writeFileSync(file, "#!/bin/sh\necho hello\n", { mode: 0o755 });
  expect(() => makeSealedCopy(file)).toThrow("is no program in the kernel's own format");
});

test("a file that can be changed is no copy", () => {
  const file = join(dir, "tool");
  writeFileSync(file, "x");
  const fd = openSync(file, "r");
  expect(openSealedCopy(`/proc/self/fd/${fd}`)).toBeUndefined();
  closeFd(fd);
  expect(openSealedCopy("/dev/null")).toBeUndefined();
  expect(() => makeSealedCopy(join(dir, "missing"))).toThrow(SystemError);
});
