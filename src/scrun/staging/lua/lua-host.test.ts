// The interpreter as a process, as Debian's program and as the library in a process of Berth: both have to be the same to a script.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findLuaLibrary } from "#platform/lua-library.ts";
import { selfOnDisk } from "#platform/self.ts";
import { havePeers } from "../../../../test/peers.ts";
import { rejectionOf } from "../../../../test/rejection.ts";
import { LuaHost } from "./lua-host.ts";

const library = findLuaLibrary();
if (library === undefined && process.env["CI"] === "true") throw new Error("Lua's library is not installed, and CI installs what it needs");
const INTERPRETERS: readonly (readonly [name: string, argv: readonly [string, ...string[]] | undefined])[] = [
  ["the program", havePeers("lua5.4") ? selfOnDisk("lua-host", Bun.which("lua5.4") ?? "") : undefined],
  ["the library", library === undefined ? undefined : selfOnDisk("lua-host", library)],
];

describe.each(INTERPRETERS)("LuaHost with %s", (_name, interpreter) => {
  let dir: string;
  let logged: string[];
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "berth-lua-"));
    logged = [];
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  const limits = (timeoutMs = 20_000) => ({ timeoutMs, signal: new AbortController().signal });
  const CONTEXT = ["c1", "7", "1000", "1000", "/spool", "/b/config.json", "/b", "/b", "/b/rootfs", "/b/rootfs"];

  async function start(stageIn: string): Promise<LuaHost> {
    const script = join(dir, "scrun.lua");
    writeFileSync(
      script,
      `function slurm_scrun_stage_in(id, bundle, spool, config, job_id)\n${stageIn}\nend\nfunction slurm_scrun_stage_out() end\n`,
    );
    return await LuaHost.start(
      {
        interpreter: interpreter ?? ["none"],
        script,
        dir: join(dir, "host"),
        env: { PATH: process.env["PATH"] ?? "", LUA_INIT: "print('never')" },
        srun: ["printf", "%s ", "it's srun"],
        onLog: (level, text) => logged.push(`${level}: ${text}`),
      },
      limits(),
    );
  }
  const stageIn = (host: LuaHost, { environment = [] as readonly string[], timeoutMs = 20_000 } = {}) =>
    host.call("stage_in", ["stage_in", ...CONTEXT, ...environment], limits(timeoutMs));

  test.skipIf(interpreter === undefined)("streams, commands and long answers; nothing is left in its directory", async () => {
    await using host = await start(`
      print("out") io.stderr:write("err\\n") io.write("no line end")
      local s1, o1 = slurm.allocator_command("echo $LONG | wc -c; yes | head -n 1; exit 3")
      local s2, o2 = slurm.remote_command("true")
      slurm.log_info("%d %d %s", s1, s2, o2)
      assert(o1 == "100001\\ny\\n", o1) assert(io.read() == nil)
      slurm.set_bundle_path(("x"):rep(300000)) slurm.set_root_path("/\\n")
      return job_id`);
    expect(readdirSync(join(dir, "host"))).toEqual([]);
    // More than a pipe holds, in both directions; each variable less than what one argument may have.
    const environment = ["SLURM_JOB_ID=7", `LONG=${"é".repeat(50_000)}`, `OTHER=${"b".repeat(100_000)}`];
    const [kind, status, , bundle, root] = await stageIn(host, { environment });
    expect([kind, status, bundle?.length, root]).toEqual(["returned", "7", 300_000, "/\n"]);
    // Its streams are another channel.
    for (const end = Date.now() + 10_000; logged.length < 3 && Date.now() < end; ) await Bun.sleep(5);
    const command = "--jobid 7 --overlap --no-kill --job-name lua-command -- /bin/sh -c true";
    expect([...logged].sort()).toEqual([`0: 3 0 it's srun ${command} `, "output: err", "output: out"]);
  });

  test.skipIf(interpreter === undefined)("an end of its own, a Lua error, and one that must be killed", async () => {
    {
      await using host = await start("os.exit(3)");
      expect(String(await rejectionOf(stageIn(host)))).toContain("the interpreter ended with status 3");
    }
    {
      await using host = await start("local a\nreturn a.b");
      const [kind, reason] = await stageIn(host);
      expect([kind, reason]).toEqual(["raised", `${dir}/scrun.lua:3: attempt to index a nil value (local 'a')`]);
      expect(host.isAlive).toBe(true);
    }
    {
      await using host = await start(
        'for fd = 3, 9 do local file = io.open("/proc/self/fd/" .. fd, "w") if file then file:write("garbage\\n") file:close() end end',
      );
      expect(String(await rejectionOf(stageIn(host)))).toContain("the script has written to what was not its own");
    }
    await using host = await start('pcall(os.execute, "sleep 1000") while true do pcall(string.rep, "x") end');
    expect(String(await rejectionOf(stageIn(host, { timeoutMs: 300 })))).toContain("did not end within 0.3 s and was killed");
  });

  test.skipIf(interpreter === undefined)("what is left of it when it is let go: nothing", async () => {
    const host = await start("return 0");
    await stageIn(host);
    await host[Symbol.asyncDispose]();
    expect(host.isAlive).toBe(false);
    expect(existsSync(join(dir, "host"))).toBe(false);
  });
});
