// GPUs of a step in its container, by CDI documents and without a GPU: the device files are the host's /dev/zero and /dev/full.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nvidiaYaml } from "#container/cdi-fixtures.ts";
import { havePeers } from "../peers.ts";
import { Site } from "./site.ts";

setDefaultTimeout(60_000);

describe.skipIf(!havePeers("runc", "busybox"))(`devices as uid ${process.geteuid?.()}`, () => {
  let site: Site;
  beforeAll(() => {
    site = new Site();
    site.berthConf("KillWait=2\nNodeName=n1 CPUs=2 Gres=gpu:2\nPartitionName=all Nodes=n1 Default=YES\n");
    const cdi = join(site.dir, "cdi");
    mkdirSync(cdi);
    const hook = join(site.dir, "hook");
    writeFileSync(hook, `#!/bin/sh\necho "$*" >> ${site.dir}/hooks\ncat > /dev/null\n`);
    chmodSync(hook, 0o755);
    const library = join(site.dir, "libcuda");
    writeFileSync(library, "a library\n");
    writeFileSync(
      join(cdi, "nvidia.yaml"),
      nvidiaYaml(
        (path) =>
          path.startsWith("/dev/") ? (path.endsWith("1") ? "/dev/full" : "/dev/zero") : path.endsWith("nvidia-ctk") ? hook : library,
        "/w",
      ),
    );
    site.env["BERTH_CDI_DIRS"] = cdi;
  });
  afterAll(async () => await site[Symbol.asyncDispose]());
  const look = "cd /dev; echo nvidia*; cat /w/libcuda.so.*; echo $NVIDIA_VISIBLE_DEVICES $CUDA_VISIBLE_DEVICES $SLURM_GPUS_ON_NODE";

  test("srun --gpus", async () => {
    const result = await site.run([
      "srun",
      "--gpus=1",
      "--container",
      site.bundle,
      "sh",
      "-c",
      `${look}; busybox head -c 3 nvidia0 | busybox od -An -tx1`,
    ]);
    expect(result).toMatchObject({
      code: 0,
      stdout: "nvidia-modeset nvidia-uvm nvidia-uvm-tools nvidia0 nvidiactl\na library\nvoid 0 1\n 00 00 00\n",
    });
    expect(readFileSync(join(site.dir, "hooks"), "utf8")).toContain(`hook update-ldcache --folder /w\n`);
  });
  test("two of them, by --gres, in a batch job", async () => {
    const out = join(site.dir, "out");
    const result = await site.run(["sbatch", "--wait", "-o", out, "--gres=gpu:2", "--container", site.bundle, "--wrap", look]);
    expect(result.code).toBe(0);
    expect(readFileSync(out, "utf8")).toBe("nvidia-modeset nvidia-uvm nvidia-uvm-tools nvidia0 nvidia1 nvidiactl\na library\nvoid 0,1 2\n");
  });
  test("the second one alone: it is number 0 inside", async () => {
    const holder = site.start(["srun", "--gpus=1", "sh", "-c", "echo up; cat"]);
    await holder.stdout.getReader().read();
    const result = await site.run(["srun", "--gpus=1", "--container", site.bundle, "sh", "-c", look]);
    expect(result.stdout).toBe("nvidia-modeset nvidia-uvm nvidia-uvm-tools nvidia1 nvidiactl\na library\nvoid 0 1\n");
    await holder.stdin.end();
    await holder.exited;
  });
  test("none without asking", async () => {
    expect((await site.run(["srun", "--container", site.bundle, "sh", "-c", "cd /dev; echo nvidia*"])).stdout).toBe("nvidia*\n");
  });
  test("a device that CDI does not know, or a broken document, is told", async () => {
    const file = join(site.dir, "cdi/nvidia.yaml");
    const text = readFileSync(file, "utf8");
    writeFileSync(file, text.replaceAll('name: "0"', 'name: "4"'));
    expect((await site.run(["srun", "--gpus=1", "--container", site.bundle, "true"])).stderr).toContain(
      "Cannot give device nvidia.com/gpu=0: CDI knows 4, 1, all",
    );
    writeFileSync(file, "kind: x\n");
    expect((await site.run(["srun", "--gpus=1", "--container", site.bundle, "true"])).stderr).toContain(
      `Cannot use ${file}: cdiVersion is missing`,
    );
    expect((await site.run(["srun", "--container", site.bundle, "true"])).code).toBe(0);
  });
});
