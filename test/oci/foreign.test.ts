// Create and start with runtimes that tell less than runc: no process, or one that is not ours to wait for.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPidFd, readExitOfPidFd } from "#platform/libc.ts";
import { Site, until } from "./site.ts";

setDefaultTimeout(60_000);

/** The kernel tells the exit status of other people's children from Linux 6.15 on. */
async function kernelTells(): Promise<boolean> {
  const child = Bun.spawn(["sh", "-c", "read x"], { stdin: "pipe" });
  const fd = openPidFd(child.pid);
  await child.stdin.end();
  await child.exited;
  return fd !== undefined && readExitOfPidFd(fd) !== undefined;
}

/** A runtime of shell: its "container" is a process of the test's, or none. */
function fakeRuntime(site: Site, state: string): void {
  site.recorder(
    "fakert",
    `d=${site.dir}
case $1 in
  create) : > $d/created ;;
  state) [ -e $d/created ] || exit 1
    s=created; [ ! -e $d/started ] || s=running; [ ! -e $d/ended ] || s=stopped
    ${state} ;;
  start) : > $d/started ;;
  delete) rm -f $d/created ;;
esac`,
  );
  site.conf(
    'RunTimeQuery="fakert state"\nRunTimeCreate="fakert create %b"\n' +
      'RunTimeStart="fakert start"\nRunTimeKill="fakert kill"\nRunTimeDelete="fakert delete"\n',
  );
}

describe("create and start", () => {
  test("a runtime that names no process is asked until it says that the container has stopped", async () => {
    await using site = new Site();
    fakeRuntime(site, `printf '{"status":"%s"}' $s`);
    const child = site.start(["srun", "--container", site.bundle, "true"]);
    await until("the start", () => existsSync(join(site.dir, "started")));
    await Bun.sleep(1000);
    const asked = site.calls().filter(([, verb]) => verb === "state").length;
    expect(asked).toBeGreaterThan(5);
    expect(asked).toBeLessThan(80);
    writeFileSync(join(site.dir, "ended"), "");
    expect(await child.exited).toBe(0);
    expect(await new Response(child.stderr).text()).toContain("exit status is not known");
    expect(existsSync(join(site.dir, "created"))).toBe(false);
  });
  test("a process of somebody else is watched, and never killed by number", async () => {
    await using site = new Site();
    const somebody = Bun.spawn(["sh", "-c", "read x; exit 7"], { stdin: "pipe" });
    fakeRuntime(
      site,
      `[ $s != running ] || kill -0 ${somebody.pid} 2>/dev/null || s=stopped; printf '{"status":"%s","pid":${somebody.pid}}' $s`,
    );
    const child = site.start(["srun", "--container", site.bundle, "true"]);
    await until("the start", () => existsSync(join(site.dir, "started")));
    site.calls();
    await Bun.sleep(300);
    expect(site.calls()).toEqual([]); // it looks at the process, and does not ask the runtime
    await somebody.stdin.end();
    expect(await child.exited).toBe((await kernelTells()) ? 7 : 0);
  });
  test("a cancelled one is ended by RunTimeKill and RunTimeDelete", async () => {
    await using site = new Site();
    const somebody = Bun.spawn(["sleep", "60"]);
    fakeRuntime(site, `printf '{"status":"%s","pid":${somebody.pid}}' $s`);
    const child = site.start(["srun", "--container", site.bundle, "true"]);
    await until("the start", () => existsSync(join(site.dir, "started")));
    await site.run(["scancel", "1"]);
    await child.exited;
    const verbs = await until("the delete", () => {
      const said = readFileSync(join(site.dir, "calls"), "latin1");
      return said.includes("delete") && said;
    });
    expect(verbs.indexOf("kill")).toBeLessThan(verbs.indexOf("delete"));
    expect(somebody.exitCode).toBe(null);
    somebody.kill("SIGKILL");
  });
  test.each([
    ["create", "exit 5", 5],
    ["start", "echo cannot start >&2; exit 6", 6],
  ] as const)("a %s that fails is the task's exit status", async (verb, body, code) => {
    await using site = new Site();
    fakeRuntime(site, `printf '{"status":"%s"}' $s`);
    site.recorder("failing", body);
    writeFileSync(
      join(site.bin, "fakert"),
      readFileSync(join(site.bin, "fakert"), "utf8").replace(`${verb})`, `${verb}) exec failing;;\n  no${verb})`),
    );
    const result = await site.run(["srun", "--container", site.bundle, "true"]);
    expect(result.code).toBe(code);
    if (verb === "start") expect(result.stderr).toContain("slurmstepd: error: Cannot start container: cannot start");
  });
  test("a container that was never created is told", async () => {
    await using site = new Site();
    fakeRuntime(site, "exit 1");
    const result = await site.run(["srun", "--container", site.bundle, "true"]);
    expect(result.code).toBe(1);
    expect(result.stderr).toContain("it was never created");
  });
});
