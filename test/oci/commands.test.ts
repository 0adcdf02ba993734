// berth oci check, berth bundle and berth doctor, on hosts that are in order and on ones that are not.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { havePeers } from "../peers.ts";
import { Site } from "./site.ts";

setDefaultTimeout(60_000);

describe.skipIf(!havePeers("runc", "busybox", "tar"))("Berth's own commands around containers", () => {
  let site: Site;
  beforeAll(() => {
    site = new Site();
  });
  afterAll(async () => await site[Symbol.asyncDispose]());
  const conf = (changes: Record<string, string> = {}) => {
    const runc = `runc --root=${site.runtimeRoot}`;
    const id = "%n.%u.%j.%s.%t";
    const lines = {
      RunTimeQuery: `${runc} state ${id}`,
      RunTimeRun: `${runc} run -b %b ${id}`,
      RunTimeKill: `${runc} kill ${id} TERM`,
      RunTimeDelete: `${runc} delete --force ${id}`,
      ...changes,
    };
    site.conf(
      Object.entries(lines)
        .map(([key, value]) => `${key}="${value}"\n`)
        .join(""),
    );
  };
  const noConf = () => rmSync(join(site.dir, "berth/oci.conf"), { force: true });

  test("oci check: a right configuration, in words and as JSON", async () => {
    conf();
    const text = await site.run(["oci", "check"]);
    expect(text).toMatchObject({ code: 0, stderr: "" });
    expect(text.stdout).toContain("runs a task's container from beginning to end");
    const report = JSON.parse((await site.run(["oci", "check", "--json", "--bundle", site.bundle])).stdout);
    expect(report.problems).toEqual([]);
    expect(report.lifecycle.map((step: { name: string }) => step.name)).toEqual(["run", "delete", "state", "kill", "delete"]);
    expect(readdirSync(site.runtimeRoot)).toEqual([]);
  });
  const wrong: readonly (readonly [name: string, changes: Record<string, string>, said: RegExp])[] = [
    ["a runtime that is not installed", { RunTimeRun: "norun run %b" }, /norun is not installed/],
    [
      "a query for another container",
      { RunTimeQuery: "runc --root=/nonexistent/x state y" },
      /state: says nothing that could be read[\s\S]*must name the same container/,
    ],
    ["a kill that fails", { RunTimeKill: "false" }, /kill: exit code 1/],
    ["a run that fails, in the runtime's own words", { RunTimeRun: "echo it is broken >&2; exit 3" }, /exit status 3: it is broken/],
  ];
  test.each(wrong)("oci check: %s", async (_name, changes, said) => {
    conf(changes);
    const { code, stdout } = await site.run(["oci", "check"]);
    expect(stdout).toMatch(said);
    expect(code).toBe(1);
    for (const id of readdirSync(site.runtimeRoot)) Bun.spawnSync(["runc", "--root", site.runtimeRoot, "delete", "--force", id]);
  });
  test("oci show and check without an oci.conf", async () => {
    noConf();
    expect((await site.run(["oci", "show"])).stdout).toContain("Containers are run by ");
    expect((await site.run(["oci", "check"])).stdout).toContain("Berth chooses the runtime itself");
  });

  test("bundle create: a directory, and the bundle runs at once", async () => {
    noConf();
    const target = join(site.dir, "made/one");
    const made = await site.run(["bundle", "create", join(site.bundle, "rootfs"), target]);
    expect(made).toMatchObject({ code: 0, stderr: "" });
    expect(await site.run(["srun", "--container", target, "sh", "-c", "echo ok > /tmp/x && cat /tmp/x"])).toMatchObject({
      code: 0,
      stdout: "ok\n",
    });
    expect((await site.run(["bundle", "check", target])).code).toBe(0);
    expect((await site.run(["bundle", "create", join(site.bundle, "rootfs"), target])).stderr).toContain("it exists");
    expect(readdirSync(join(site.dir, "made"))).toEqual(["one"]);
  });
  test("bundle create: a tar archive as docker export writes it; --shared is for everybody", async () => {
    const archive = join(site.dir, "image.tar.gz");
    expect(Bun.spawnSync(["tar", "-czf", archive, "-C", join(site.bundle, "rootfs"), "bin", "tmp"]).exitCode).toBe(0);
    const target = join(site.dir, "made/tar");
    expect((await site.run(["bundle", "create", "--shared", archive, target])).code).toBe(0);
    expect(existsSync(join(target, "rootfs/proc"))).toBe(true);
    expect(statSync(join(target, "rootfs/tmp")).isDirectory()).toBe(true);
    expect(readFileSync(join(target, "config.json"), "utf8")).not.toContain("uidMappings");
    expect(await site.run(["srun", "--container", target, "id", "-u"])).toMatchObject({ code: 0, stdout: "0\n" });
  });
  test("bundle create: what is no root file system, and a broken archive, leave nothing", async () => {
    const dir = join(site.dir, "empty");
    mkdirSync(dir);
    writeFileSync(join(site.dir, "bad.tar"), "no archive at all");
    for (const [source, said] of [
      [dir, "no root file system"],
      [join(site.dir, "bad.tar"), "tar failed"],
      [join(site.dir, "none"), "does not exist"],
    ] as const) {
      const result = await site.run(["bundle", "create", source, join(site.dir, "made/bad")]);
      expect(result.stderr).toContain(said);
      expect(result.code).toBe(1);
    }
    expect(readdirSync(join(site.dir, "made")).filter((name) => name.includes("bad"))).toEqual([]);
  });
  test("bundle check: what is wrong, and how to mend it", async () => {
    noConf();
    const bad = join(site.dir, "bad");
    mkdirSync(join(bad, "rootfs/bin"), { recursive: true });
    const check = async (config: unknown) => {
      writeFileSync(join(bad, "config.json"), JSON.stringify(config));
      return await site.run(["bundle", "check", bad]);
    };
    expect((await site.run(["bundle", "check", join(site.dir, "none")])).stdout).toContain("config.json");
    expect((await check({})).stdout).toContain('"root.path" is missing');
    expect((await check({ root: { path: "gone" } })).stdout).toContain("root.path");
    const other = await check({
      root: { path: "rootfs" },
      hooks: { prestart: [{ path: "/none/hook" }] },
      mounts: [{ destination: "/data/x" }],
      linux: {
        namespaces: [{ type: "user" }],
        uidMappings: [{ containerID: 0, hostID: 77, size: 1 }],
        gidMappings: [{ containerID: 0, hostID: 77, size: 1 }],
      },
    });
    expect(other.code).toBe(1);
    expect(other.stdout).toContain("DisableHooks=prestart");
    expect(other.stdout).toContain("mount point /data/x is missing");
    expect(other.stdout).toContain("no /bin/sh");
    if (process.geteuid?.() !== 0) expect(other.stdout).toContain("maps other ids than yours");
  });

  test("doctor: a host where container jobs run", async () => {
    noConf();
    const { code, stdout } = await site.run(["doctor", "--json"]);
    const { works, diagnoses } = JSON.parse(stdout);
    expect({ code, works }).toEqual({ code: 0, works: true });
    expect(diagnoses.at(-1)).toMatchObject({ name: "container jobs", state: "ok" });
    const of = (name: string) => diagnoses.find((diagnosis: { name: string }) => diagnosis.name === name);
    expect(of("engine")).toMatchObject({ state: "info", found: "embedded: BERTH_ENGINE=embedded" });
    expect(of("berth.conf")).toMatchObject({ state: "ok", found: `${site.dir}/berth/berth.conf: 1 node, 1 partition` });
    expect(of("state directory").found).toMatch(/^\/.*state\/berth\/.* free$/);
    expect(of("controller")).toMatchObject({
      state: "ok",
      found: expect.stringMatching(/^process \d+ .*answers: 0 live jobs, 0 running steps/),
    });
    expect(new Set(diagnoses.map((diagnosis: { name: string }) => diagnosis.name)).size).toBe(diagnoses.length);
  });
  test("doctor: an engine that cannot work, and what to do", async () => {
    noConf();
    const doctor = async (env: Record<string, string> = {}) => {
      const { code, stdout, stderr } = await site.run(["doctor", "--json"], { env });
      expect(stderr).toBe("");
      const { diagnoses } = JSON.parse(stdout) as { diagnoses: { name: string; state: string; found: string; cure: string | null }[] };
      return { code, of: (name: string) => diagnoses.find((diagnosis) => diagnosis.name === name) };
    };
    const stateless = await doctor({ XDG_STATE_HOME: "/proc/none" });
    expect(stateless.code).toBe(1);
    expect(stateless.of("state directory")).toMatchObject({ state: "error", cure: expect.stringContaining("set XDG_STATE_HOME") });
    expect([stateless.of("controller"), stateless.of("container jobs")]).toEqual([undefined, undefined]);
    expect((await doctor({ BERTH_ENGINE: "pbs" })).of("engine")).toMatchObject({
      state: "error",
      found: 'There is no engine "pbs" (BERTH_ENGINE)',
      cure: "engines: embedded, slurm, auto",
    });
    const absent = await doctor({
      BERTH_ENGINE: "slurm",
      SLURM_CONF: "/no/such/slurm.conf",
      BERTH_SLURM_REST: "unix:/no/such.socket",
      SLURM_JWT: "a.b.c",
    });
    expect(absent.code).toBe(1);
    expect(absent.of("slurmrestd")).toMatchObject({ state: "error", cure: expect.stringContaining("BERTH_SLURM_REST") });
    // A controller that runs already has not read what is wrong now: the file is looked at, too.
    site.berthConf("KillWait=2\nMaxCores=4\n");
    expect((await doctor()).of("berth.conf")).toMatchObject({
      state: "warning",
      found: expect.stringContaining(':2: unknown key "maxcores"'),
    });
    site.berthConf("KillWait=2\nKillWeit=4\n");
    expect((await doctor()).of("berth.conf")).toMatchObject({ state: "error", found: expect.stringContaining("KillWait is one") });
    site.berthConf("KillWait=2\n");
  });
  test("doctor: podman's configuration names a scrun that is not there", async () => {
    for (const name of ["podman", "docker"]) {
      writeFileSync(join(site.bin, name), "#!/bin/sh\n");
      chmodSync(join(site.bin, name), 0o755);
    }
    mkdirSync(join(site.dir, "containers/containers.conf.d"), { recursive: true });
    const file = join(site.dir, "containers/containers.conf.d/50-berth.conf");
    writeFileSync(file, '[engine.runtimes]\nscrun = ["/no/such/scrun"]\n');
    const { diagnoses } = JSON.parse((await site.run(["doctor", "--json"])).stdout) as { diagnoses: { name: string }[] };
    expect(diagnoses.find(({ name }) => name === "podman")).toMatchObject({
      state: "warning",
      found: `${join(site.bin, "podman")}; ${file} names /no/such/scrun, which is not a program that you may run`,
      cure: expect.stringContaining("berth generate podman --scrun"),
    });
    expect(diagnoses.find(({ name }) => name === "docker")).toMatchObject({ state: "info", cure: "berth generate docker" });
    for (const name of ["podman", "docker"]) rmSync(join(site.bin, name));
    rmSync(join(site.dir, "containers"), { recursive: true });
  });
  test("doctor: one where they do not, and why", async () => {
    conf({ RunTimeRun: "norun" });
    const { code, stdout } = await site.run(["doctor"]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^ERROR {4}container jobs .*norun is not installed \(looked in PATH\)$/m);
    site.conf("RunTimeRun=x\n");
    expect((await site.run(["doctor"])).stdout).toContain("RunTimeKill, RunTimeDelete are not set");
    noConf();
    for (const name of ["crun", "runc"]) {
      writeFileSync(join(site.bin, name), "#!/bin/sh\necho no namespaces here >&2; exit 1\n");
      chmodSync(join(site.bin, name), 0o755);
    }
    expect((await site.run(["doctor"])).stdout).toContain("no namespaces here");
    for (const name of ["crun", "runc"]) rmSync(join(site.bin, name));
  });
});
