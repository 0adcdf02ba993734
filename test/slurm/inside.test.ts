// Slurm's commands inside of a container on a cluster, with munge's socket, slurm.conf and the executables mounted (docs/slurm.md,
// "Commands inside of a container").
import { afterAll, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { userName } from "#platform/users.ts";
import { BERTH, canRunContainers, haveSlurm, type Ran, SlurmSite } from "./site.ts";

const site = haveSlurm && canRunContainers ? new SlurmSite({ nodes: 1, cpus: 4 }) : undefined;
afterAll(async () => {
  await site?.[Symbol.asyncDispose]();
}, 60_000);

const isRoot = process.getuid?.() === 0;
/** Become the user again: Linux before 5.12. */
const [major = 0, minor = 0] = release().split(".").map(Number);
const letsEverybody = major < 5 || (major === 5 && minor < 12);
/** Of this host, instead of an image that has Slurm's client programs. */
const HOST_DIRS = ["/usr", "/bin", "/lib", "/lib64", "/etc/passwd", "/etc/nsswitch.conf"].filter((path) => existsSync(path));

describe.skipIf(site === undefined)("commands inside of a container on a cluster", () => {
  const on = site as SlurmSite;
  const bin = join(on.dir, "bin");
  const user = userName(process.getuid?.() ?? 0);

  /** What the container's root may do besides; podman and docker leave him CAP_SETFCAP, a bare bundle mostly nothing. */
  async function inside(capabilities: readonly string[], script: string): Promise<Ran> {
    if (!existsSync(bin)) {
      mkdirSync(bin);
      copyFileSync(BERTH, join(bin, "berth"));
      expect((await on.run([join(bin, "berth"), "link", "--all", bin])).code).toBe(0);
    }
    const bundle = join(on.dir, `inside-${capabilities.length}`);
    for (const name of ["proc", "dev", "sys", "tmp", "etc"]) mkdirSync(join(bundle, "rootfs", name), { recursive: true });
    const config = JSON.parse(readFileSync(join(on.bundle, "config.json"), "utf8")) as {
      process: { capabilities: unknown };
      mounts: unknown[];
    };
    config.process.capabilities = { bounding: capabilities, effective: capabilities, permitted: capabilities };
    for (const [path, mode] of [...HOST_DIRS.map((dir) => [dir, "ro"]), [on.dir, "rw"]])
      config.mounts.push({ destination: path, type: "bind", source: path, options: ["rbind", mode] });
    writeFileSync(join(bundle, "config.json"), JSON.stringify(config));
    const text = `export PATH=${bin}:/usr/bin:/bin; cd ${on.workDir}; ${script}`;
    return await on.run(["timeout", "90", BERTH, "srun", "--container", bundle, "sh", "-c", text]);
  }

  test("they ask and submit as the user, whose root the container's is", async () => {
    const { code, stdout, stderr } = await inside(
      ["CAP_SETFCAP"],
      `echo $SLURM_JOB_ID; squeue -h -o "%A %u"
       echo text | srun --overlap cat; srun --overlap --container ${on.bundle} sh -c 'hostname; exit 7'; echo step $?
       sbatch -W -o job.out --container ${on.bundle} --wrap 'hostname; exit 3'; echo job $?; exit 5`,
    );
    const [id, shown, ...rest] = stdout.trim().split("\n");
    expect([shown, ...rest]).toEqual([
      `${id} ${user}`,
      "text",
      "box",
      "step 7",
      expect.stringMatching(/^Submitted batch job \d+$/) as unknown as string,
      "job 3",
    ]);
    expect([code, stderr.includes("Invalid user id")]).toEqual([5, false]);
    expect(readFileSync(join(on.workDir, "job.out"), "utf8")).toBe("box\n");
    expect(await on.show(rest[3]?.replace(/\D+/, "") ?? "")).toContain(`UserId=${user}(`);
  }, 120_000);

  test.skipIf(isRoot || letsEverybody)(
    "where the container's root may not become the user, queries are answered and the rest says why not",
    async () => {
      const { code, stdout, stderr } = await inside(
        [],
        `squeue -h -o %u; sinfo -h -o %D; sbatch --wrap true; echo $?; srun --overlap true`,
      );
      expect([code, stdout]).toEqual([1, `${user}\n1\n1\n`]);
      expect(stderr).toContain(`sbatch cannot be called here: Slurm knows the root of this container as user ${process.getuid?.()}`);
      expect(stderr).toContain("CAP_SETFCAP");
    },
    120_000,
  );
});
