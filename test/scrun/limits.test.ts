// Memory and CPUs that an annotation asks for hold in the container, where its cgroup has the controllers.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { basename } from "node:path";
import { havePeers } from "../peers.ts";
import { canWriteCgroups } from "./cgroups.ts";
import { ScrunSite } from "./place.ts";

setDefaultTimeout(60_000);

describe.skipIf(!havePeers("runc", "busybox") || !canWriteCgroups)("granted limits", () => {
  let site: ScrunSite;
  let cgroup: string;
  beforeAll(() => {
    site = new ScrunSite();
    cgroup = `/${basename(site.dir)}`;
  });
  afterAll(async () => await site[Symbol.asyncDispose]());

  const run = async (program: string, annotations: Record<string, string>) => {
    site.program(program, (config) => {
      config["linux"].cgroupsPath = cgroup;
      config["annotations"] = annotations;
      config["mounts"].push({ destination: "/sys/fs/cgroup", type: "bind", source: "/sys/fs/cgroup", options: ["rbind", "ro"] });
      config["root"].readonly = false;
    });
    return await site.scrun(["run", "--bundle", ".", "c1"]);
  };

  test("a container that takes more memory than its annotation says is killed, and its job OUT_OF_MEMORY", async () => {
    expect((await run("tail /dev/zero", { "slurm.memory": "32M", "slurm.name": "greedy" })).code).toBe(137);
    const { stdout } = await site.run(["sacct", "-X", "-nP", "--name", "greedy", "-o", "state,exitcode,reqmem"]);
    expect(stdout).toBe("OUT_OF_MEMORY|0:125|32M\n");
  });

  test("CPUs are a quota, and without a wish there is none", async () => {
    const version = existsSync("/sys/fs/cgroup/cpu/cgroup.procs") ? 1 : 2;
    const quota = version === 1 ? `cat /sys/fs/cgroup/cpu${cgroup}/cpu.cfs_quota_us` : `cut -d ' ' -f 1 /sys/fs/cgroup${cgroup}/cpu.max`;
    expect(await run(quota, { "slurm.cpus": "1" })).toMatchObject({ code: 0, stdout: "100000\n" });
    expect((await run(quota, {})).stdout.trim()).toBe(version === 1 ? "-1" : "max");
  });
});
