// Each preset of `berth oci init`: run for real where the runtime is at hand, else with an executable that writes its
// arguments down (and where it can, does the work with runc).
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createBusyboxBundle } from "#container/check-bundle.ts";
import { makePreset, PRESETS, type Flow, type PresetName } from "#container/presets.ts";
import { parseOciConf } from "#container/oci-conf.ts";
import { shortHostName } from "#platform/directories.ts";
import { userName } from "#platform/users.ts";
import { havePeers } from "../peers.ts";
import { Site } from "./site.ts";

setDefaultTimeout(60_000);
const user = userName(process.geteuid?.() ?? 0);
const node = shortHostName();
const uid = String(process.geteuid?.() ?? 0);
const hasRunc = havePeers("runc", "busybox");

describe("each preset", () => {
  const host = { runtimeRoot: "/run/user/%U/", scriptDir: "/etc/berth", exists: () => true };
  const flows: readonly (readonly [PresetName, Flow])[] = PRESETS.flatMap((name) =>
    (["run", "create-start"] as const).map((flow) => [name, flow] as const),
  );
  test.each(flows)("%s, %s, can be read, or has no such flow", (name, flow) => {
    let preset: ReturnType<typeof makePreset>;
    try {
      preset = makePreset(name, flow, host);
    } catch (error) {
      expect(error).toMatchObject({ code: "OCI_PRESET" });
      expect(flow).toBe("create-start");
      return;
    }
    expect(parseOciConf(preset.conf, "oci.conf").flow).toBe(flow === "run" ? "run" : "createStart");
  });
  test("the guide's own lines, as a site would paste them", () => {
    const root = "--rootless=true --root=/run/user/%U/";
    const id = "%n.%u.%j.%s.%t";
    const lines = makePreset("runc", "run", host).conf.split("\n");
    expect(lines).toContain(`RunTimeRun="runc ${root} run ${id} -b %b"`);
    expect(lines).toContain(`RunTimeKill="runc ${root} kill -a ${id}"`);
    expect(makePreset("crun", "create-start", host).conf).toContain(
      `RunTimeCreate="crun ${root} create --bundle %b ${id}"\nRunTimeStart="crun ${root} start ${id}"\n`,
    );
    expect(makePreset("charliecloud", "run", host).conf).toContain(
      'RunTimeRun="env -i PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin/:/sbin/ USER=$(whoami) HOME=/home/$(whoami)/ ' +
        "ch-run -w --bind /etc/group:/etc/group --bind /etc/passwd:/etc/passwd --bind /etc/slurm:/etc/slurm " +
        '--bind %m:/var/run/slurm/ --bind /var/run/munge/:/var/run/munge/ --set-env=%e --no-passwd %r -- %@"\n',
    );
  });
  test("kill -a is left out where a container of an ordinary user has no cgroup", () => {
    const hybrid = makePreset("runc", "run", { ...host, exists: (path) => path !== "/sys/fs/cgroup/cgroup.controllers" }).conf;
    expect(hybrid).toContain('RunTimeKill="runc --rootless=true --root=/run/user/%U/ kill %n.%u.%j.%s.%t"\n');
  });
  test.skipIf(!hasRunc)("what oci init writes for runc passes oci check", async () => {
    await using site = new Site();
    expect((await site.run(["oci", "init", "--runtime", "runc", "--force"])).code).toBe(0);
    const { code, stdout } = await site.run(["oci", "check"]);
    expect({ code, failures: stdout.split("\n").filter((line) => line.includes("FAILED")) }).toEqual({ code: 0, failures: [] });
  });
  test("the hpcng preset with its missing quote is refused with line and cure", async () => {
    await using site = new Site();
    const text = makePreset("singularity", "create-start", host).conf;
    const line = text.split("\n").findIndex((words) => words.startsWith("RunTimeDelete")) + 1;
    site.conf(text.replace(/(RunTimeDelete=.*)"\n/, "$1\n"));
    const result = await site.run(["oci", "check"]);
    expect(result.code).toBe(1);
    expect(result.stderr).toContain(`berth/oci.conf:${line}: text after the value of RunTimeDelete`);
    expect(result.stderr).toContain("close the value with a double quote");
    const srun = await site.run(["srun", "--container", site.bundle, "true"]);
    expect(srun.stderr).toContain(`oci.conf:${line}`);
    expect(srun.code).not.toBe(0);
  });
  test("init writes it with its scripts, and spares what is there", async () => {
    await using site = new Site();
    rmSync(join(site.dir, "berth"), { recursive: true });
    const wrote = await site.run(["oci", "init", "--runtime", "wrapper"]);
    expect(wrote).toMatchObject({ code: 0, stderr: "" });
    for (const name of ["oci-run", "oci-run-default"]) expect(statSync(join(site.dir, "berth", name)).mode & 0o777).toBe(0o755);
    const before = readFileSync(join(site.dir, "berth/oci.conf"), "utf8");
    expect((await site.run(["oci", "init", "--runtime", "runc"])).stderr).toContain("--force");
    expect(readFileSync(join(site.dir, "berth/oci.conf"), "utf8")).toBe(before);
    expect((await site.run(["oci", "init", "--runtime", "runc", "--force"])).code).toBe(0);
    expect((await site.run(["oci", "show", "--json"])).stdout).toContain('"flow": "run"');
    expect((await site.run(["oci", "init", "--runtime", "docker"])).code).toBe(255);
  });
});

describe.skipIf(!hasRunc)("runtimes that cannot be had, recorded", () => {
  const withSite = async (name: PresetName, flow: Flow, body: (site: Site) => Promise<void>) => {
    await using site = new Site();
    const preset = makePreset(name, flow, { runtimeRoot: site.runtimeRoot, scriptDir: join(site.dir, "berth"), exists: existsSync });
    site.conf(preset.conf);
    for (const { path, text } of preset.scripts) writeFileSync(path, text, { mode: 0o755 });
    await body(site);
  };
  const id = (job: number, task = 0) => `${node}.${user}.${job}.0.${task}`;
  const taskDir = expect.stringMatching(/\/oci-job1-0\/task-0$/);

  test("nvidia-container-runtime, run", () =>
    withSite("nvidia-container-runtime", "run", async (site) => {
      site.recorder("nvidia-container-runtime", 'exec runc "$@"');
      expect(await site.run(["srun", "--container", site.bundle, "sh", "-c", "exit 6"])).toMatchObject({ code: 6 });
      expect(site.calls()).toEqual([
        ["nvidia-container-runtime", "--rootless=true", `--root=${site.runtimeRoot}`, "run", id(1), "-b", taskDir],
      ]);
    }));
  test("nvidia-container-runtime, create and start", () =>
    withSite("nvidia-container-runtime", "create-start", async (site) => {
      site.recorder("nvidia-container-runtime", 'exec runc "$@"');
      expect(await site.run(["srun", "--container", site.bundle, "sh", "-c", "exit 6"])).toMatchObject({ code: 6 });
      const call = ["nvidia-container-runtime", "--rootless=true", `--root=${site.runtimeRoot}`];
      expect(site.calls()).toEqual([
        [...call, "create", id(1), "-b", taskDir],
        [...call, "state", id(1)],
        [...call, "start", id(1)],
        [...call, "delete", "--force", id(1)],
      ]);
    }));
  test.each([
    ["singularity-oci", "run"],
    ["singularity", "create-start"],
  ] as const)("%s, %s, behind sudo", (name, flow) =>
    withSite(name, flow, async (site) => {
      site.recorder("sudo", 'exec "$@"');
      site.recorder(
        "singularity",
        `shift; verb=$1; shift; [ $verb != delete ] || verb='delete --force'; exec runc --root=${site.runtimeRoot} $verb "$@"`,
      );
      expect(await site.run(["srun", "--container", site.bundle, "sh", "-c", "exit 6"])).toMatchObject({ code: 6 });
      const calls = site.calls();
      expect(calls.filter(([program]) => program === "singularity").map((words) => ["sudo", ...words])).toEqual(
        calls.filter(([program]) => program === "sudo"),
      );
      const sudo = ["sudo", "singularity", "oci"];
      const bundle = ["--bundle", taskDir, id(1)];
      expect(calls.filter(([program]) => program === "sudo")).toEqual(
        flow === "run"
          ? [
              [...sudo, "run", ...bundle],
              [...sudo, "state", id(1)],
            ]
          : [
              [...sudo, "create", ...bundle],
              [...sudo, "state", id(1)],
              [...sudo, "start", id(1)],
              [...sudo, "delete", id(1)],
            ],
      );
    }),
  );
  test.each(["singularity", "apptainer"] as const)("%s in a user namespace", (name) =>
    withSite(name, "run", async (site) => {
      site.recorder(name, 'shift 3; exec "$@"');
      const args = ["sh", "-c", 'printf "%s|" "$@"; exit 6', "sh", "a b", "it's", "", "$HOME", "`id`", "x\ny"];
      const result = await site.run(["srun", "--container", "/images/x.sif", "/bin/sh", ...args.slice(1)]);
      expect(result).toMatchObject({ code: 6, stdout: "a b|it's||$HOME|`id`|x\ny|" });
      expect(site.calls()).toEqual([[name, "exec", "--userns", "/images/x.sif", "/bin/sh", ...args.slice(1)]]);
    }),
  );
  test("a native runtime that is cancelled is killed by its pid", () =>
    withSite("singularity", "run", async (site) => {
      site.recorder("singularity", 'trap "echo got TERM; exit 5" TERM; echo up; while :; do sleep 0.1; done');
      const child = site.start(["srun", "--container", "/images/x.sif", "/bin/true"]);
      const reader = child.stdout.getReader();
      await reader.read();
      await site.run(["scancel", "1"]);
      expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe("got TERM\n");
      await child.exited;
    }));
  test("Enroot through its wrapper: an image of a registry, and a file", () =>
    withSite("enroot", "run", async (site) => {
      site.recorder("enroot", `case $1 in import) : > "$3";; start) env | grep ^ENROOT_ | sort >&2; shift 3; exec "$@";; esac`);
      const result = await site.run(["srun", "--container", "docker://debian", "/bin/sh", "-c", 'echo "$1"; exit 6', "sh", "it's a; b"], {
        env: { JOBVAR: "1" },
      });
      expect(result).toMatchObject({ code: 6, stdout: "it's a; b\n" });
      const spool = expect.stringMatching(/\/oci-job1-0\/container\.sqsh$/);
      expect(site.calls()).toEqual([
        ["enroot", "import", "--output", spool, "docker://debian"],
        ["enroot", "create", "--name", "container", spool],
        ["enroot", "start", "--", "container", "/bin/sh", "-c", 'echo "$1"; exit 6', "sh", "it's a; b"],
      ]);
      expect(result.stderr).toContain("ENROOT_SQUASH_OPTIONS=-comp gzip -noD\n");
      expect(result.stderr).toMatch(/^ENROOT_ENVIRON=.*\/oci-job1-0\/task-0\/environment$/m);
      expect(result.stderr).toMatch(/^ENROOT_TEMP_PATH=.*\/oci-job1-0\/$/m);
      const file = join(site.dir, "image.sqsh");
      writeFileSync(file, "");
      expect((await site.run(["srun", "--container", file, "/bin/true"])).code).toBe(0);
      expect(site.calls()).toEqual([["enroot", "start", "--", file, "/bin/true"]]);
    }));
  test("the wrapper: the site's default, and a user's own choice", () =>
    withSite("wrapper", "run", async (site) => {
      site.recorder("apptainer", 'shift 5; exec "$@"');
      writeFileSync(join(site.dir, "home/.profile"), `PATH=${site.bin}:$PATH\n`); // the default is a login shell
      const args = ["/bin/sh", "-c", 'echo "$1"; exit 6', "sh", "it's"];
      expect(await site.run(["srun", "--container", "/images/x.sif", ...args])).toMatchObject({ code: 6, stdout: "it's\n" });
      expect(site.calls()).toEqual([["apptainer", "run", "--bind", "/var/spool", "--containall", "/images/x.sif", ...args]]);
      // Whose own file it is, the wrapper asks the user database: here that is another home than the test's.
      site.recorder("getent", `echo "x:x:1:1::${site.dir}/home:/bin/sh"`);
      site.recorder("own", "exit 8");
      rmSync(join(site.dir, "home/.slurm-oci-run"), { force: true });
      writeFileSync(join(site.dir, "home/.slurm-oci-run"), `#!/bin/sh\nexec ${site.bin}/own "$@"\n`, { mode: 0o755 });
      expect((await site.run(["srun", "--container", "/images/x.sif", ...args])).code).toBe(8);
      expect(site.calls().filter(([program]) => program === "own")).toEqual([
        ["own", "/images/x.sif", expect.stringMatching(/\/oci-job2-0$/), user, uid, node, "2", "0", "0", ...args],
      ]);
    }));
});

describe.skipIf(!havePeers("ch-run", "busybox"))("Charliecloud, for real", () => {
  let site: Site;
  let image: string;
  beforeAll(() => {
    site = new Site();
    image = join(site.dir, "image");
    mkdirSync(image);
    createBusyboxBundle(image, true);
    site.conf(makePreset("charliecloud", "run", { runtimeRoot: "", scriptDir: "", exists: existsSync }).conf);
  });
  afterAll(async () => await site[Symbol.asyncDispose]());

  test("exit status, arguments and environment", async () => {
    const result = await site.run(
      [
        "srun",
        "--container",
        image,
        "/bin/sh",
        "-c",
        'echo "$JOBVAR $SLURM_PROCID $SLURM_CONF|$1"; ls /var/run/slurm; exit 6',
        "sh",
        "it's; a",
      ],
      { env: { JOBVAR: "x" } },
    );
    expect(result).toMatchObject({ code: 6, stdout: "x 0 |it's; a\ntask-0\n" });
  });
  test("two tasks, and a program found in the image", async () => {
    const result = await site.run(["srun", "-n2", "-O", "--container", image, "sh", "-c", "echo $SLURM_PROCID; exit $SLURM_PROCID"]);
    expect(result.stdout.split("\n").sort()).toEqual(["", "0", "1"]);
    expect(result.code).toBe(1);
  });
  test("oci check approves", async () => {
    const result = await site.run(["oci", "check"]);
    expect(result.stdout).toContain("Container jobs will run with it.");
    expect(result.code).toBe(0);
  });
});

// Not in Debian 12; testbed.md has the root file system to run this in.
for (const name of ["apptainer", "singularity"] as const) {
  describe.skipIf(Bun.which(name) === null || !havePeers("busybox"))(`${name}, for real`, () => {
    test("exit status, arguments and two tasks", async () => {
      await using site = new Site();
      const image = join(site.dir, "image");
      mkdirSync(image);
      createBusyboxBundle(image, true);
      site.conf(makePreset(name, "run", { runtimeRoot: "", scriptDir: "", exists: existsSync }).conf);
      const result = await site.run(["srun", "-n2", "-O", "--container", image, "/bin/sh", "-c", 'echo "$1"; exit 6', "sh", "it's; a"]);
      expect(result).toMatchObject({ code: 6, stdout: "it's; a\nit's; a\n" });
      expect((await site.run(["oci", "check"])).code).toBe(0);
    });
  });
}
