// What only a newer docker has (Debian unstable's: test/current-debian.sh peers/docker-now): annotations, devices by CDI.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { canRunDocker, DOCKER_MAJOR, DockerSite, HAS_COMPOSE_PLUGIN, IMAGE } from "./docker.ts";
import { writeFileSync } from "node:fs";

const isNew = DOCKER_MAJOR >= 28;
if (canRunDocker && !isNew) console.error(`skipping tests of docker's annotations and CDI: this docker is ${DOCKER_MAJOR}`);

/** Two GPUs, and a third one that no node of the cluster has. */
const CONF = [
  "NodeName=n1 CPUs=16 RealMemory=16000 Gres=gpu:2",
  "PartitionName=debug Nodes=ALL Default=YES",
  "PartitionName=other Nodes=ALL",
  "KillWait=2",
].join("\n");
const GPUS = {
  cdiVersion: "0.5.0",
  kind: "nvidia.com/gpu",
  devices: ["/dev/full", "/dev/random", "/dev/urandom"].map((path, index) => ({
    name: String(index),
    containerEdits: { deviceNodes: [{ path }], env: [`GPU=${index}`] },
  })),
};

describe.skipIf(!canRunDocker || !isNew)("docker 28 through scrun", () => {
  let site: DockerSite;
  beforeAll(async () => {
    site = await DockerSite.open({ conf: `${CONF}\n`, etc: { "cdi/test.json": JSON.stringify(GPUS) } });
  }, 120_000);
  afterAll(() => site?.[Symbol.asyncDispose](), 60_000);

  test("--annotation slurm.*: what the job is to be", async () => {
    const options = ["--annotation", "slurm.partition=other", "--annotation", "slurm.time=5", "--annotation", "slurm.cpus=3"];
    const inside = "echo $SLURM_JOB_CPUS_PER_NODE";
    const run = await site.dockerRun(["--rm", "--name", "noted", ...options, IMAGE, "sh", "-c", inside]);
    expect(run).toMatchObject({ status: 0, stdout: "3\n" });
    const { stdout } = await site.run(["sacct", "-X", "-n", "-P", "--name", "noted", "-o", "partition,timelimit"]);
    expect(stdout).toBe("other|00:05:00\n");
  });

  test.each([
    ["a partition", ["--annotation", "slurm.partition=nowhere"], "Invalid partition name specified"],
    [
      "memory",
      ["--annotation", "slurm.mem=900G"],
      "Requested node configuration is not available (cannot be met: 900G of memory on a node",
    ],
    ["a device", ["--annotation", "slurm.gres=gpu:3"], "Requested node configuration is not available"],
  ])("%s that is not there is docker's error", async (_title, options, reason) => {
    const { status, stderr } = await site.dockerRun(["--rm", ...options, IMAGE, "true"]);
    expect({ status, stderr }).toEqual({ status: 125, stderr: expect.stringContaining(reason) });
  });

  test("--device nvidia.com/gpu=N: GPUs of the job, which the container has", async () => {
    const run = await site.dockerRun([
      "--rm",
      "--name",
      "one",
      "--device",
      "nvidia.com/gpu=1",
      IMAGE,
      "sh",
      "-c",
      "echo $GPU; ls /dev/full",
    ]);
    // The scheduler says which one it is: the first.
    expect(run).toMatchObject({ status: 0, stdout: "0\n/dev/full\n" });
    const both = ["--device", "nvidia.com/gpu=0", "--device", "nvidia.com/gpu=1"];
    expect((await site.dockerRun(["--rm", "--name", "two", ...both, IMAGE, "true"])).status).toBe(0);
    // Has all three of them, and asks for none.
    expect((await site.dockerRun(["--rm", "--name", "none", "--privileged", IMAGE, "true"])).status).toBe(0);
    const tres = async (name: string) => (await site.run(["sacct", "-X", "-n", "-P", "--name", name, "-o", "alloctres"])).stdout;
    expect([await tres("one"), await tres("two")]).toEqual([expect.stringContaining("gres/gpu=1"), expect.stringContaining("gres/gpu=2")]);
    expect(await tres("none")).not.toContain("gres");
  });

  test.skipIf(!HAS_COMPOSE_PLUGIN)("compose: annotations and devices of a service", async () => {
    const file = site.path("compose.yml");
    const service = {
      image: IMAGE,
      network_mode: "none",
      command: ["sh", "-c", "echo gpu $$GPU"],
      annotations: { "slurm.time": "4" },
      devices: ["nvidia.com/gpu=0"],
    };
    writeFileSync(file, JSON.stringify({ services: { only: service } }));
    const compose = (...args: readonly string[]) => site.compose(["-p", "noted", "-f", file, ...args]);
    const up = await compose("up", "--exit-code-from", "only");
    expect(up).toMatchObject({ status: 0, stdout: expect.stringContaining("gpu 0") });
    const { stdout } = await site.run(["sacct", "-X", "-n", "-P", "--name", "noted-only-1", "-o", "timelimit,alloctres"]);
    expect(stdout).toMatch(/^00:04:00\|.*gres\/gpu=1/);
    expect(await compose("down")).toMatchObject({ status: 0 });
  });
});
