// Node caches: each node of the private cluster gets a cache of its own, as if it shared no files with us.
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BERTH, canRunContainers, haveSlurm, SlurmSite } from "./site.ts";

const site = haveSlurm && canRunContainers ? new SlurmSite({ nodes: 2, cpus: 4 }) : undefined;
afterAll(async () => {
  await site?.[Symbol.asyncDispose]();
}, 60_000);

describe.skipIf(site === undefined)("bundles on nodes that share no files", () => {
  const on = site as SlurmSite;
  const cache = (node: string) => join(on.dir, `cache-${node}`);
  const entries = (node: string) =>
    readdirSync(cache(node))
      .filter((name) => /^(bundle|berth)-[0-9a-f]{64}$/.test(name))
      .sort();
  const copied = (...words: readonly string[]) =>
    on.run([BERTH, "srun", "--transfer=copy", "--container", on.bundle, ...words], { env: { BERTH_NODE_CACHE: join(on.dir, "cache-%n") } });
  const script = "cat /etc-marker; echo $SLURM_PROCID $SLURM_NTASKS $SLURMD_NODENAME; exit $SLURM_PROCID";
  const run = () =>
    on.run([BERTH, "srun", "--transfer=copy", "-N2", "-n2", "-l", "--container", on.bundle, "sh", "-c", script], {
      env: { BERTH_NODE_CACHE: join(on.dir, "cache-%n") },
    });
  writeFileSync(join(on.bundle, "rootfs/etc-marker"), "first\n");

  test("bundle and executable are sent once to each node, under their digest", async () => {
    const ran = await run();
    expect(ran.stdout.split("\n").filter(Boolean).sort()).toEqual(["0: 0 2 c1", "0: first", "1: 1 2 c2", "1: first"]);
    expect(ran.code).toBe(1);
    expect(entries("c1")).toHaveLength(2);
    expect(entries("c1")).toEqual(entries("c2"));
    const inode = (node: string) => entries(node).map((name) => statSync(join(cache(node), name)).ino);
    const before = [inode("c1"), inode("c2")];
    expect((await run()).code).toBe(1);
    expect([inode("c1"), inode("c2")]).toEqual(before);
    expect(readdirSync(cache("c1")).filter((name) => name.startsWith("part-"))).toEqual([]);
  }, 120_000);

  test("the container runs from the cache, and a changed bundle is another one", async () => {
    writeFileSync(join(on.bundle, "rootfs/etc-marker"), "second\n");
    expect((await run()).stdout).toContain("0: second\n");
    expect(entries("c1")).toHaveLength(3);
  }, 120_000);

  test("a node that has lost its cache gets it again, the others nothing", async () => {
    const kept = statSync(join(cache("c1"), entries("c1")[0] ?? "")).ino;
    rmSync(cache("c2"), { recursive: true });
    expect((await run()).stdout).toContain("1: second\n");
    expect(statSync(join(cache("c1"), entries("c1")[0] ?? "")).ino).toBe(kept);
    expect(entries("c2")).toHaveLength(2);
  }, 120_000);

  test("where the files are shared nothing is sent", async () => {
    const ran = await on.run([BERTH, "srun", "--transfer", "--container", on.bundle, "cat", "/etc-marker"], {
      env: { BERTH_NODE_CACHE: join(on.dir, "none-%n") },
    });
    expect(ran).toMatchObject({ code: 0, stdout: "second\n" });
    expect(existsSync(join(on.dir, "none-c1"))).toBe(false);
  }, 60_000);

  test("a cache that others may enter is refused, and nothing runs", async () => {
    rmSync(cache("c1"), { recursive: true });
    await on.run(["mkdir", "-m", "777", cache("c1")]);
    const ran = await copied("true");
    expect(ran.stderr).toContain("is not a directory that only its user can enter");
    expect(ran.code).not.toBe(0);
    rmSync(cache("c1"), { recursive: true });
  }, 60_000);

  test("inside an allocation, and for sbatch the reason why not", async () => {
    const env = { BERTH_NODE_CACHE: join(on.dir, "cache-%n") };
    const inside = await on.run(
      ["salloc", "-Q", "-N2", BERTH, "srun", "--transfer=copy", "-l", "--container", on.bundle, "cat", "/etc-marker"],
      { env },
    );
    expect(inside.stdout.split("\n").filter(Boolean).sort()).toEqual(["0: second", "1: second"]);
    const ran = await on.berth("sbatch", "--transfer", "--container", on.bundle, "--wrap", "true");
    expect(ran.stderr).toContain("sbatch cannot send a bundle to the nodes");
    expect(ran.code).toBe(1);
  }, 60_000);
});
