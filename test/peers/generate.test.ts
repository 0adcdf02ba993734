// `berth generate`: what it writes is what the engine then does, and its undo.
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { isRoot, Site } from "../e2e/site.ts";
import { havePeers } from "../peers.ts";
import { canRunPodman, IMAGE, PodmanSite } from "./podman.ts";

test.skipIf(!canRunPodman)(
  "podman: a plain `podman run` is a job, until it is undone",
  async () => {
    await using site = await PodmanSite.open();
    const scrun = `${site.dir}/bin/scrun`;
    const generate = (...args: readonly string[]) => site.run(["berth", "generate", "podman", "--user", "--scrun", scrun, ...args]);
    const file = `${site.dir}/config/containers/containers.conf.d/50-berth.conf`;
    const runtime = async () => (await site.run(["/usr/bin/podman", "info", "--format", "{{.Host.OCIRuntime.Name}}"])).stdout.trim();
    const before = await runtime();

    const dry = await generate("--dry-run");
    expect(dry).toMatchObject({ status: 0, stderr: "" });
    expect(dry.stdout).toContain(file);
    expect(existsSync(file)).toBe(false);

    expect(await generate()).toMatchObject({ status: 0, stderr: "" });
    expect(dry.stdout).toContain(readFileSync(file, "utf8").trimEnd());
    expect(await runtime()).toBe("scrun");
    const inside = await site.run(["/usr/bin/podman", "run", "--rm", "--name", "plain", IMAGE, "sh", "-c", "echo $SLURM_JOB_ID; exit 7"], {
      timeoutMs: 60_000,
    });
    expect(inside).toMatchObject({ status: 7, stdout: expect.stringMatching(/^[0-9]+\n$/) });
    expect(await site.job("plain")).toBe("FAILED 7:0");
    expect((await generate()).stdout).toContain(`${file}: unchanged`);

    await site.run(["/usr/bin/podman", "run", "-d", "--name", "left", IMAGE, "sleep", "1000"], { timeoutMs: 60_000 });
    expect(await generate("--undo")).toMatchObject({
      status: 0,
      stderr: "",
      stdout: expect.stringContaining("If there still are containers of scrun"),
    });
    expect(existsSync(file)).toBe(false);
    expect(await runtime()).toBe(before);
    // As it says.
    expect(await generate()).toMatchObject({ status: 0, stderr: "" });
    const removed = await site.run(["/usr/bin/podman", "rm", "-f", "-t", "0", "left"], { timeoutMs: 60_000 });
    expect(removed.status).toBe(0);
    expect(await generate("--undo")).toMatchObject({ status: 0, stderr: "" });
    expect(await site.job("left")).toBe("FAILED 0:9");
  },
  180_000,
);

test.skipIf(!havePeers("dockerd"))(
  "docker: dockerd takes the daemon.json that is there, changed",
  async () => {
    await using site = new Site();
    mkdirSync(site.path("links"));
    expect(await site.run(["berth", "link", "--all", site.path("links")])).toMatchObject({ status: 0 });
    const scrun = site.path("links/scrun");
    const generate = (...args: readonly string[]) => site.run(["berth", "generate", "docker", "--user", "--scrun", scrun, ...args]);
    const file = `${site.dir}/config/docker/daemon.json`;
    mkdirSync(`${site.dir}/config/docker`, { recursive: true });
    const before = '{ "debug" : true, "runtimes": {"other": {"path": "/bin/other"}} }';
    writeFileSync(file, before);
    expect(await generate()).toMatchObject({ status: 0, stderr: "" });
    const wanted = { debug: true, "default-runtime": "scrun", runtimes: { other: { path: "/bin/other" }, scrun: { path: scrun } } };
    expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject(wanted);
    // Since docker 23 it looks at its file for whoever asks; older ones say that they do not know the option.
    const validated = await site.run(["/usr/sbin/dockerd", "--validate", "--config-file", file]);
    expect(validated.stdout + validated.stderr).toMatch(/configuration OK|unknown flag: --validate/);
    if (!isRoot) {
      // It reads its file, refuses keys and types that it does not know, and only then looks who it is. Root's would stay and work.
      const said = await site.run(["/usr/sbin/dockerd", "--config-file", file]);
      expect(said.stderr).toContain("needs to be started with root privileges");
    }
    expect(await generate("--undo")).toMatchObject({ status: 0, stderr: "" });
    expect(readFileSync(file, "utf8")).toBe(before);
  },
  60_000,
);

test.each([
  [[], "Usage"],
  [["nerdctl"], "generate wants podman or docker"],
  [["podman", "--user", "--system"], "exclude each other"],
  [["podman", "--what"], 'does not know "--what"'],
])("berth generate %j says what is wrong", async (args, text) => {
  await using site = new Site();
  const { status, stdout, stderr } = await site.run(["berth", "generate", ...args]);
  expect({ status, said: stdout + stderr }).toEqual({ status: 255, said: expect.stringContaining(text) });
});
