// Node caches: each node of the private cluster gets a cache of its own, as if it shared no files with us.
import { afterAll, describe, expect, test } from "bun:test";
import { cpSync, existsSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
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

  test("inside an allocation", async () => {
    const env = { BERTH_NODE_CACHE: join(on.dir, "cache-%n") };
    const inside = await on.run(
      ["salloc", "-Q", "-N2", BERTH, "srun", "--transfer=copy", "-l", "--container", on.bundle, "cat", "/etc-marker"],
      { env },
    );
    expect(inside.stdout.split("\n").filter(Boolean).sort()).toEqual(["0: second", "1: second"]);
  }, 60_000);

  test("a batch job waits for its bundle, which is brought when it starts, once to each node", async () => {
    for (const node of ["c1", "c2"]) rmSync(cache(node), { recursive: true, force: true });
    const env = { BERTH_NODE_CACHE: join(on.dir, "cache-%n") };
    const out = (index: number) => join(on.workDir, `batch-${index}.out`);
    const script = "#!/bin/sh\n#SBATCH --transfer=copy\ncat /etc-marker; echo $0 $1 $SLURM_ARRAY_TASK_ID; exit $SLURM_ARRAY_TASK_ID\n";
    writeFileSync(join(on.workDir, "carried.sh"), script);
    // Not -W: it looks ever more seldom.
    const words = ["--parsable", "-a", "0-3", "-o", join(on.workDir, "batch-%a.out"), "--container", on.bundle, "carried.sh", "word"];
    const id = (await on.run([BERTH, "sbatch", ...words], { env })).stdout.trim();
    await until("the array has ended", async () => ((await on.show(id)).match(/JobState=(COMPLETED|FAILED) /g) ?? []).length === 4);
    expect(await on.show(id)).toContain("ExitCode=3:0");
    for (const index of [0, 1, 2, 3]) expect(readFileSync(out(index), "utf8")).toBe(`second\n/tmp/slurm/startup word ${index}\n`);
    const used = ["c1", "c2"].filter((node) => existsSync(cache(node)));
    expect(used.length).toBeGreaterThan(0);
    for (const node of used) expect(entries(node)).toHaveLength(2);
  }, 120_000);

  test("a courier that was killed has a successor; what cannot be brought fails the job with the reason", async () => {
    const env = { BERTH_NODE_CACHE: join(on.dir, "cache-%n") };
    const other = join(on.dir, "other");
    cpSync(on.bundle, other, { recursive: true, verbatimSymlinks: true });
    const submit = async (bundle: string, name: string) =>
      (
        await on.run(
          [BERTH, "sbatch", "--parsable", "--hold", "--transfer=copy", "-o", name, "--container", bundle, "--wrap", "cat /etc-marker"],
          { env },
        )
      ).stdout.trim();
    const good = await submit(on.bundle, "good.out");
    const bad = await submit(other, "bad.out");
    rmSync(other, { recursive: true });
    const pid = await lockHolder(join(on.dir, "home/.local/state/berth"));
    process.kill(pid, "SIGKILL");
    expect((await on.berth("scontrol", "release", `${good},${bad}`)).code).toBe(0);
    await until("a successor", async () => {
      await on.berth("squeue"); // somebody looks at his jobs
      return /JobState=COMPLETED/.test(await on.show(good)) && /JobState=FAILED/.test(await on.show(bad));
    });
    expect(readFileSync(join(on.workDir, "good.out"), "utf8")).toBe("second\n");
    expect(readFileSync(join(on.workDir, "bad.out"), "utf8")).toMatch(
      /berth: error: c\d: cannot have the bundle from \S+: .*No such file or directory/,
    );
    await until("the courier ends with its last job", () => Promise.resolve(readCouriers(on).length === 0));
  }, 120_000);
});

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 60_000; !(await isSo()); await Bun.sleep(200))
    if (performance.now() > deadline) throw new Error(`never happened: ${what}`);
}

/** Records of jobs that the courier has not done with. */
function readCouriers(site: SlurmSite): string[] {
  const state = join(site.dir, "home/.local/state/berth");
  return readdirSync(state).flatMap((host) => {
    const dir = join(state, host, "couriers");
    return existsSync(dir) ? readdirSync(dir).filter((name) => name.endsWith(".json")) : [];
  });
}

/** The process that has the courier's lock file open. */
async function lockHolder(state: string): Promise<number> {
  let found = 0;
  await until("a courier", () => {
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
      try {
        if (readdirSync(`/proc/${pid}/fd`).some((fd) => /couriers\/lock$/.test(readlink(`/proc/${pid}/fd/${fd}`, state))))
          found = Number(pid);
      } catch {
        // it has ended, or is somebody else's
      }
    }
    return Promise.resolve(found > 0);
  });
  return found;
}

function readlink(path: string, below: string): string {
  const target = readlinkSync(path);
  return target.startsWith(below) ? target : "";
}
