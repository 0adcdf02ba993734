// A site's scrun.lua, run by the real interpreter: what scripts in the manner of scrun(1) do, and everything that can be wrong with one.
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { descendants } from "#platform/process-tree.ts";
import { havePeers } from "../peers.ts";
import { ScrunSite, until } from "./place.ts";

setDefaultTimeout(120_000);

/** Shorter than a test may wait, longer than a start may take. */
const TIMEOUT = { SCRUN_STAGING_TIMEOUT: "3" };

describe.skipIf(!havePeers("runc", "busybox", "lua5.4", "rsync"))(`scrun.lua, as uid ${process.geteuid?.()}`, () => {
  let site: ScrunSite;
  let script: string;
  beforeAll(() => {
    site = new ScrunSite();
    script = join(site.dir, "berth/scrun.lua");
    site.program("sleep 1000", (config) => {
      config["root"].readonly = false;
    });
  });
  afterEach(async () => {
    rmSync(script, { force: true });
    for (const id of existsSync(site.root) ? readdirSync(site.root) : []) await site.scrun(["delete", "--force", id]);
    expect(existsSync(site.root) ? readdirSync(site.root) : []).toEqual([]);
    // Which one it was is what somebody wants to know.
    for (const end = Date.now() + 10_000; processesOf(site.dir).length > 0 && Date.now() < end; ) await Bun.sleep(20);
    expect(processesOf(site.dir).map((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8"))).toEqual([]);
  });
  afterAll(async () => await site[Symbol.asyncDispose]());

  const IN = "function slurm_scrun_stage_in(id, bundle, spool, config_file, job_id, user_id, group_id, job_env)";
  const OUT = "function slurm_scrun_stage_out(id, bundle, orig_bundle, root, orig_root, spool, config_file, job_id, user_id, group_id)";
  const write = (text: string) => writeFileSync(script, text);
  const hooks = (stageIn: string, stageOut = "return slurm.SUCCESS") => write(`${IN}\n${stageIn}\nend\n${OUT}\n${stageOut}\nend\n`);
  const create = (env: Record<string, string> = {}, options: readonly string[] = []) =>
    site.scrun([...options, "create", "--bundle", ".", "c1"], env);
  const noted = (name: string) => readFileSync(join(site.dir, name), "utf8");

  test("a copy by rsync, with a config.json of its own, runs, and what it changed comes back", async () => {
    site.program("echo $STAGED > /w/result; exit 3", (config) => {
      config["root"].readonly = false;
      config["annotations"] = {};
      // The script adds a user namespace, which may not mount others.
      config["mounts"] = config["mounts"].filter(({ type }: { type: string }) => type === "proc" || type === "tmpfs");
    });
    rmSync(join(site.bundle, "rootfs/w/result"), { force: true });
    write(readFileSync(join(import.meta.dir, "rsync.lua"), "utf8").replaceAll("@DEST@", join(site.dir, "shared")));
    const { code, stderr } = await site.scrun(["run", "--bundle", ".", "c1"]);
    expect(stderr).not.toContain("error");
    expect(code).toBe(3);
    expect(readFileSync(join(site.bundle, "rootfs/w/result"), "utf8")).toBe("copied\n");
    // It has cleared its copy away, and left the engine's config.json alone.
    expect(readdirSync(join(site.dir, "shared"))).toEqual([]);
    expect(readFileSync(join(site.bundle, "config.json"), "utf8")).not.toContain("STAGED=copied");
    site.program("sleep 1000", (config) => {
      config["root"].readonly = false;
    });
  });

  test("both functions get what scrun(1) says, in one interpreter", async () => {
    write(`
      local count = 0
      local function note(name, ...)
        count = count + 1
        local file = assert(io.open("${site.dir}/noted", "a"))
        file:write(slurm.to_json({ name = name, count = count, args = { ... } }), "\\n")
        file:close()
      end
      ${IN}
        local environment = {}
        for _, entry in ipairs(job_env) do environment[#environment + 1] = entry end
        note("in", id, bundle, spool, config_file, job_id, user_id, group_id, job_env.SCRUN_CONTAINER_ID, job_env[0] == environment[1])
        note("environment", environment)
        slurm.set_root_path("/elsewhere")
        return nil
      end
      ${OUT}
        note("out", id, bundle, orig_bundle, root, orig_root, spool, config_file, job_id, user_id, group_id)
        return slurm.SUCCESS
      end`);
    expect(await create()).toMatchObject({ code: 0 });
    const { jobId } = await site.state("c1");
    await site.scrun(["start", "c1"]);
    await site.scrun(["kill", "c1", "KILL"]);
    await site.untilOver(jobId);
    const [uid, gid] = [process.geteuid?.(), process.getegid?.()];
    const [first, second, third] = noted("noted")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { args: unknown[] });
    const spool = join(site.root, "c1/spool");
    const config = join(site.bundle, "config.json");
    const rootfs = join(site.bundle, "rootfs");
    expect(first).toEqual({ name: "in", count: 1, args: ["c1", site.bundle, spool, config, jobId, uid, gid, "c1", true] } as never);
    expect(second?.args[0]).toContain(`SLURM_JOB_ID=${String(jobId)}`);
    expect(second?.args[0]).toContain(`SCRUN_BUNDLE=${site.bundle}`);
    expect(third).toEqual({
      name: "out",
      count: 3,
      args: ["c1", site.bundle, site.bundle, "/elsewhere", rootfs, spool, config, jobId, uid, gid],
    } as never);
  });

  test("commands here and on the job's nodes: status, output of both streams, the job's environment", async () => {
    const conf = join(site.dir, "berth/oci.conf");
    const before = readFileSync(conf, "utf8");
    writeFileSync(conf, `${before}\nSrunArgs=--label\n`);
    hooks(`
      local file = io.open("${site.dir}/commands", "w")
      local function try(what, command)
        local status, output = what(command)
        file:write(status, ":", output:gsub("\\n", "|"), "\\n")
      end
      try(slurm.allocator_command, "echo 'it'\\\\''s' out; echo err >/dev/stderr; exit 7")
      try(slurm.allocator_command, "echo $SLURM_JOB_ID $SCRUN_CONTAINER_ID; cat")
      try(slurm.allocator_command, "kill -9 $$")
      try(slurm.allocator_command, "yes | head -n 2")
      try(slurm.remote_command, "echo $SLURM_STEP_ID \\"$0\\"; echo err >&2; exit 5")
      file:close()
      return slurm.SUCCESS`);
    expect(await create()).toMatchObject({ code: 0 });
    writeFileSync(conf, before);
    const { jobId } = await site.state("c1");
    const [own, variables, killed, pipe, remote] = noted("commands").split("\n");
    expect(own).toBe("7:it's out|err|");
    expect(variables).toBe(`0:${String(jobId)} c1|`);
    expect(killed).toBe("137:");
    expect(pipe).toBe("0:y|y|");
    expect(remote).toMatch(/^5:(0: 1 \/bin\/sh\|0: err|0: err\|0: 1 \/bin\/sh)\|/);
    const steps = (await site.run(["sacct", "-nP", "-j", String(jobId), "-o", "jobid,jobname,exitcode"])).stdout;
    expect(steps).toContain(`${String(jobId)}.1|lua-command|5:0\n`);
  });

  test("JSON and YAML, times, constants, messages by level", async () => {
    const log = join(site.dir, "messages");
    hooks(
      `
      local config = slurm.from_json(io.open(config_file):read("a"))
      config.empty, config.many, config.float = slurm.from_json("{}"), {}, 512 * 1024 / 2
      local file = io.open("${site.dir}/values", "w")
      file:write(slurm.to_json({
        json = slurm.from_json('{"o":{},"l":[],"big":18446744073709551615,"hole":[1,null,3]}'), made = config.float,
        yaml = slurm.from_yaml("a: [1, 2]\\nb: {c: yes please}\\n"), back = slurm.to_yaml({ x = { 1, "two" } }),
        minutes = { slurm.time_str2mins("1-2:03:04"), slurm.time_str2mins("90"), slurm.time_str2mins("UNLIMITED") == slurm.INFINITE },
        constants = { slurm.SUCCESS, slurm.ERROR, SLURM.success, slurm.SLURM_SUCCESS }, bad = { pcall(slurm.from_json, "{") },
        old = require("json").decode(require("json").encode({ a = 1 })),
      }))
      file:close()
      print("printed") io.stderr:write("to stderr\\n") os.execute("echo from a child >/dev/stderr")
      io.close() -- its own standard output
      slurm.log_info("%s and %d", "info", 7) slurm.log_info("100%") slurm.log("other order", 0) slurm.error("an error")
      slurm.log_verbose("verbose") slurm.log_debug("debug") slurm.log(4, "debug3")
      local line = io.read()
      return line == nil and 0 or 1`,
    );
    const quiet = await create({}, ["--log", log]);
    expect(quiet.code).toBe(0);
    for (const text of ["printed", "to stderr", "from a child", "info and 7", "100%", "other order"])
      expect(quiet.stderr).toContain(`scrun: lua: ${text}\n`);
    expect(quiet.stderr).toContain("scrun: error: lua: an error\n");
    expect(quiet.stderr).not.toMatch(/verbose|debug/);
    expect(quiet.stdout).toBe("");
    expect(readFileSync(log, "utf8")).toContain('level=error msg="lua: an error"');
    expect(JSON.parse(noted("values").replace("18446744073709551615", '"exact"'))).toEqual({
      json: { o: {}, l: [], big: "exact", hole: [1, null, 3] },
      made: 262144,
      yaml: { a: [1, 2], b: { c: "yes please" } },
      back: expect.stringMatching(/^x:\s+- 1\n\s+- two\n?$/),
      minutes: [1564, 90, true],
      constants: [0, -1, 0, 0],
      bad: [false, "from_json: line 1: a member's name is missing"],
      old: { a: 1 },
    });
    await site.scrun(["delete", "--force", "c1"]);
    const loud = await create({}, ["--debug"]);
    expect(loud.stderr).toContain("scrun: lua: verbose\n");
    expect(loud.stderr).toContain("scrun: debug: lua: debug3\n");
  });

  const at = (line: number, text: string) => `${"@"}:${line}: ${text}`;
  /** `@` is the script's path. */
  const UNUSABLE: readonly (readonly [name: string, text: string, reason: string])[] = [
    ["a syntax error", `${IN}\nreturn 0 0\nend`, at(2, "'end' expected")],
    ["an error while it is loaded", "local a = nil\n\nprint(a.b)", at(3, "attempt to index a nil value")],
    ["a missing function", `${IN} return 0 end`, "@: function slurm_scrun_stage_out is missing"],
    ["a chunk that returns a number", `${IN} end ${OUT} end return 4`, "@: it returned 4"],
    ["an end of the interpreter", "os.exit(3)", "Cannot load @: the interpreter ended with status 3"],
    ["one that hangs while it is loaded", "while true do end", "Cannot load @ did not end within 3 s and was killed"],
  ];
  test.each(UNUSABLE)("a script that cannot be used: %s; no job is asked for", async (_name, text, reason) => {
    const jobs = (await site.run(["sacct", "-nX", "-o", "jobid"])).stdout;
    write(text);
    const { code, stderr } = await create(reason.includes("did not end") ? TIMEOUT : {});
    expect(code).toBe(1);
    expect(stderr).toContain(reason.replaceAll("@", script));
    expect(existsSync(join(site.root, "c1"))).toBe(false);
    expect((await site.run(["sacct", "-nX", "-o", "jobid"])).stdout).toBe(jobs);
  });

  const FAILING: readonly (readonly [name: string, body: string, reason: string, exit: string])[] = [
    ["an error value", "return 7", "slurm_scrun_stage_in of @ returned 7", "7:0"],
    ["slurm.ERROR", "return slurm.ERROR", "slurm_scrun_stage_in of @ returned -1", "255:0"],
    ["a runtime error", "local t = {}\nreturn t.a.b", at(3, "attempt to index a nil value (field 'a')"), "255:0"],
    ["JSON that is none", 'slurm.from_json("[1,")', at(2, "from_json: line 1:"), "255:0"],
    ["an error that is a table", "error({})", at(2, "a table was raised as an error"), "255:0"],
    ["an end of the interpreter", 'io.write("so long") os.exit(4, true)', "the interpreter ended with status 4: so long", "1:0"],
    ["a relative path", 'slurm.set_bundle_path("here") return 0', 'a path that is not absolute: "here"', "255:0"],
    ["a loop without end", "while true do end", "did not end within 3 s and was killed", "1:0"],
    ["a command without end", 'slurm.allocator_command("sleep 1000; true")', "did not end within 3 s and was killed", "1:0"],
    ["a command in a session of its own", 'os.execute("setsid sleep 1000")', "did not end within 3 s and was killed", "1:0"],
    ["a bundle that is none", `slurm.set_bundle_path(spool) return 0`, "Cannot read", "1:0"],
  ];
  test.each(FAILING)("a stage-in that ends with %s fails create, ends the job, and is staged out", async (_name, body, reason, exit) => {
    rmSync(join(site.dir, "out"), { force: true });
    hooks(body, `io.open("${site.dir}/out", "w"):write(job_id):close()\nreturn 0`);
    const { code, stderr } = await create(reason.includes("did not end") ? TIMEOUT : {});
    expect(stderr).toContain(reason.replaceAll("@", script));
    expect(code).toBe(1);
    expect(existsSync(join(site.root, "c1"))).toBe(false);
    const jobId = noted("out");
    await site.untilOver(jobId);
    expect(await site.accounted(jobId)).toEqual([`${jobId}|FAILED|${exit}`, `${jobId}.0|FAILED|${exit}`]);
  });

  test("a stage-out that fails or hangs is told and fails the job, not the container", async () => {
    site.program("exit 0");
    for (const body of ['error("no room")', "while true do end", "return 9"]) {
      hooks(`io.open("${site.dir}/job", "w"):write(job_id):close()`, body);
      const { code, stderr } = await site.scrun(["run", "--bundle", ".", "c1"], body.includes("while") ? TIMEOUT : {});
      expect(stderr).toMatch(/scrun: error: .*(scrun\.lua:\d+: no room|did not end within 3 s and was killed|returned 9)/);
      expect(code).toBe(0);
      expect((await site.accounted(noted("job")))[0]).toContain("|FAILED|1:0");
    }
    site.program("sleep 1000");
  });

  test("a stage-out that is at work is ended by scancel of its step", async () => {
    site.program("exit 0");
    rmSync(join(site.dir, "job"), { force: true });
    hooks("return 0", `os.execute("echo " .. job_id .. " > ${site.dir}/job; sleep 1000")`);
    const running = site.scrun(["run", "--bundle", ".", "c1"]);
    const jobId = (await until("stage-out", () => existsSync(join(site.dir, "job")) && /\d+\n/.test(noted("job")) && noted("job"))).trim();
    await site.run(["scancel", `${jobId}.0`]);
    const { code, stderr } = await running;
    expect(stderr).toContain(`job ${jobId} was cancelled`);
    expect(code).toBe(0);
    await site.untilOver(jobId);
    site.program("sleep 1000");
  });

  test("when the job has to wait, create does not, and start has what stage-in said", async () => {
    hooks(`local file = io.open("${site.dir}/count", "a") file:write("in ") file:close() return os.getenv("HOME") and 6`);
    rmSync(join(site.dir, "count"), { force: true });
    const cpus = Number((await site.run(["sinfo", "-h", "-o", "%c"])).stdout.trim());
    const blocker = site.start(["salloc", "-n", String(cpus), "sleep", "1000"]);
    try {
      for (const end = Date.now() + 20_000; Date.now() < end; await Bun.sleep(50)) {
        if ((await site.run(["squeue", "-h", "-o", "%T"])).stdout.trim() === "RUNNING") break;
      }
      expect((await create()).code).toBe(0);
      const { jobId } = await site.state("c1");
      expect(existsSync(join(site.dir, "count"))).toBe(false);
      const starting = site.scrun(["start", "c1"]);
      await until("start to wait", () =>
        readdirSync(site.dir).some((name) => name.endsWith(".err") && noted(name).includes("queued and waiting for resources")),
      );
      blocker.kill();
      const { code, stderr } = await starting;
      expect(stderr).toContain(`slurm_scrun_stage_in of ${script} returned 6`);
      expect(code).toBe(1);
      await site.untilOver(jobId);
      expect((await site.accounted(jobId))[0]).toBe(`${String(jobId)}|FAILED|6:0`);
      expect(noted("count")).toBe("in ");
    } finally {
      blocker.kill();
      await blocker.exited;
    }
  });

  test("a long stage-in is waited for in start, not in create; kill ends it", async () => {
    const untilGo = `while not io.open("${site.dir}/go") do os.execute("sleep 0.05") end`;
    hooks(`${untilGo} return 0`);
    rmSync(join(site.dir, "go"), { force: true });
    const wait = { SCRUN_CREATE_WAIT: "1" };
    expect(await create(wait)).toMatchObject({ code: 0, stderr: "" });
    const { jobId, status } = await site.state("c1");
    expect(status).toBe("created");
    expect((await site.scrun(["exec", "c1", "true"])).stderr).toContain("being staged in");
    const starting = site.scrun(["start", "c1"]);
    await until("start to wait", () =>
      readdirSync(site.dir).some((name) => name.endsWith(".err") && noted(name).includes(`job ${String(jobId)} is being staged in`)),
    );
    writeFileSync(join(site.dir, "go"), "");
    expect((await starting).code).toBe(0);
    expect((await site.state("c1"))["status"]).toBe("running");
    await site.scrun(["delete", "--force", "c1"]);
    rmSync(join(site.dir, "go"));
    expect(await create(wait)).toMatchObject({ code: 0 });
    const second = (await site.state("c1"))["jobId"];
    expect((await site.scrun(["kill", "c1", "KILL"])).code).toBe(0);
    await site.untilStatus("c1", "stopped");
    await site.untilOver(second);
  });

  test("cancelling the job ends a stage-in, with everything that it runs", async () => {
    rmSync(join(site.dir, "job"), { force: true });
    hooks(`os.execute("echo " .. job_id .. " > ${site.dir}/job") slurm.allocator_command("sleep 1000 & wait")`);
    const creating = create();
    const jobId = await until("stage-in", () => existsSync(join(site.dir, "job")) && /\d+\n/.test(noted("job")) && noted("job").trim());
    await site.run(["scancel", jobId]);
    const { code, stderr } = await creating;
    expect(code).toBe(1);
    expect(stderr).toContain(`job ${jobId} was cancelled`);
    await site.untilOver(jobId);
  });

  test("a killed anchor takes a stage-in and its commands along", async () => {
    rmSync(join(site.dir, "job"), { force: true });
    hooks(`
      os.execute("echo " .. job_env.SCRUN_PID .. " > ${site.dir}/anchor; echo " .. job_id .. " > ${site.dir}/job")
      os.execute("sleep 1000; true")`);
    const creating = create();
    const jobId = await until("stage-in", () => existsSync(join(site.dir, "job")) && /\d+\n/.test(noted("job")) && noted("job").trim());
    process.kill(Number(noted("anchor")), "SIGKILL");
    expect((await creating).code).toBe(1);
    await site.untilOver(jobId);
    expect(existsSync(join(site.root, "c1"))).toBe(false);
  });

  test("a killed anchor takes along what stage-in left running, in whatever session it is", async () => {
    // One has lost its parent, its session and its environment; one has children; one makes new ones.
    const helpers = [
      "env -i setsid sleep 1000",
      "setsid sh -c 'sleep 1000 & sleep 1000; true'",
      "setsid sh -c 'while :; do sleep 0.01 & wait; done'",
    ];
    const started = helpers.map((helper) => `(${helper} </dev/null >/dev/null 2>&1 &)`).join("; ");
    hooks(`os.execute("${started}") return 0`);
    expect((await create()).code).toBe(0);
    expect((await site.scrun(["start", "c1"])).code).toBe(0);
    const { pid, jobId } = await site.state("c1");
    const found = await until("the helpers", () => {
      const now = staged(Number(pid));
      return now.filter((helper) => programOf(helper) === "sleep 1000").length === 3 && now;
    });
    process.kill(Number(pid), "SIGKILL");
    await until("their end", () => found.every((helper) => !isSame(helper)));
    await site.untilOver(jobId);
  });

  test("what a killed anchor has staged in is staged out with the container's removal, once", async () => {
    hooks(
      `os.execute("mkdir -p ${site.dir}/copy && cp -a " .. bundle .. "/. ${site.dir}/copy") slurm.set_bundle_path("${site.dir}/copy")`,
      `return os.execute("echo " .. bundle .. " $MARK >> ${site.dir}/removed; rm -r " .. bundle) and 0 or 1`,
    );
    rmSync(join(site.dir, "removed"), { force: true });
    expect((await create({ MARK: "from-create" })).code).toBe(0);
    expect((await site.scrun(["start", "c1"])).code).toBe(0);
    const { pid, jobId } = await site.state("c1");
    process.kill(Number(pid), "SIGKILL");
    await site.untilOver(jobId);
    expect(existsSync(join(site.dir, "removed"))).toBe(false);
    // As podman's clean-up calls it: without HOME, without a configuration.
    const bare = { XDG_CONFIG_HOME: join(site.dir, "none"), HOME: join(site.dir, "none"), MARK: "" };
    expect(await site.scrun(["delete", "--force", "c1"], bare)).toMatchObject({ code: 0, stderr: "" });
    expect(noted("removed")).toBe(`${site.dir}/copy from-create\n`);
    expect(existsSync(join(site.dir, "copy"))).toBe(false);
  });

  test("an interpreter that was killed while the container ran is replaced for stage-out", async () => {
    const note = (name: string) =>
      `os.execute("echo " .. job_id .. " " .. tostring(state) .. " $PPID >> ${site.dir}/${name}") state = "kept" return 0`;
    hooks(note("notes"), note("notes"));
    rmSync(join(site.dir, "notes"), { force: true });
    expect((await create()).code).toBe(0);
    expect((await site.scrun(["start", "c1"])).code).toBe(0);
    const { jobId } = await site.state("c1");
    const [, , interpreter] = noted("notes").trim().split(" ");
    process.kill(Number(interpreter), "SIGKILL");
    await until("its end", () => !existsSync(`/proc/${interpreter ?? ""}`));
    await site.scrun(["kill", "c1", "KILL"]);
    await site.untilOver(jobId);
    const [first, second, ...others] = noted("notes").trim().split("\n");
    expect(first).toBe(`${String(jobId)} nil ${interpreter ?? ""}`);
    expect(second).toStartWith(`${String(jobId)} nil `);
    expect(others).toEqual([]);
  });

  test("what stage-in leaves running is there until stage-out, and not after it", async () => {
    site.program("exit 0");
    hooks(
      `os.execute("setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $! > ${site.dir}/helper") return 0`,
      `local pid = io.open("${site.dir}/helper"):read("n") return os.execute("kill -0 " .. pid) and 0 or 1`,
    );
    expect(await site.scrun(["run", "--bundle", ".", "c1"])).toMatchObject({ code: 0, stderr: "" });
    await until("the helper's end", () => !existsSync(`/proc/${noted("helper").trim()}`));
    site.program("sleep 1000");
  });

  test("what is mounted in the spool is not emptied with it", async () => {
    if (process.geteuid?.() !== 0) return; // only root may mount without a namespace
    const data = join(site.dir, "data");
    mkdirSync(data, { recursive: true });
    writeFileSync(join(data, "precious"), "kept");
    hooks(`os.execute("mount --bind ${data} " .. spool) return 0`);
    expect((await create()).code).toBe(0);
    await site.scrun(["delete", "--force", "c1"]);
    expect(noted("data/precious")).toBe("kept");
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(site.root);
  });
});

interface Helper {
  readonly pid: number;
  readonly command: string;
}

/** Empty when it has gone. */
function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}
const programOf = ({ command }: Helper) => command.split("\0").join(" ").trim();

/** What is below an anchor's interpreter, and that itself. */
function staged(anchor: number): Helper[] {
  const below = descendants(anchor).map(({ pid }) => ({ pid, command: commandOf(pid) }));
  const interpreter = below.find(({ command }) => command.includes("host.lua"));
  if (interpreter === undefined) throw new Error("no interpreter");
  const helpers = descendants(interpreter.pid).flatMap(({ pid }) => below.filter((found) => found.pid === pid));
  return [interpreter, ...helpers];
}

/** A dead one has no command any more. */
const isSame = ({ pid, command }: Helper) => command !== "" && commandOf(pid) === command;

/** Interpreters, their watchers and what the scripts here start, of this site: by their arguments or their environment. */
function processesOf(dir: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        const isStaging = words.some(
          (word) => word === "sleep" || word === "berth-watch" || word.endsWith("/host.lua") || word.endsWith("/lua/command"),
        );
        return isStaging && [...words, readFileSync(`/proc/${pid}/environ`, "utf8")].some((text) => text.includes(dir));
      } catch {
        return false; // gone, or somebody else's
      }
    });
}
