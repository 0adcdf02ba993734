import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { identify } from "#platform/process-tree.ts";
import { sweepAbandoned } from "./abandoned.ts";
import { ContainerPlace } from "./place.ts";

const DEAD = { pid: 2 ** 31 - 1, startTicks: 1 };

describe("what a killed create has left", () => {
  let root: string;
  let place: ContainerPlace;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "berth-abandoned-"));
    place = new ContainerPlace(root, "c");
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const swept = () => {
    const isFree = sweepAbandoned(place);
    expect(existsSync(place.dir)).toBe(!isFree);
    return isFree;
  };

  test("goes, and what its anchor had laid out", () => {
    place.make(DEAD);
    place.furnish();
    expect(swept()).toBe(true);
  });

  test("stays while its create lives", () => {
    place.make(identify(process.pid) ?? DEAD);
    expect(swept()).toBe(false);
  });

  test("stays while its anchor lives, who gives up when it is just removed", () => {
    place.make(DEAD);
    expect(place.hold()).toBe(true);
    expect(swept()).toBe(false);
    rmSync(place.dir, { recursive: true });
    expect(place.hold()).toBe(false);
  });

  test.each(["state.json", "staged.json", "runtime/c"])("stays with %s", (name) => {
    place.make(DEAD);
    mkdirSync(place.runtimeRoot);
    writeFileSync(join(place.dir, name), "{}");
    expect(swept()).toBe(false);
  });

  test("one that nobody has signed stays for a moment only", () => {
    mkdirSync(place.dir);
    expect(swept()).toBe(false);
    utimesSync(place.dir, 1, 1);
    expect(swept()).toBe(true);
  });
});
