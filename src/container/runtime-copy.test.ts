import { afterEach, beforeEach, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { RuntimeCopyKeeper, runtimeCopyOf, useRuntimeCopy } from "./runtime-copy.ts";

/** A program that ends well when it is asked for its version. */
const PROGRAM = Bun.which("bash") ?? "/bin/bash";
const isBound =
  existsSync("/sys/fs/selinux/enforce") ||
  (existsSync("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") &&
    (await Bun.file("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").text()).trim() !== "0");

let dir: string;
beforeEach(() => {
  dir = mkdtempSync("/tmp/berth-copy-");
});
afterEach(() => {
  useRuntimeCopy(null);
  rmSync(dir, { recursive: true, force: true });
});

test.skipIf(isBound)("one copy for all, until there is another program", async () => {
  const runtime = join(dir, "runc");
  copyFileSync(PROGRAM, runtime);
  const keeper = new RuntimeCopyKeeper();
  expect(keeper.current).toBeNull();
  await Promise.all([keeper.keep(runtime), keeper.keep(runtime)]);
  const first = keeper.current;
  await keeper.keep(runtime);
  expect(keeper.current).toBe(first);
  useRuntimeCopy(first);
  expect(runtimeCopyOf(runtime)).toMatch(/^\/proc\/self\/fd\/\d+$/);
  expect(runtimeCopyOf(PROGRAM)).toBeUndefined();
  utimesSync(runtime, 1, 1); // an upgrade
  expect(runtimeCopyOf(runtime)).toBeUndefined();
  await keeper.keep(runtime);
  expect(keeper.current?.path).not.toBe(first?.path);
  expect(existsSync(first?.path ?? "")).toBe(false);
  useRuntimeCopy(keeper.current);
  expect(runtimeCopyOf(runtime)).toBeDefined();
});

test("no copy of a program that does not run from one, of a script, or of nothing", async () => {
  const keeper = new RuntimeCopyKeeper();
  copyFileSync("/bin/false", join(dir, "fails"));
  writeFileSync(join(dir, "script"), "#!/bin/sh\n", { mode: 0o755 });
  for (const name of ["fails", "script", "missing"]) await keeper.keep(join(dir, name));
  expect(keeper.current).toBeNull();
});

test.skipIf(isBound)("a copy that went with its controller is not used", async () => {
  const keeper = new RuntimeCopyKeeper();
  await keeper.keep(PROGRAM);
  if (keeper.current === null) return expect.unreachable();
  useRuntimeCopy({ ...keeper.current, path: "/proc/self/fd/9999" });
  expect(runtimeCopyOf(PROGRAM)).toBeUndefined();
  useRuntimeCopy(keeper.current);
  expect(runtimeCopyOf(PROGRAM)).toBeDefined();
});
