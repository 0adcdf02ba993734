// A bundle that belongs to somebody else: mount points that its image lacks, and a spool that is mounted noexec.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { havePeers } from "../peers.ts";
import { Site } from "./site.ts";

setDefaultTimeout(60_000);
const isRoot = process.geteuid?.() === 0;

// Root may write anywhere, so there is nothing to see.
describe.skipIf(isRoot || !havePeers("runc", "busybox"))("a bundle that may not be written", () => {
  let site: Site;
  const lib = () => join(site.bundle, "rootfs/lib");
  beforeAll(() => {
    site = new Site();
    const file = join(site.dir, "file");
    writeFileSync(file, "a file\n");
    mkdirSync(lib());
    writeFileSync(join(lib(), "libx.so.1.2"), "a library\n");
    symlinkSync("libx.so.1.2", join(lib(), "libx.so"));
    mkdirSync(join(site.bundle, "rootfs/opt"));
    writeFileSync(join(site.bundle, "rootfs/opt/own"), "own\n");
    site.place.makeBundle((config) => {
      config["mounts"].push(
        { destination: "/lib/libcuda.so.1", type: "none", source: file, options: ["bind", "ro"] },
        { destination: "/lib/deep/er", type: "none", source: site.dir, options: ["rbind", "ro"] },
        { destination: "/opt/data", type: "none", source: site.dir, options: ["rbind", "ro"] },
      );
    });
    for (const dir of ["lib", "opt", "tmp", "w", "bin", "dev", "proc", "sys", ""]) chmodSync(join(site.bundle, "rootfs", dir), 0o555);
  });
  afterAll(async () => await site[Symbol.asyncDispose]());

  test("mount points of config.json appear, beside what the image has, links too", async () => {
    const result = await site.run([
      "srun",
      "-n2",
      "-O",
      "--container",
      site.bundle,
      "sh",
      "-c",
      "cat /lib/libcuda.so.1 /lib/libx.so /opt/own /lib/deep/er/file /opt/data/file",
    ]);
    expect(result.stderr.replace(/^new[ug]idmap: .*\n/gm, "")).toBe("");
    expect(result.stdout).toBe("a file\na library\nown\na file\na file\n".repeat(2));
    expect(readdirSync(lib()).sort()).toEqual(["libx.so", "libx.so.1.2"]);
    expect(site.spools()).toEqual([]);
  });
});

describe.skipIf(!isRoot || !havePeers("runc", "busybox", "unshare"))("a spool that is mounted noexec", () => {
  test("a batch script runs all the same, by its interpreter", async () => {
    await using site = new Site();
    // In a mount namespace that the whole test's engine lives in.
    const state = join(site.dir, "state");
    const script = join(site.dir, "job.sh");
    writeFileSync(script, '#!/bin/sh -e\necho "$0 $1 $-"\nfalse\necho never\n');
    const berth = `${process.execPath} ${join(import.meta.dir, "../../src/main.ts")}`;
    const shell =
      `mount -t tmpfs -o noexec,mode=700 none ${state} && ` +
      `${berth} sbatch --wait -o ${site.dir}/out --container ${site.bundle} ${script} arg; s=$?; ${berth} daemon stop --jobs >/dev/null; exit $s`;
    const child = Bun.spawn(["unshare", "-m", "--propagation", "private", "sh", "-c", shell], {
      cwd: site.dir,
      env: site.env,
      stdout: "ignore",
      stderr: "pipe",
    });
    const error = await new Response(child.stderr).text();
    expect({ code: await child.exited, out: await Bun.file(join(site.dir, "out")).text(), error }).toMatchObject({
      code: 1,
      out: expect.stringMatching(/^\/tmp\/slurm\/startup arg e/),
    });
    expect(await Bun.file(join(site.dir, "out")).text()).not.toContain("never");
  });
});
