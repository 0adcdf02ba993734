import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { selfOnDisk } from "#platform/self.ts";
import { planStaging } from "./plan-staging.ts";

describe("planStaging", () => {
  let dir: string;
  let env: Record<string, string>;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "berth-staging-"));
    for (const name of ["config/berth", "slurm", "bin"]) mkdirSync(join(dir, name), { recursive: true });
    for (const name of ["lua5.3", "lua"]) {
      writeFileSync(join(dir, "bin", name), "");
      chmodSync(join(dir, "bin", name), 0o755);
    }
    env = { HOME: dir, XDG_CONFIG_HOME: join(dir, "config"), SLURM_CONF: join(dir, "slurm/slurm.conf"), PATH: join(dir, "bin") };
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  const plan = (own: Record<string, string> = {}, told: Record<string, string> = {}) =>
    planStaging({ ...env, ...own }, told, { defaultPath: "", findLibrary: () => undefined });

  test("no script, no staging", () => {
    // A site of the machine that runs the test may have one.
    if (!existsSync("/etc/berth/scrun.lua")) expect(plan()).toBeNull();
  });

  test("the user's script goes before the site's; the interpreter is scrun's own", () => {
    writeFileSync(join(dir, "slurm/scrun.lua"), "");
    if (!existsSync("/etc/berth/scrun.lua")) expect(plan()?.script).toBe(join(dir, "slurm/scrun.lua"));
    writeFileSync(join(dir, "config/berth/scrun.lua"), "");
    expect(plan({}, { PATH: "/image/bin", SLURM_CONF: "/image/slurm.conf", XDG_CONFIG_HOME: "/image" })).toEqual({
      script: join(dir, "config/berth/scrun.lua"),
      interpreter: selfOnDisk("lua-host", join(dir, "bin/lua5.3")),
      timeoutSeconds: 3600,
      createWaitSeconds: 120,
    });
  });

  test("the limit is told by the container or scrun, and has to be one", () => {
    expect(plan({}, { SCRUN_STAGING_TIMEOUT: "90" })?.timeoutSeconds).toBe(90);
    for (const wrong of ["0", "-1", "1.5", "soon", "1e3", "99999999"]) {
      expect(() => plan({}, { SCRUN_STAGING_TIMEOUT: wrong })).toThrow(`Invalid SCRUN_STAGING_TIMEOUT "${wrong}"`);
    }
  });

  test("without the program the library does", () => {
    const found = planStaging({ ...env, PATH: "" }, {}, { defaultPath: "", findLibrary: () => "/lib/liblua5.4.so.0" });
    expect(found?.interpreter).toEqual(selfOnDisk("lua-host", "/lib/liblua5.4.so.0"));
  });

  test("what is called scrun.lua and cannot be read is an error, not none", () => {
    const own = mkdtempSync(join(dir, "own-"));
    const script = join(own, "berth/scrun.lua");
    mkdirSync(script, { recursive: true });
    expect(() => plan({ XDG_CONFIG_HOME: own })).toThrow(`Cannot use ${script}: it is no file`);
    rmSync(script, { recursive: true });
    writeFileSync(script, "", { mode: 0 });
    if (process.getuid?.() !== 0) expect(() => plan({ XDG_CONFIG_HOME: own })).toThrow(`Cannot use ${script}: permission denied`);
  });

  test("a script that nothing can run is an error, not ignored", () => {
    expect(() => plan({ PATH: "bin:" })).toThrow("scrun.lua: Lua is not installed");
  });
});
