import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readConfig } from "./config.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync("/tmp/berth-scrun-config-");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** What a bundle's maker may put there instead of a file. */
const INSTEAD: readonly (readonly [name: string, make: (file: string) => void, message: string])[] = [
  ["a FIFO", (file) => Bun.spawnSync(["mkfifo", file]), "it is not a regular file"],
  ["a link to /dev/zero", (file) => symlinkSync("/dev/zero", file), "it is not a regular file"],
  ["a directory", (file) => mkdirSync(file), "it is not a regular file"],
  ["9 MiB", (file) => writeFileSync(file, Buffer.alloc(9 << 20, " ")), "9437184 bytes, and 8388608 is the limit"],
  ["no text", (file) => writeFileSync(file, Buffer.from([0xff, 0xfe, 0x00])), "it is not UTF-8 text"],
];

test.each(INSTEAD)("config.json that is %s is refused at once", (_name, make, message) => {
  const file = join(dir, "config.json");
  make(file);
  expect(() => readConfig(dir)).toThrow(`Cannot use ${file}: ${message}`);
});
