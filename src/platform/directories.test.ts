import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { directories, isUsableRuntimeDir } from "./directories.ts";
import { ensurePrivateDir } from "./private-directory.ts";
import { ownAccount } from "./users.ts";

const uid = process.getuid?.() ?? 0;
let dir: string;
beforeEach(() => {
  dir = mkdtempSync("/tmp/berth-directories-");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test.each([
  [0o700, true],
  [0o711, true], // what podman's first run makes of it
  [0o755, true],
  [0o770, false],
  [0o1777, false],
])("a runtime directory of mode %o", (mode, isUsable) => {
  chmodSync(dir, mode);
  expect(isUsableRuntimeDir(dir, uid)).toBe(isUsable);
  expect(directories({ HOME: "/home/me", XDG_RUNTIME_DIR: dir }).runtime === join(dir, "berth")).toBe(isUsable);
});

test("somebody else's runtime directory is not used", () => {
  expect(isUsableRuntimeDir(dir, uid + 1)).toBe(false);
});

test.each([undefined, "", "relative/home"])("HOME=%s: the account's own directory, whatever the working directory is", (home) => {
  const { config, state } = directories({ HOME: home });
  const own = ownAccount().home;
  expect([config.startsWith(`${own}/.config/`), state.startsWith(`${own}/.local/state/`)]).toEqual([true, true]);
});

test("a directory that cannot be made is told with what to set instead", () => {
  let error: unknown;
  try {
    ensurePrivateDir("/proc/nowhere/berth");
  } catch (caught) {
    error = caught;
  }
  expect(error).toMatchObject({ code: "DIRECTORY", hint: expect.stringContaining("XDG_STATE_HOME") as unknown });
});
