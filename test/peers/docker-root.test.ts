// What takes cgroups with controllers, which rootless engines have on systemd hosts only: limits that hold, figures, out of memory. By root's own dockerd.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { until } from "../e2e/site.ts";
import { canRunRootDocker, DockerSite, HAS_COMPOSE_PLUGIN, IMAGE } from "./docker.ts";
import { within } from "./user-site.ts";

describe.skipIf(!canRunRootDocker)("root's docker through scrun", () => {
  let site: DockerSite;
  beforeAll(async () => {
    site = await DockerSite.open({ isRootful: true });
  }, 120_000);
  afterAll(() => site?.[Symbol.asyncDispose](), 60_000);

  const inspect = async (name: string, format: string) => (await site.docker(["inspect", name, "--format", format])).stdout.trim();

  test("--memory, --cpus, --pids-limit hold, and the first two are the job's; stats, update, pause", async () => {
    const limits = ["--memory=64m", "--cpus=1.5", "--pids-limit=50"];
    expect((await site.dockerRun(["-d", "--name", "limited", ...limits, IMAGE, "sleep", "1000"])).status).toBe(0);
    const read = (old: string, now: string) => `cat /sys/fs/cgroup/${old} 2>/dev/null || cat /sys/fs/cgroup/${now};`;
    const script = `${read("memory/memory.limit_in_bytes", "memory.max")} ${read("pids/pids.max", "pids.max")} echo $SLURM_JOB_CPUS_PER_NODE $SLURM_MEM_PER_NODE`;
    expect((await site.docker(["exec", "limited", "sh", "-c", script])).stdout).toBe("67108864\n50\n2 64\n");
    expect((await site.run(["squeue", "-h", "-o", "%j %C %m"])).stdout).toBe("limited 2 64M\n");
    const stats = await site.docker(["stats", "--no-stream", "--format", "{{.MemUsage}}", "limited"]);
    expect(stats.stdout).toMatch(/^[0-9.]+[KM]iB \/ 64MiB\n$/); // the container's, not the anchor's
    expect(parseFloat(stats.stdout)).toBeGreaterThan(0);
    expect((await site.docker(["update", "--memory=80m", "--memory-swap=160m", "limited"])).status).toBe(0);
    expect((await site.docker(["exec", "limited", "sh", "-c", script])).stdout).toStartWith("83886080\n");
    expect((await site.docker(["pause", "limited"])).status).toBe(0);
    expect((await site.run(["squeue", "-h", "-o", "%T"])).stdout).toBe("SUSPENDED\n");
    expect((await site.docker(["unpause", "limited"])).status).toBe(0);
    expect((await site.docker(["pause", "limited"])).status).toBe(0);
    expect((await site.docker(["rm", "-f", "limited"])).status).toBe(0);
    await until("its job to go", async () => (await site.run(["squeue", "-h"])).stdout === "");
  });

  test.skipIf(!HAS_COMPOSE_PLUGIN)("compose: deploy limits are the job's, and each replica is one", async () => {
    const file = site.path("compose.yml");
    const deploy = { replicas: 2, resources: { limits: { cpus: "1.5", memory: "64M", pids: 40 } } };
    const print = 'echo "$$SLURM_JOB_CPUS_PER_NODE $$SLURM_MEM_PER_NODE"; sleep 1000';
    writeFileSync(file, JSON.stringify({ services: { many: { image: IMAGE, command: ["sh", "-c", print], deploy } } }));
    const compose = (...args: readonly string[]) => site.compose(["-p", "site", "-f", file, ...args]);
    expect(await compose("up", "-d")).toMatchObject({ status: 0 });
    expect((await site.run(["squeue", "-h", "-S", "j", "-o", "%j %C %m"])).stdout).toBe("site-many-1 2 64M\nsite-many-2 2 64M\n");
    await until("them to say it", async () => (await compose("logs", "--no-log-prefix")).stdout === "2 64\n2 64\n");
    expect(await compose("down", "-t", "0")).toMatchObject({ status: 0 });
    expect((await site.run(["squeue", "-h"])).stdout).toBe("");
  });

  test("a container whose job waits has its own network, not the daemon's", async () => {
    const devices = "ls /sys/class/net; ip route";
    const blocker = await site.sbatch("#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.05; done\n", "--exclusive");
    try {
      const command = site.startDocker(["run", "--rm", IMAGE, "sh", "-c", devices]);
      await until("docker to say so", () => /job [0-9]+ queued and waiting/.test(command.stderrSoFar));
      writeFileSync(site.path("go"), "");
      expect(await within(command)).toMatchObject({ status: 0, stdout: expect.stringMatching(/^eth0\nlo\ndefault via 172\..* dev eth0/) });
    } finally {
      writeFileSync(site.path("go"), "");
    }
    await until("the other job's end", async () => (await site.run(["squeue", "-h", "-j", String(blocker)])).stdout === "");
  });

  test("memory and CPUs that only a variable asked for hold too", async () => {
    const wishes = ["-e", "SCRUN_MEM_PER_NODE=64M", "-e", "SCRUN_CPUS_PER_TASK=2"];
    expect((await site.dockerRun(["-d", "--name", "wishes", ...wishes, IMAGE, "sleep", "1000"])).status).toBe(0);
    const old = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us 2>/dev/null";
    const limits = await site.docker(["exec", "wishes", "sh", "-c", `${old} || cat memory.max cpu.max`]);
    expect(limits.stdout.trim().split(/\s+/)).toEqual(["67108864", "200000", "100000"]);
    expect((await site.docker(["stats", "--no-stream", "--format", "{{.MemUsage}}", "wishes"])).stdout).toEndWith("/ 64MiB\n");
    expect((await site.docker(["rm", "-f", "wishes"])).status).toBe(0);

    const killed = await site.dockerRun(["--name", "greedy", "-e", "SCRUN_MEM_PER_NODE=32M", IMAGE, "tail", "/dev/zero"]);
    expect(killed.status).toBe(137);
    expect(await inspect("greedy", "{{.State.OOMKilled}} {{.State.ExitCode}}")).toBe("true 137");
    expect(await site.job("greedy")).toBe("OUT_OF_MEMORY 0:125");
    expect((await site.docker(["rm", "greedy"])).status).toBe(0);
  });

  test("each exit status is the container's, whoever cleans its cgroup up", async () => {
    const wrong: string[] = [];
    for (let i = 0; i < Number(process.env["BERTH_DOCKER_RUNS"] ?? 5); i++) {
      const code = Math.floor(Math.random() * 128);
      const { status, stderr } = await site.dockerRun(["--rm", IMAGE, "sh", "-c", `exit ${code}`]);
      if (status !== code || stderr !== "") wrong.push(`wanted ${code}, docker says ${status} ${stderr}`);
    }
    expect(wrong).toEqual([]);
  });

  test("out of memory: docker and sacct both say so", async () => {
    const killed = await site.dockerRun(["--name", "hungry", "--memory=32m", "--memory-swap=32m", IMAGE, "tail", "/dev/zero"]);
    expect(killed.status).toBe(137);
    expect(await inspect("hungry", "{{.State.OOMKilled}} {{.State.ExitCode}}")).toBe("true 137");
    expect(await site.job("hungry")).toBe("OUT_OF_MEMORY 0:125");
    expect((await site.docker(["rm", "hungry"])).status).toBe(0);
  });
});
