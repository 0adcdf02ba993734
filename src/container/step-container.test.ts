/** Real containers: the runtime that is installed, a busybox bundle, whoever runs the tests. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BerthError } from "#job/errors.ts";
import { BUSYBOX, Place } from "./busybox-bundle.ts";
import { chooseRuntime } from "./runtime-choice.ts";
import { openStepContainer } from "./open-step-container.ts";
import { RuntimeCopyKeeper, useRuntimeCopy } from "./runtime-copy.ts";
import type { ContainerStep, PreparedTask, StepContainer } from "./step-container.ts";
import { rejectionOf } from "../../test/rejection.ts";

const signal = new AbortController().signal;
const hasRuntime = Bun.which("runc") !== null && BUSYBOX !== undefined;
if (!hasRuntime && process.env["CI"] !== undefined) throw new Error("CI has to install runc and busybox-static");
setDefaultTimeout(60_000);

function spawn(prepared: PreparedTask, cwd: string) {
  const [argv0, ...rest] = prepared.argv;
  return Bun.spawn([prepared.executable, ...rest], { argv0, env: prepared.env, cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
}

async function run(step: ContainerStep, args: readonly string[], env: Record<string, string> = {}) {
  await using container = await openStepContainer(step, { signal });
  return await runTask(container, args, env, step.workDir);
}

async function runTask(container: StepContainer, args: readonly string[], env: Record<string, string>, cwd: string) {
  const prepared = await container.prepareTask({ localId: 0, globalId: 0, args, env: container.environment(env) });
  const child = spawn(prepared, cwd);
  const [code, stdout, stderr] = await Promise.all([child.exited, new Response(child.stdout).text(), new Response(child.stderr).text()]);
  await container.finishTask(0, { pid: child.pid });
  return { code, stdout, stderr };
}

describe.skipIf(!hasRuntime)(`containers as uid ${process.geteuid?.()}`, () => {
  const place = new Place();
  beforeAll(() => {
    place.makeBundle();
    for (const dir of ["bundle/rootfs", "bundle"]) chmodSync(join(place.dir, dir), 0o555); // shared, read-only
    chmodSync(join(place.bundle, "rootfs/tmp"), 0o555);
  });
  afterAll(() => place[Symbol.dispose]());

  test("exit code, environment, directory and arguments", async () => {
    const result = await run(place.step(), ["sh", "-c", 'echo "$IMAGE $BOTH $JOB $PATH"; pwd; echo "$1|$2"; exit 7', "x", "a 'b\"", ""], {
      BOTH: "job",
      JOB: "1",
      PATH: "/host",
    });
    expect({ ...result, stderr: result.stderr.replace(/^new[ug]idmap: .*\n/gm, "") }).toEqual({
      code: 7,
      stdout: "yes image 1 /bin\n/w\na 'b\"|\n",
      stderr: "",
    });
  });
  test("nothing stays behind, in the spool, the runtime's root or the bundle", () => {
    expect(readdirSync(join(place.dir, "spool/n1"))).toEqual([]);
    expect(readdirSync(join(place.dir, "rt"))).toEqual([]);
    expect(readdirSync(join(place.bundle, "rootfs")).sort()).toEqual(["bin", "dev", "proc", "sys", "tmp", "w"]);
  });
  test("a missing command is the runtime's to report", async () => {
    const result = await run(place.step(), ["nosuch"]);
    expect(result.code).not.toBe(0);
    expect(result.stderr).toContain("nosuch");
  });
  test("the job's user is root inside and the container is not writable", async () => {
    const result = await run(place.step(), ["sh", "-c", "id -u; touch /w/x"]);
    expect(result.stdout).toBe("0\n");
    expect(result.code).toBe(1);
  });
  test("a batch script appears read-only at its place, in an image that cannot be written", async () => {
    const script = join(place.dir, "script");
    writeFileSync(script, '#!/bin/sh\necho "$0 $*"\necho out > /tmp/slurm/stdout\necho x >> "$0" || exit 5\n', { mode: 0o755 });
    const out = join(place.dir, "out");
    writeFileSync(out, "");
    const step = place.step({ stepKey: "batch", batch: { scriptPath: script, stdin: "/dev/null", stdout: out, stderr: null } });
    const result = await run(step, [script, "a", "b"]);
    expect(result).toMatchObject({ code: 5, stdout: "/tmp/slurm/startup a b\n" });
    expect(readFileSync(out, "utf8")).toBe("out\n");
    expect(readdirSync(join(place.bundle, "rootfs/tmp"))).toEqual([]);
  });
  test("a runtime that was killed leaves nothing running", async () => {
    const step = place.step();
    await using container = await openStepContainer(step, { signal });
    const prepared = await container.prepareTask({
      localId: 2,
      globalId: 5,
      args: ["sh", "-c", "echo up; exec sleep 1000"],
      env: { PATH: "/bin" },
    });
    const child = spawn(prepared, "/");
    await child.stdout.getReader().read(); // it runs
    child.kill("SIGKILL");
    await child.exited;
    expect(readdirSync(step.runtimeRoot).filter((name) => name.startsWith("n1"))).toHaveLength(1);
    await container.finishTask(2, { pid: child.pid });
    await container.finishTask(2, { pid: child.pid });
    expect(readdirSync(step.runtimeRoot).filter((name) => name.startsWith("n1"))).toEqual([]);
  });
  test("the runtime runs from the copy in memory that a controller keeps, under its own name, until it is another program", async () => {
    const { path, name } = await chooseRuntime(place.step().stateDir, { signal });
    const keeper = new RuntimeCopyKeeper();
    await keeper.keep(path);
    useRuntimeCopy(keeper.current);
    try {
      const step = place.step();
      await using container = await openStepContainer(step, { signal });
      const prepared = await container.prepareTask({
        localId: 0,
        globalId: 0,
        args: ["sh", "-c", "echo up; read x"],
        env: { PATH: "/bin" },
      });
      const [argv0, ...rest] = prepared.argv;
      const child = Bun.spawn([prepared.executable, ...rest], { argv0, env: prepared.env, cwd: "/", stdin: "pipe", stdout: "pipe" });
      await child.stdout.getReader().read(); // it runs
      const isCopied = keeper.current !== null; // not on a host whose security modules go by the path
      expect(readlinkSync(`/proc/${child.pid}/exe`)).toBe(isCopied ? `/memfd:${name} (deleted)` : path);
      expect(readFileSync(`/proc/${child.pid}/comm`, "utf8")).toBe(`${name}\n`);
      child.stdin.end();
      await child.exited;
      await container.finishTask(0, { pid: child.pid });
      expect(existsSync(prepared.spoolDir)).toBe(false);
      if (keeper.current !== null) useRuntimeCopy({ ...keeper.current, stamp: "of before an upgrade" });
      const again = await container.prepareTask({ localId: 1, globalId: 1, args: ["true"], env: { PATH: "/bin" } });
      expect(again.executable).toBe(path);
    } finally {
      useRuntimeCopy(null);
    }
  });
  test("killTask ends a container that listens", async () => {
    await using container = await openStepContainer(place.step(), { signal });
    const prepared = await container.prepareTask({
      localId: 0,
      globalId: 0,
      args: ["sh", "-c", "trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done"],
      env: { PATH: "/bin" },
    });
    const child = spawn(prepared, "/");
    await child.stdout.getReader().read();
    await container.killTask(0, { pid: child.pid });
    expect(await child.exited).toBe(9);
    await container.finishTask(0, { pid: child.pid });
  });
  test("tasks of a step run side by side, and a crashed life's files do not matter", async () => {
    const step = place.step();
    const stale = join(step.spoolRoot, "n1", `oci-job${step.jobId}-0`, "task-1");
    mkdirSync(stale, { recursive: true });
    writeFileSync(join(stale, "config.json"), "old");
    await using container = await openStepContainer(step, { signal });
    const codes = await Promise.all(
      [0, 1, 2].map(async (localId) => {
        const prepared = await container.prepareTask({
          localId,
          globalId: localId,
          args: ["sh", "-c", `exit ${localId + 1}`],
          env: { PATH: "/bin" },
        });
        const config = statSync(join(prepared.spoolDir, "config.json"));
        expect((config.mode & 0o777).toString(8)).toBe("750");
        if (localId !== 1) expect((statSync(prepared.spoolDir).mode & 0o777).toString(8)).toBe("770"); // what was there keeps its mode
        const code = await spawn(prepared, "/").exited;
        await container.finishTask(localId, { pid: null });
        return code;
      }),
    );
    expect(codes).toEqual([1, 2, 3]);
  });
  test("bundles that cannot be used say so", async () => {
    const code = async (bundle: string) =>
      await openStepContainer(place.step({ bundle }), { signal }).then(
        () => "opened",
        (error: BerthError) => error.code,
      );
    const bad = join(place.dir, "bad");
    mkdirSync(bad, { recursive: true });
    expect(await code(join(place.dir, "none"))).toBe("BUNDLE_MISSING");
    expect(await code("")).toBe("BUNDLE_MISSING");
    expect(await code(bad)).toBe("BUNDLE_MISSING");
    for (const text of [
      "",
      "[]",
      "{",
      "{}",
      '{"root":{}}',
      '{"root":{"path":1}}',
      '{"root":{"path":"r"},"process":{"env":[1]}}',
      '{"root":{"path":"r"},"process":{"env":{}}}',
    ]) {
      writeFileSync(join(bad, "config.json"), text);
      expect(await code(bad)).toBe("BUNDLE_CONFIG");
    }
    writeFileSync(join(bad, "config.json"), Buffer.from([0x7b, 0xff, 0x7d]));
    expect(await code(bad)).toBe("BUNDLE_CONFIG");
    rmSync(join(bad, "config.json"));
    Bun.spawnSync(["mkfifo", join(bad, "config.json")]);
    expect(await code(bad)).toBe("BUNDLE_CONFIG");
  });
});

describe.skipIf(!hasRuntime)(`oci.conf as uid ${process.geteuid?.()}`, () => {
  const place = new Place();
  const runc = `runc --root=${place.dir}/rt`;
  const common = `RunTimeQuery="${runc} state %n.%j.%s.%t"\nRunTimeKill="${runc} kill %n.%j.%s.%t KILL"\nRunTimeDelete="${runc} delete --force %n.%j.%s.%t"\n`;
  beforeAll(() => place.makeBundle());
  afterAll(() => place[Symbol.dispose]());

  test("the run flow, with environment file, own spool and excluded variables", async () => {
    place.writeConf(
      `${common}RunTimeRun="cp %e ${place.dir}/seen; ${runc} run -b %b %n.%j.%s.%t"\n` +
        `ContainerPath="${place.dir}/own/%u/%n"\nCreateEnvFile=newline\nEnvExclude="^SECRET="\nMountSpoolDir=/tmp\n`,
    );
    const result = await run(place.step({ userName: "u" }), ["sh", "-c", 'echo "[$SECRET]"; ls /tmp; exit 3'], {
      SECRET: "s",
      PATH: "/bin",
    });
    expect(result).toEqual({ code: 3, stdout: "[]\ntask-0\n", stderr: "" });
    expect(readFileSync(join(place.dir, "seen"), "utf8")).toContain("BOTH=image\n");
    expect(readFileSync(join(place.dir, "seen"), "utf8")).not.toContain("SECRET");
    expect(readdirSync(join(place.dir, "own/u/n1"))).toEqual([]);
  });
  test("a missing MountSpoolDir is made without touching the image", async () => {
    place.writeConf(`${common}RunTimeRun="${runc} run -b %b %n.%j.%s.%t"\nMountSpoolDir=/w/run/slurm\n`);
    expect(await run(place.step(), ["ls", "/w/run/slurm"], { PATH: "/bin" })).toMatchObject({ code: 0, stdout: "task-0\n" });
    expect(readdirSync(join(place.bundle, "rootfs/w"))).toEqual([]);
  });
  test("a killed runtime is cleaned up through the configured commands, per task", async () => {
    place.writeConf(`${common}RunTimeRun="exec ${runc} run -b %b %n.%j.%s.%t"\nMountSpoolDir=/tmp\n`);
    await using container = await openStepContainer(place.step(), { signal });
    const prepared = await container.prepareTask({
      localId: 1,
      globalId: 1,
      args: ["sh", "-c", "echo up; exec sleep 1000"],
      env: { PATH: "/bin" },
    });
    const child = spawn(prepared, "/");
    await child.stdout.getReader().read();
    child.kill("SIGKILL");
    await child.exited;
    expect(readdirSync(join(place.dir, "rt"))).toHaveLength(1);
    await container.finishTask(1, { pid: child.pid });
    expect(readdirSync(join(place.dir, "rt"))).toEqual([]);
  });
  test("create and start", async () => {
    place.writeConf(
      `${common}RunTimeCreate="${runc} create -b %b %n.%j.%s.%t"\nRunTimeStart="${runc} start %n.%j.%s.%t"\nMountSpoolDir=/tmp\n`,
    );
    await using container = await openStepContainer(place.step(), { signal });
    expect(container.flow).toBe("createStart");
    const prepared = await container.prepareTask({
      localId: 0,
      globalId: 0,
      args: ["sh", "-c", "echo done > /tmp/task-0/proof"],
      env: { PATH: "/bin" },
    });
    const child = Bun.spawn([...prepared.argv], { env: prepared.env, cwd: "/", stdio: ["ignore", "ignore", "ignore"] });
    expect(await child.exited).toBe(0);
    expect((await container.createdTask(0, { pid: child.pid, signal })).pid).toBeGreaterThan(1);
    expect(await container.startTask(0, { pid: child.pid, signal })).toEqual({ kind: "started" });
    await container.waitTask(0, { pid: child.pid, signal });
    expect(readFileSync(join(prepared.spoolDir, "proof"), "utf8")).toBe("done\n");
    rmSync(join(prepared.spoolDir, "proof"));
    await container.finishTask(0, { pid: child.pid });
    expect(existsSync(prepared.spoolDir)).toBe(false);
    expect(readdirSync(join(place.dir, "rt"))).toEqual([]);
  });
  test("without config.json the template carries everything, and no foreign pid is ever killed", async () => {
    place.writeConf(
      `IgnoreFileConfigJson=true\nRunTimeRun="echo %b %r; exec %@"\n` +
        `RunTimeKill="echo kill %p >> ${place.dir}/log"\nRunTimeDelete="echo delete >> ${place.dir}/log"\n`,
    );
    const step = place.step({ bundle: "docker://x" });
    expect(await run(step, ["/bin/sh", "-c", "echo it\\'s; exit 4"])).toEqual({
      code: 4,
      stdout: "docker://x docker://x\nit's\n",
      stderr: "",
    });
    expect(readFileSync(join(place.dir, "log"), "utf8")).toBe("delete\n");
    rmSync(join(place.dir, "log"));
    await using container = await openStepContainer(step, { signal });
    const prepared = await container.prepareTask({ localId: 0, globalId: 0, args: ["/bin/sleep", "100"], env: {} });
    const child = spawn(prepared, "/");
    await container.killTask(0, { pid: child.pid });
    await container.killTask(0, { pid: 1 });
    expect(readFileSync(join(place.dir, "log"), "utf8")).toBe(`kill ${child.pid}\n`);
    child.kill("SIGKILL");
    await child.exited;
  });
  test("ContainerPath that two tasks share is refused, DisableCleanup keeps files", async () => {
    place.writeConf(
      `${common}RunTimeRun="${runc} run -b %b %n.%j.%s.%t"\nContainerPath="${place.dir}/kept"\nDisableCleanup=yes\nMountSpoolDir=/tmp\n`,
    );
    const step = place.step();
    expect((await run(step, ["true"], { PATH: "/bin" })).code).toBe(0);
    expect(existsSync(join(place.dir, "kept", `oci-job${step.jobId}-0`, "task-0/config.json"))).toBe(true);
    await using again = await openStepContainer(step, { signal });
    expect(String(await rejectionOf(again.prepareTask({ localId: 0, globalId: 0, args: ["true"], env: {} })))).toContain("EEXIST");
  });
});

describe("choosing a runtime", () => {
  const place = new Place();
  afterAll(() => place[Symbol.dispose]());
  const fake = (name: string, body: string) => {
    mkdirSync(join(place.dir, name), { recursive: true });
    for (const runtime of ["crun", "runc"]) {
      writeFileSync(join(place.dir, name, runtime), `#!/bin/sh\n${body}\n`);
      chmodSync(join(place.dir, name, runtime), 0o755);
    }
    return join(place.dir, name);
  };

  test("refusals are told with their reasons, and are not remembered", async () => {
    const searchPath = fake("bad", 'echo "no \x1b[31mway" >&2; exit 1');
    const error = await chooseRuntime(join(place.dir, "state"), { signal, searchPath }).then(
      () => undefined,
      (reason: unknown) => reason as BerthError,
    );
    expect(error).toMatchObject({ code: "RUNTIME_REFUSED" });
    expect(error?.message).toContain(`${searchPath}/crun: no  [31mway | ${searchPath}/runc: no`);
    fake("bad", '[ "$1" = --version ] && echo "crun version 9.9"; exit 0');
    expect((await chooseRuntime(join(place.dir, "state"), { signal, searchPath })).description).toBe("crun 9.9 (chosen by Berth)");
  });
  test("many at once give one answer, and the next asks nobody", async () => {
    const log = join(place.dir, "calls");
    const searchPath = fake("slow", `echo x >> ${log}; sleep 0.1; exit 0`);
    const answers = await Promise.all(Array.from({ length: 8 }, () => chooseRuntime(join(place.dir, "state"), { signal, searchPath })));
    expect(new Set(answers.map((answer) => answer.path))).toEqual(new Set([join(searchPath, "crun")]));
    const calls = readFileSync(log, "utf8");
    await chooseRuntime(join(place.dir, "state"), { signal, searchPath });
    expect(readFileSync(log, "utf8")).toBe(calls);
    expect(readdirSync(join(place.dir, "state"))).toEqual(["runtimes.json"]);
  });
  test("a broken cache is no cache", async () => {
    const searchPath = fake("fine", "exit 0");
    writeFileSync(join(place.dir, "state/runtimes.json"), '[{"key":1},null');
    expect((await chooseRuntime(join(place.dir, "state"), { signal, searchPath })).name).toBe("crun");
  });
});
