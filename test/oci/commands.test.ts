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
    expect(new Set(diagnoses.map((diagnosis: { name: string }) => diagnosis.name)).size).toBe(diagnoses.length);
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
