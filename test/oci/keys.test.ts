// Each key of oci.conf that changes what a task sees, from srun and sbatch to the inside of the container.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { havePeers } from "../peers.ts";
import { Site } from "./site.ts";

setDefaultTimeout(60_000);

describe.skipIf(!havePeers("runc", "busybox"))(`keys of oci.conf as uid ${process.geteuid?.()}`, () => {
  let site: Site;
  beforeAll(() => {
    site = new Site();
  });
  afterAll(async () => await site[Symbol.asyncDispose]());
  const id = "%n.%u.%j.%s.%t";
  const conf = (changes: Record<string, string> = {}) => {
    const runc = `runc --root=${site.runtimeRoot}`;
    const lines = {
      RunTimeQuery: `${runc} state ${id}`,
      RunTimeRun: `${runc} run -b %b ${id}`,
      RunTimeKill: `${runc} kill ${id} KILL`,
      RunTimeDelete: `${runc} delete --force ${id}`,
      ...changes,
    };
    site.conf(
      Object.entries(lines)
        .map(([key, value]) => `${key}="${value}"\n`)
        .join(""),
    );
  };
  const env =
    (...options: readonly string[]) =>
    async (variables: Record<string, string>) =>
      (await site.run(["srun", ...options, "--container", site.bundle, "env"], { env: variables })).stdout.split("\n");

  test("EnvExclude is an extended regular expression over NAME=value", async () => {
    conf({ EnvExclude: "^(SECRET[[:digit:]]{1,2}|SLURM_CONF)=|=drop$" });
    const seen = await env()({ SECRET1: "a", SECRET22: "b", SECRET333: "c", OTHER: "drop", MORE: "dropped" });
    expect(seen).toContain("SECRET333=c");
    expect(seen).toContain("MORE=dropped");
    expect(seen.filter((line) => /^(SECRET1|SECRET22|OTHER|SLURM_CONF)=/.test(line))).toEqual([]);
  });
  test("--export=NONE leaves the image's variables and Slurm's", async () => {
    conf();
    const seen = await env("--export=NONE")({ JOBVAR: "1" });
    expect(seen).toContain("IMAGE=yes");
    expect(seen).toContain("PATH=/bin");
    expect(seen.some((line) => line.startsWith("SLURM_JOB_ID="))).toBe(true);
    expect(seen).not.toContain("JOBVAR=1");
  });
  test("the runtime itself sees nothing of the job, and not what RunTimeEnvExclude names", async () => {
    conf({ RunTimeRun: `env > ${site.dir}/seen; runc --root=${site.runtimeRoot} run -b %b ${id}`, RunTimeEnvExclude: "^(LANG|XDG_.*)=" });
    expect((await site.run(["srun", "--container", site.bundle, "true"], { env: { JOBVAR: "1" } })).code).toBe(0);
    const seen = readFileSync(join(site.dir, "seen"), "utf8");
    expect(seen).toContain("SLURMD_NODENAME=");
    expect(seen).not.toMatch(/^(JOBVAR|LANG|XDG_\w+|SLURM_JOB_ID)=/m);
  });
  test.each([
    ["null", "\0"],
    ["newline", "\n"],
  ])("CreateEnvFile=%s", async (kind, end) => {
    conf({ CreateEnvFile: kind, RunTimeRun: `cp %e ${site.dir}/environment; runc --root=${site.runtimeRoot} run -b %b ${id}` });
    expect((await site.run(["srun", "--container", site.bundle, "true"], { env: { TWO: "a\nb", ONE: "1" } })).code).toBe(0);
    const entries = readFileSync(join(site.dir, "environment"), "utf8").split(end);
    expect(entries.at(-1)).toBe("");
    expect(entries).toContain("ONE=1");
    expect(entries).toContain("BOTH=image");
    expect(entries.includes("TWO=a\nb")).toBe(kind === "null");
    rmSync(join(site.dir, "environment"));
  });
  test("ContainerPath, MountSpoolDir and DisableCleanup", async () => {
    conf({ ContainerPath: `${site.dir}/own/%u/%n`, MountSpoolDir: "/tmp/spool-%j", DisableCleanup: "yes" });
    const result = await site.run(["srun", "-n2", "-O", "--container", site.bundle, "sh", "-c", "ls /tmp/spool-$SLURM_JOB_ID"]);
    expect(result.stdout).toBe("task-0\ntask-1\ntask-0\ntask-1\n");
    const [user = ""] = readdirSync(join(site.dir, "own"));
    const [node = ""] = readdirSync(join(site.dir, "own", user));
    const [step = ""] = readdirSync(join(site.dir, "own", user, node));
    expect(step).toMatch(/^oci-job\d+-0$/);
    expect(JSON.parse(readFileSync(join(site.dir, "own", user, node, step, "task-1/config.json"), "utf8")).process.args).toContain(
      "/bin/sh",
    );
    expect(readdirSync(site.runtimeRoot)).toEqual([]);
  });
  test("hooks of config.json run, but for those of DisableHooks; annotations and unknown members stay", async () => {
    const hook = join(site.dir, "hook");
    writeFileSync(hook, `#!/bin/sh\ncat > /dev/null\necho $1 >> ${site.dir}/hooks\n`);
    chmodSync(hook, 0o755);
    const one = (name: string) => [{ path: hook, args: ["hook", name] }];
    site.place.makeBundle((config) => {
      config["hooks"] = { prestart: one("prestart"), createRuntime: one("createRuntime"), poststop: one("poststop") };
      config["annotations"] = { "org.example": "x" };
      config["vendor.unknown"] = { empty: {}, big: 1 };
    });
    conf({
      DisableHooks: "prestart,poststop",
      RunTimeRun: `cp %b/config.json ${site.dir}/config; runc --root=${site.runtimeRoot} run -b %b ${id}`,
    });
    expect((await site.run(["srun", "--container", site.bundle, "true"])).code).toBe(0);
    expect(readFileSync(join(site.dir, "hooks"), "utf8")).toBe("createRuntime\n");
    expect(JSON.parse(readFileSync(join(site.dir, "config"), "utf8"))).toMatchObject({
      annotations: { "org.example": "x" },
      "vendor.unknown": { empty: {}, big: 1 },
    });
    site.place.makeBundle();
  });
  test("--container-id is recorded and seen inside", async () => {
    conf();
    const result = await site.run([
      "srun",
      "--container-id=my-id",
      "--container",
      site.bundle,
      "sh",
      "-c",
      "echo $SLURM_CONTAINER_ID $SLURM_CONTAINER",
    ]);
    expect(result.stdout).toBe(`my-id ${site.bundle}\n`);
  });
  test("salloc --container: the command runs inside", async () => {
    conf();
    expect(await site.run(["salloc", "-Q", "--container", site.bundle, "sh", "-c", "echo $IMAGE; exit 3"])).toMatchObject({
      code: 3,
      stdout: "yes\n",
    });
  });
  test("an array of batch jobs, and a batch script with its own steps outside", async () => {
    conf();
    const out = join(site.dir, "array-%a");
    expect(
      (
        await site.run([
          "sbatch",
          "--wait",
          "-a",
          "1-3",
          "-o",
          out,
          "--container",
          site.bundle,
          "--wrap",
          "echo $SLURM_ARRAY_TASK_ID $IMAGE",
        ])
      ).code,
    ).toBe(0);
    for (const task of [1, 2, 3]) expect(readFileSync(join(site.dir, `array-${task}`), "utf8")).toBe(`${task} yes\n`);
  });
  test("standard input goes to task 0 alone when it is asked for", async () => {
    conf();
    const result = await site.run(["srun", "-n2", "-O", "-l", "--input=0", "--container", site.bundle, "cat"], { input: "only one\n" });
    expect(result.stdout).toBe("0: only one\n");
  });
  test("what an edited oci.conf says holds for the next step", async () => {
    conf({ EnvExclude: "^A=" });
    expect(await env()({ A: "1" })).not.toContain("A=1");
    conf();
    expect(await env()({ A: "1" })).toContain("A=1");
  });
});
