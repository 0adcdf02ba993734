import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { settingIn } from "#options/conf-lines.ts";
import { findBerthConf } from "./berth-conf.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "berth-conf-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const write = (path: string, text: string): string => {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  writeFileSync(join(dir, path), text);
  return join(dir, path);
};
const find = (env: Record<string, string> = {}) => findBerthConf({ HOME: join(dir, "home"), ...env }, join(dir, "site"));

describe("which berth.conf counts", () => {
  test("none: where the user's would be", () => expect(find()).toEqual({ file: join(dir, "home/.config/berth/berth.conf"), text: "" }));

  test("the site's, until the user has one; of that one's keys none is taken then", () => {
    const site = write("site/berth.conf", "Engine=slurm\nSlurmRest=unix:/x\n");
    expect(find()).toEqual({ file: site, text: "Engine=slurm\nSlurmRest=unix:/x\n" });
    const own = write("home/.config/berth/berth.conf", "KillWait=2\n");
    expect(find()).toEqual({ file: own, text: "KillWait=2\n" });
  });

  test("the one that BERTH_CONF names, before the user's", () => {
    write("home/.config/berth/berth.conf", "KillWait=2\n");
    const named = write("else/berth.conf", "KillWait=3\n");
    expect(find({ BERTH_CONF: named }).file).toBe(named);
  });

  test.each(["relative/berth.conf", "/etc/other.conf"])("BERTH_CONF=%s is refused", (name) => {
    try {
      find({ BERTH_CONF: name });
      throw new Error("accepted");
    } catch (error) {
      expect(error).toBeInstanceOf(BerthError);
      expect((error as BerthError).message).toBe(`BERTH_CONF is "${name}", which cannot be used`);
    }
  });

  test("one that is no file is not passed over", () => {
    mkdirSync(join(dir, "home/.config/berth/berth.conf"), { recursive: true });
    expect(() => find()).toThrow("Cannot read");
  });
});

describe("a setting", () => {
  test.each([
    ["Engine=slurm", "slurm"],
    ["  engine = slurm # why", "slurm"],
    ['KillWait=2 Engine="slurm"', "slurm"],
    ["Engine=embedded\nEngine=slurm", "slurm"],
    ["NodeName=n1 Engine=slurm", undefined],
    ["#Engine=slurm", undefined],
    ["nonsense\nEngine=slurm", "slurm"],
    ["", undefined],
  ])("%j: %s", (text, wanted) => expect(settingIn(text, "Engine")).toBe(wanted));
});
