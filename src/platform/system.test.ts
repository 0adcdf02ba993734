import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { ACCESS, canAccess, closeFd, findStatus, hostName, OPEN, openFd, readTextFile, SystemError, writeFd } from "./system.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync("/tmp/berth-system-");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("what node:fs says of a file, we say", () => {
  const file = join(dir, "file");
  writeFileSync(file, "x");
  chmodSync(file, 0o640);
  symlinkSync(file, join(dir, "link"));
  for (const [path, kind] of [
    [dir, "directory"],
    [file, "file"],
    ["/dev/null", "other"],
  ] as const) {
    const { mode, uid, ino } = lstatSync(path);
    expect(findStatus(path)).toMatchObject({ kind, mode: mode & 0o7777, uid });
    expect(findStatus(path)?.identity.endsWith(`:${ino}`)).toBe(true);
  }
  expect(findStatus(join(dir, "link"))?.identity).toBe(findStatus(file)?.identity ?? "none");
  expect(findStatus(join(dir, "link"), { ofLink: true })?.kind).toBe("other");
  expect(findStatus(join(dir, "missing"))).toBeUndefined();
  for (const path of [`${file}\0more`, "\0", ""]) {
    expect([canAccess(path, ACCESS.exists), findStatus(path)]).toEqual([false, undefined]);
    expect(() => openFd(path, OPEN.read)).toThrow(SystemError);
  }
  const fd = openFd(file, OPEN.read);
  expect(findStatus(fd)).toEqual(findStatus(file) ?? expect.unreachable());
  closeFd(fd);
  expect(canAccess(file, ACCESS.exists)).toBe(true);
  expect(canAccess(file, ACCESS.execute)).toBe(false);
  expect(canAccess(join(dir, "missing"), ACCESS.exists)).toBe(false);
});

test("text files of any size, and of /proc, which tells none", () => {
  const file = join(dir, "file");
  for (const text of ["", "short", "ä".repeat(100_000)]) {
    writeFileSync(file, text);
    expect(readTextFile(file)).toBe(text);
  }
  expect(readTextFile("/proc/self/comm")).toBe(readFileSync("/proc/self/comm", "utf8"));
});

test("files are made, cut short and appended to", () => {
  const file = join(dir, "file");
  const write = (flags: number, text: string) => {
    const fd = openFd(file, OPEN.write | OPEN.create | flags, 0o600);
    expect(writeFd(fd, Buffer.from(text))).toBe(text.length);
    closeFd(fd);
  };
  write(OPEN.truncate, "one two");
  write(OPEN.append, " three");
  expect(readFileSync(file, "utf8")).toBe("one two three");
  write(OPEN.truncate, "");
  expect(readFileSync(file, "utf8")).toBe("");
  expect(lstatSync(file).mode & 0o777).toBe(0o600);
});

test("errors have node's names", () => {
  mkdirSync(join(dir, "sub"));
  for (const [path, code] of [
    [join(dir, "missing"), "ENOENT"],
    [join(dir, "sub"), "EISDIR"],
    [`/${"x".repeat(300)}`, "ENAMETOOLONG"],
  ] as const) {
    let found: unknown;
    try {
      readTextFile(path);
    } catch (error) {
      found = error;
    }
    expect(found).toBeInstanceOf(SystemError);
    expect((found as SystemError).code).toBe(code);
  }
});

test("the host's name", () => expect(hostName()).toBe(hostname()));
