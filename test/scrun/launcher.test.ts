// scrun as `berth link` makes it: the same answers as Berth itself gives, by every shell that may be /bin/sh, and mostly without starting it.
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { launcherFor, targetOfLauncher } from "#scrun/launcher/launcher.ts";
import { kill } from "../e2e/site.ts";
import { havePeers } from "../peers.ts";
import { ScrunSite, until, type Called } from "./place.ts";

setDefaultTimeout(120_000);

const MAIN = join(import.meta.dir, "../../src/main.ts");
const SHELLS: readonly (readonly [string, ...string[]])[] = (
  [["/bin/dash"], ["/bin/bash", "--posix"], ["/bin/busybox", "sh"]] as const
).filter(([path]) => existsSync(path));

describe.skipIf(!havePeers("runc", "busybox"))(`scrun's launcher, as uid ${process.geteuid?.()}`, () => {
  let site: ScrunSite;
  let launcher: string;
  /** What was left to Berth, the first words of each call. */
  let calls: string;

  beforeAll(() => {
    site = new ScrunSite();
    calls = join(site.dir, "calls");
    const dir = join(site.dir, "it's here");
    mkdirSync(dir);
    launcher = join(dir, "scrun");
    const berth = join(dir, "berth");
    writeFileSync(berth, `#!/bin/sh\nprintf '%s\\n' "$*" >>'${calls}'\nexec '${process.execPath}' '${MAIN}' "$@"\n`);
    chmodSync(berth, 0o755);
    writeFileSync(launcher, launcherFor(berth));
  });
  afterEach(async () => {
    for (const id of existsSync(site.root) ? readdirSync(site.root) : []) await site.scrun(["delete", "--force", id]);
    expect(existsSync(site.root) ? readdirSync(site.root) : []).toEqual([]);
    site.program("sleep 1000");
  });
  afterAll(async () => await site[Symbol.asyncDispose]());

  const dir = (id: string) => join(site.root, id);
  const launch = (words: readonly string[], shell: readonly [string, ...string[]] = ["/bin/sh"], env: Record<string, string> = {}) =>
    site.call([...shell, launcher, "--root", site.root, ...words], env);
  /** Calls of Berth since the last look, without those of anchors. */
  function leftToBerth(): string[] {
    const lines = existsSync(calls) ? readFileSync(calls, "utf8").trim().split("\n") : [];
    rmSync(calls, { force: true });
    return lines
      .filter((line) => line !== "" && !line.startsWith("scrun anchor "))
      .map((line) => / (\w+)( --force)? c\d+$/.exec(line)?.[1] ?? line);
  }
  const create = async (...shell: [string, ...string[]] | []) => {
    mkdirSync(site.root, { recursive: true, mode: 0o700 });
    const { code, stderr } = await launch(["create", "--bundle", ".", "c1"], shell.length === 0 ? undefined : (shell as [string]));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  };

  test.each(SHELLS.map((shell) => [shell.join(" "), shell] as const))("%s: start and delete are not Berth's", async (_name, shell) => {
    site.program("exit 7");
    await create(...(shell as [string]));
    expect(leftToBerth().length).toBe(1);
    const { jobId } = (await site.state("c1")) as { jobId: number };
    expect(await launch(["start", "c1"], shell)).toEqual({ code: 0, stdout: "", stderr: "" });
    await until(
      "the anchor to have put everything away",
      () => existsSync(join(dir("c1"), "over")) && !existsSync(join(dir("c1"), "runtime/c1")),
    );
    expect(await launch(["delete", "--force", "c1"], shell)).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(existsSync(dir("c1"))).toBe(false);
    expect(leftToBerth()).toEqual([]);
    expect(await site.accounted(jobId)).toContain(`${jobId}|FAILED|7:0`);
  });

  test("what its caller has open does not stay open", async () => {
    // buildah's pipes are such files: its program would never see the end of its input.
    const lock = join(site.dir, "lock");
    mkdirSync(site.root, { recursive: true, mode: 0o700 });
    const created = await site.call(["flock", lock, "/bin/sh", launcher, "--root", site.root, "create", "--bundle", ".", "c1"]);
    expect(created).toEqual({ code: 0, stdout: "", stderr: "" });
    expect((await site.call(["flock", "-n", lock, "true"])).code).toBe(0);
  });

  // Where the container has no user namespace of its own, as engines' have none: nobody else may join its network.
  test.skipIf(process.geteuid?.() !== 0)("buildah finds the network by the pid that it gets, before the start", async () => {
    mkdirSync(site.root, { recursive: true, mode: 0o700 });
    site.program("sleep 1000", (config) => config["linux"].namespaces.push({ type: "network" }));
    const pidFile = join(site.dir, "buildah.pid");
    const create = ["/bin/sh", launcher, "--root", site.root, "create", "--bundle", ".", "--pid-file", pidFile, "c1"];
    const asBuildah = `exec -a buildah-oci-runtime /bin/sh -c '"$@"; exit $?' sh "$@"`;
    expect(await site.call(["bash", "-c", asBuildah, "bash", ...create])).toEqual({ code: 0, stdout: "", stderr: "" });
    const networkOf = (file: string) => readlinkSync(`/proc/${readFileSync(file, "utf8").trim()}/ns/net`);
    expect(networkOf(pidFile)).toBe(networkOf(join(dir("c1"), "init.pid")));
    expect(networkOf(pidFile)).not.toBe(readlinkSync("/proc/self/ns/net"));
  });

  test.each(SHELLS.map((shell) => [shell.join(" "), shell] as const))("%s: a killed anchor is not waited for", async (_name, shell) => {
    await create(...(shell as [string]));
    const [pid = ""] = readFileSync(join(dir("c1"), "anchor"), "utf8").split(" ");
    kill(Number(pid));
    const { code, stderr } = await launch(["start", "c1"], shell);
    expect(code).toBe(1);
    expect(stderr).toContain("cannot start a container that has stopped");
    expect((await launch(["delete", "c1"], shell)).code).toBe(0);
  });

  test.each(SHELLS.map((shell) => [shell.join(" "), shell] as const))("%s: a caller's directory that was deleted", async (_name, shell) => {
    mkdirSync(site.root, { recursive: true, mode: 0o700 });
    const gone = join(site.dir, "gone");
    const nowhere = (...words: readonly string[]) =>
      site.call([
        "/bin/sh",
        "-c",
        'mkdir "$0" && cd "$0" && rmdir "$0" && exec "$@"',
        gone,
        ...shell,
        launcher,
        "--root",
        site.root,
        ...words,
      ]);
    for (const words of [
      ["create", "--bundle", site.bundle, "c1"],
      ["start", "c1"],
      ["kill", "c1", "KILL"],
    ])
      expect({ words, code: (await nowhere(...words)).code }).toEqual({ words, code: 0 });
    await site.untilStatus("c1", "stopped");
    expect((await nowhere("delete", "c1")).code).toBe(0);
  });

  test("an anchor that is killed while it is asked sends the launcher the long way", async () => {
    await create();
    const [pid = ""] = readFileSync(join(dir("c1"), "anchor"), "utf8").split(" ");
    process.kill(Number(pid), "SIGSTOP");
    const started = launch(["start", "c1"]);
    await until("the launcher to ask", () => existsSync(join(dir("c1"), "asked")));
    kill(Number(pid));
    const { code, stderr } = await started;
    expect(code).toBe(1);
    expect(stderr).toContain("cannot start a container that has stopped");
  });

  test("starts at the same time: one succeeds", async () => {
    await create();
    const codes = (await Promise.all(Array.from({ length: 4 }, () => launch(["start", "c1"])))).map(({ code }) => code);
    expect(codes.toSorted()).toEqual([0, 1, 1, 1]);
  });

  test("a start that fails says why, as Berth does", async () => {
    const failing = () =>
      site.program("", (config) => {
        config["process"].args = ["/no/such/program"];
      });
    const log = join(site.dir, "log.json");
    const told: Called[] = [];
    for (const call of [(words: readonly string[]) => site.scrun(words), (words: readonly string[]) => launch(words)]) {
      failing();
      const created = await call(["--log", log, "--log-format", "json", "create", "--bundle", ".", "c1"]);
      told.push(created.code === 0 ? await call(["--log", log, "--log-format", "json", "start", "c1"]) : created);
      await site.scrun(["delete", "--force", "c1"]);
    }
    expect(told[1]).toEqual(told[0] as Called);
    expect(told[1]?.code).toBe(1);
  });

  test("a stranger's SIGUSR2 starts nothing", async () => {
    await create();
    const [pid = ""] = readFileSync(join(dir("c1"), "anchor"), "utf8").split(" ");
    process.kill(Number(pid), "SIGUSR2");
    expect((await site.state("c1"))["status"]).toBe("created");
    expect((await launch(["start", "c1"])).code).toBe(0);
    expect((await site.state("c1"))["status"]).toBe("running");
  });

  test.each([
    ["a relative root", ["--root", "../scrun-root", "state", "c1"]],
    ["an id that is a path", ["--root", "ROOT", "delete", "--force", "../scrun-root/c1"]],
    ["an id of dots", ["--root", "ROOT", "delete", "--force", ".."]],
    ["no id", ["--root", "ROOT", "start"]],
    ["two ids", ["--root", "ROOT", "delete", "c1", "c2"]],
    ["an unknown option", ["--root", "ROOT", "start", "--nonsense", "c1"]],
    ["no command", ["--root", "ROOT"]],
    ["an option without its value", ["--root"]],
    ["a pattern for an id", ["--root", "ROOT", "delete", "c*"]],
    ["the version", ["--version"]],
  ] as const)("%s: Berth answers", async (_name, words) => {
    await create();
    leftToBerth();
    const real = words.map((word) => (word === "ROOT" ? site.root : word));
    const ours = await site.call(["/bin/sh", launcher, ...real]);
    expect(leftToBerth().length).toBe(1);
    expect(ours).toEqual(await site.call([process.execPath, MAIN, "scrun", ...real]));
    expect(existsSync(join(dir("c1"), "state.json"))).toBe(true);
  });

  test("what another has put in the place of a container is not removed", async () => {
    const victim = join(site.dir, "victim");
    mkdirSync(victim);
    writeFileSync(join(victim, "over"), "");
    writeFileSync(join(victim, "precious"), "");
    mkdirSync(site.root, { recursive: true, mode: 0o700 });
    symlinkSync(victim, dir("c9"));
    await launch(["delete", "--force", "c9"]);
    expect(existsSync(join(victim, "precious"))).toBe(true);
    rmSync(dir("c9"), { force: true });
  });

  test("a launcher knows its executable, whatever its name", () => {
    for (const name of ["/opt/berth", "/home/o'neil/berth", "/a b/$HOME/`x`/$&/berth"]) {
      const file = join(site.dir, "launcher");
      writeFileSync(file, launcherFor(name));
      expect(targetOfLauncher(file)).toBe(name);
    }
    writeFileSync(join(site.dir, "other"), "#!/bin/sh\nberth='/opt/berth'\n");
    expect(targetOfLauncher(join(site.dir, "other"))).toBeUndefined();
  });
});
