// What scrun is called with may be somebody else's: ids, the directory of its records, a bundle and what lies beside it. Nothing of it leaves the
// container's own directory, runs a program, gives orders to the terminal, or is answered with a bug.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { launcherFor } from "#scrun/launcher/launcher.ts";
import { canRunContainers, Site } from "../e2e/site.ts";

const LONG_MS = 60_000;
let site: Site;
beforeAll(() => {
  site = new Site();
  writeFileSync(join(site.dir, "bin/scrun"), launcherFor(join(site.dir, "bin/berth")), { mode: 0o755 });
  if (!canRunContainers) return;
  const config = JSON.parse(readFileSync(join(site.bundle, "config.json"), "utf8"));
  Object.assign(config.process, { terminal: false, args: ["/bin/true"] });
  writeFileSync(join(site.bundle, "config.json"), JSON.stringify(config));
});
afterAll(() => site[Symbol.asyncDispose](), LONG_MS);

function scrun(...words: string[]) {
  const ran = Bun.spawnSync([join(site.dir, "bin/scrun"), ...words], { env: site.env, cwd: site.workDir, timeout: 30_000 });
  return { status: ran.exitCode, text: `${ran.stdout}${ran.stderr}` };
}

const CALLS = [["create", "--bundle", "."], ["start"], ["delete", "--force"], ["exec"]];
const IDS = ["", ".", "..", "../x", "/etc", "a\nb", "-x", "$(touch pwned)", "a'b", "\u001b[2J", "é", "x".repeat(5000)];

test(
  "ids that are none are refused in words",
  () => {
    for (const call of CALLS)
      for (const id of IDS) {
        const { status, text } = scrun(...call, id);
        const said = `${call.join(" ")} ${JSON.stringify(id.slice(0, 20))}: ${text}`;
        expect(status, said).toBe(call[0] === "exec" ? 255 : 1);
        expect(text, said).toMatch(/^scrun: error: (container id|invalid container id|unrecognized option|invalid option)/);
        expect(said.includes("\u001b"), said).toBe(false);
        expect(said.length).toBeLessThan(600);
      }
    expect(readdirSync(site.workDir)).toEqual([]);
    expect(readdirSync(join(site.dir, "run/scrun"))).toEqual([]);
  },
  LONG_MS,
);

test("a directory of records to which others may write is not used: it names the runtime", () => {
  const root = join(site.dir, "shared");
  const runtime = join(site.dir, "evil");
  writeFileSync(runtime, `#!/bin/sh\ntouch ${site.dir}/pwned\n`, { mode: 0o755 });
  mkdirSync(join(root, "c/runtime/c"), { recursive: true });
  const anchor = { pid: 1, startTicks: 0 };
  const state = { id: "c", ociVersion: "1.0.2", bundle: "/", rootfs: "/", annotations: {}, createdAt: "", anchor, runtime };
  writeFileSync(join(root, "c/state.json"), JSON.stringify({ ...state, runtimeOptions: [], jobId: null, startWait: null, monitor: null }));
  Bun.spawnSync(["chmod", "777", root], { timeout: 10_000 });
  for (const words of [
    ["delete", "--force", "c"],
    ["kill", "c"],
    ["exec", "c", "true"],
    ["create", "--bundle", site.bundle, "d"],
  ]) {
    const { status, text } = scrun("--root", root, ...words);
    expect(text).toContain("may be written to by everybody");
    expect(status).toBe(words[0] === "exec" ? 255 : 1);
  }
  expect(existsSync(join(site.dir, "pwned"))).toBe(false);
});

test.skipIf(!canRunContainers)(
  "a bundle that lies where an engine's would, beside FIFOs, hangs nobody",
  () => {
    const store = join(site.dir, "overlay-containers");
    const bundle = join(store, "fifo/userdata");
    mkdirSync(bundle, { recursive: true });
    const config = JSON.parse(readFileSync(join(site.bundle, "config.json"), "utf8"));
    writeFileSync(join(bundle, "config.json"), JSON.stringify({ ...config, root: { path: join(site.bundle, "rootfs") } }));
    expect(Bun.spawnSync(["mkfifo", join(store, "containers.json")], { timeout: 10_000 }).success).toBe(true);
    const quiet = (...words: string[]) =>
      Bun.spawnSync([join(site.dir, "bin/scrun"), ...words], { env: site.env, stdio: ["ignore", "ignore", "ignore"], timeout: 15_000 })
        .exitCode;
    expect(quiet("create", "--bundle", bundle, "fifo")).toBe(0);
    expect(quiet("delete", "--force", "fifo")).toBe(0);
  },
  LONG_MS,
);
