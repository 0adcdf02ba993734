// docker through scrun where the jobs are on a cluster: root's own dockerd and a Slurm of one node, in the daemon's network namespace.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../e2e/site.ts";
import { havePeers } from "../peers.ts";
import { canRunRootDocker, DockerSite, IMAGE } from "./docker.ts";

const canRun = canRunRootDocker && havePeers("slurmctld", "slurmd", "munged", "srun", "nsenter", "ip");

describe.skipIf(!canRun)("docker through scrun on a cluster", () => {
  let site: DockerSite;
  /** The cluster's controller is reached from where dockerd is. */
  const beside = (command: string) => {
    const pid = readFileSync(join(site.dir, "docker.pid"), "utf8").trim();
    const ran = Bun.spawnSync(["nsenter", "-t", pid, "-n", "sh", "-c", command], {
      env: { ...site.env, SLURM_CONF: join(site.dir, "run/berth/slurm/slurm.conf"), BERTH_ENGINE: "slurm" },
      stdin: "ignore",
      stderr: "ignore",
      timeout: 100_000,
    });
    return { code: ran.exitCode, stdout: ran.stdout.toString() };
  };
  beforeAll(async () => {
    site = await DockerSite.open({ isRootful: true });
    expect(beside(`ip link set lo up; ${site.dir}/bin/berth cluster up --nodes 1 --cpus 4 >/dev/null 2>&1`).code).toBe(0);
    const scrun = join(site.dir, "bin/scrun");
    const settings = `export BERTH_ENGINE=slurm SLURM_CONF=${join(site.dir, "run/berth/slurm/slurm.conf")}\n`;
    writeFileSync(scrun, readFileSync(scrun, "utf8").replace("exec ", `${settings}exec `));
  }, 180_000);
  afterAll(async () => {
    if (site === undefined) return;
    beside(`${site.dir}/bin/berth cluster down >/dev/null`);
    await site[Symbol.asyncDispose]();
  }, 120_000);

  test("run: output, exit status, the job's number", async () => {
    const ran = await site.dockerRun(["--rm", IMAGE, "sh", "-c", "echo job $SLURM_JOB_ID; exit 4"]);
    expect(ran).toMatchObject({ status: 4, stdout: expect.stringMatching(/^job \d+\n$/) as unknown as string, stderr: "" });
    expect(beside("scontrol -o show job").stdout).toContain("ExitCode=4:0");
  }, 120_000);

  test("top, exec, update, pause, stop, logs of a container on a node", async () => {
    const script = 'trap "echo told; exit 6" TERM; echo up; while :; do sleep 0.2; done';
    expect((await site.dockerRun(["-d", "--name", "far", IMAGE, "sh", "-c", script])).status).toBe(0);
    await until("it is up", async () => (await site.docker(["logs", "far"])).stdout === "up\n", 60_000);
    expect(beside('squeue -h -o "%j %T"').stdout).toBe("far RUNNING\n");
    // The node is this host: the numbers are good here.
    expect((await site.docker(["top", "far", "-o", "pid,args"])).stdout).toContain("echo told");
    expect(await site.docker(["exec", "far", "sh", "-c", "echo inside; exit 3"])).toMatchObject({ status: 3, stdout: "inside\n" });
    expect((await site.docker(["update", "--memory=64m", "--memory-swap=128m", "far"])).status).toBe(0);
    const limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max";
    const [pid = ""] = /\d+/.exec((await site.docker(["top", "far", "-o", "pid"])).stdout) ?? [];
    const [, cgroup = ""] = /^\d+:memory:(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, "utf8")) ?? [];
    if (cgroup !== "") expect(readFileSync(`/sys/fs/cgroup/memory${cgroup}/memory.limit_in_bytes`, "utf8")).toBe("67108864\n");
    else expect((await site.docker(["exec", "far", "sh", "-c", limit])).stdout).toBe("67108864\n");
    expect((await site.docker(["pause", "far"])).status).toBe(0);
    expect((await site.docker(["unpause", "far"])).status).toBe(0);
    expect((await site.docker(["stop", "-t", "30", "far"])).status).toBe(0);
    expect((await site.docker(["inspect", "far", "--format", "{{.State.ExitCode}}"])).stdout).toBe("6\n");
    expect((await site.docker(["logs", "far"])).stdout).toBe("up\ntold\n");
    expect((await site.docker(["rm", "far"])).status).toBe(0);
    await until("its job to go", () => beside("squeue -h").stdout === "", 60_000);
  }, 180_000);
});
