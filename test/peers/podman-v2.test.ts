// What rootless podman refuses on a host with hybrid cgroups, in a mount namespace with a plain v2 tree: pause, and limits, which make the job's size.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { isAnchor, kill, processesOf, until } from "../e2e/site.ts";
import { havePeers } from "../peers.ts";
import { IMAGE, PodmanSite } from "./podman.ts";
import { resizeTerminal } from "./terminal.ts";
import { ordinaryUser, within } from "./user-site.ts";

const FOR_EVER = "trap 'exit 4' TERM; echo up; while :; do sleep 0.05; done";

/** Two GPUs, and a third one that no node of the cluster has. */
const CONF = "NodeName=n1 CPUs=16 RealMemory=16000 Gres=gpu:2\nPartitionName=debug Nodes=ALL Default=YES\nKillWait=2\n";
const GPUS = {
  cdiVersion: "0.5.0",
  kind: "nvidia.com/gpu",
  devices: ["/dev/full", "/dev/random", "/dev/urandom"].map((path, index) => ({
    name: String(index),
    containerEdits: { deviceNodes: [{ path }], env: [`GPU=${index}`] },
  })),
};

describe.skipIf(ordinaryUser === undefined || !havePeers("podman", "conmon", "newuidmap", "crun", "busybox"))(
  "podman through scrun, with cgroup v2",
  () => {
    let site: PodmanSite;
    beforeAll(async () => {
      site = await PodmanSite.open({ user: ordinaryUser, etc: { "cdi/test.json": JSON.stringify(GPUS) }, conf: CONF });
    }, 120_000);
    afterAll(() => site?.[Symbol.asyncDispose](), 60_000);
    afterEach(async () => {
      await site.podman(["rm", "-f", "-a", "-t", "0"]);
      await site.podman(["pod", "rm", "-f", "-a"]);
    }, 60_000);

    const state = async (name: string) => (await site.podman(["inspect", name, "--format", "{{.State.Status}}"])).stdout.trim();
    const queued = async (name: string) => (await site.run(["squeue", "-h", "-n", name, "-o", "%T"])).stdout.trim();

    test("--cgroups=disabled", async () => {
      const options = ["--cgroups=disabled", "--name", "free"];
      expect(await site.podman(["run", "-d", ...options, IMAGE, "sh", "-c", FOR_EVER])).toMatchObject({ status: 0, stderr: "" });
      expect(await site.podman(["exec", "free", "true"])).toMatchObject({ status: 0 });
      expect(await site.podman(["stop", "-t", "10", "free"])).toMatchObject({ status: 0 });
      await until("its job to fail", async () => (await site.job("free")) === "FAILED 4:0");
    });

    // podman gives rootless containers no cgroup without a systemd session or this option.
    test.each([
      ["by its cgroup's freezer", () => [`--cgroup-parent=${site.cgroup}`], "1"],
      ["by signals, when it has no cgroup", () => [], ""],
    ])("pause, unpause: the container stands still, %s, and so does its job", async (_how, options, frozen) => {
      const isFrozen = async () => {
        const events = `/sys/fs/cgroup${site.cgroup}/libpod-*/cgroup.events`;
        return (await site.run(["/bin/sh", "-c", `sed -n 's/^frozen //p' ${events}`])).stdout.trim();
      };
      expect(await site.podman(["run", "-d", "--name", "paused", ...options(), IMAGE, "sh", "-c", FOR_EVER])).toMatchObject({ status: 0 });
      for (const _again of [1, 2]) {
        expect(await site.podman(["pause", "paused"])).toMatchObject({ status: 0, stderr: "" });
        expect([await state("paused"), await queued("paused"), await isFrozen()]).toEqual(["paused", "SUSPENDED", frozen]);
        expect(await site.podman(["unpause", "paused"])).toMatchObject({ status: 0, stderr: "" });
        expect([await state("paused"), await queued("paused"), await isFrozen()]).toEqual(["running", "RUNNING", frozen && "0"]);
        expect(await site.podman(["exec", "paused", "true"])).toMatchObject({ status: 0 });
      }
      expect(await site.podman(["pause", "paused"])).toMatchObject({ status: 0 });
      expect(await site.podman(["rm", "-f", "-t", "0", "paused"])).toMatchObject({ status: 0, stderr: "" });
      await until("its job to go", async () => (await queued("paused")) === "");
    });

    test("a container whose job had to wait: its cgroup is what podman finds by its pid", async () => {
      await site.sbatch("#!/bin/sh\nwhile [ ! -e go ]; do sleep 0.05; done\n", "--exclusive", "-J", "filler");
      try {
        await until("the machine to be full", async () => (await queued("filler")) === "RUNNING");
        const options = [`--cgroup-parent=${site.cgroup}`, "-e", "SCRUN_START_WAIT=0", "--name", "waits"];
        expect(await site.podman(["run", "-d", ...options, IMAGE, "sh", "-c", FOR_EVER])).toMatchObject({ status: 0 });
        const cgroup = async () => {
          const { stdout: pid } = await site.podman(["inspect", "waits", "--format", "{{.State.Pid}}"]);
          return (await site.run(["/bin/sh", "-c", `sed -n 's/^0:://p' /proc/${pid.trim()}/cgroup`])).stdout.trim();
        };
        expect(await cgroup()).not.toContain("/libpod-");
        writeFileSync(site.path("go"), "");
        await until("its cgroup", async () => (await cgroup()).startsWith(`${site.cgroup}/libpod-`));
        await until("it to be up", async () => (await site.podman(["logs", "waits"])).stdout === "up\n");
        expect((await site.podman(["stats", "--no-stream", "--format", "{{.Name}}", "waits"])).stdout).toBe("waits\n");
        expect((await site.podman(["stop", "-t", "10", "waits"])).status).toBe(0);
        expect((await site.podman(["inspect", "waits", "--format", "{{.State.ExitCode}}"])).stdout).toBe("4\n");
      } finally {
        writeFileSync(site.path("go"), "");
      }
      await until("the filler's end", async () => (await queued("filler")) === "");
    });

    // The first process of a container that crun has made and not started is spared by SIGINT.
    test("-it: Ctrl-C withdraws a job that waits; a window's change does not, and the program has its terminal as ever", async () => {
      await site.sbatch("#!/bin/sh\nwhile [ ! -e go2 ]; do sleep 0.05; done\n", "--exclusive", "-J", "filler");
      try {
        await until("the machine to be full", async () => (await queued("filler")) === "RUNNING");
        const options = ["run", "--rm", "-it", "-e", "SCRUN_START_WAIT=0"];
        const patient = site.startPodmanOnTerminal([...options, "--name", "patient", IMAGE, "sh", "-c", "tty; exit 7"]);
        const command = site.startPodmanAndInterrupt([...options, "--name", "typed-at", IMAGE, "true"]);
        for (const name of ["patient", "typed-at"])
          await until(`${name} to run, for podman`, async () => (await state(name)) === "running");
        await resizeTerminal(patient, 33, 101);
        writeFileSync(site.path("type"), "");
        await until("its job to go", async () => (await queued("typed-at")) === "");
        writeFileSync(site.path("typed"), "");
        expect((await within(command)).status).toBe(130);
        expect(await queued("patient")).toBe("PENDING");
        writeFileSync(site.path("go2"), "");
        expect(await within(patient)).toMatchObject({ status: 7, stdout: expect.stringContaining("/dev/pts/0") });
      } finally {
        writeFileSync(site.path("go2"), "");
      }
      await until("the filler's end", async () => (await queued("filler")) === "");
    });

    test("scancel ends a container that is paused", async () => {
      const options = [`--cgroup-parent=${site.cgroup}`, "--name", "halted"];
      expect(await site.podman(["run", "-d", ...options, IMAGE, "sh", "-c", FOR_EVER])).toMatchObject({ status: 0 });
      expect(await site.podman(["pause", "halted"])).toMatchObject({ status: 0 });
      await site.run(["scancel", "--name", "halted"]);
      await until("podman to see it", async () => (await state("halted")) === "exited");
    });

    test("a container whose anchor was killed while it was paused can be removed", async () => {
      const options = [`--cgroup-parent=${site.cgroup}`, "--name", "lost"];
      expect(await site.podman(["run", "-d", ...options, IMAGE, "sh", "-c", FOR_EVER])).toMatchObject({ status: 0 });
      expect(await site.podman(["pause", "lost"])).toMatchObject({ status: 0 });
      const anchor = processesOf(site.dir).find(({ command }) => isAnchor(command));
      expect(anchor !== undefined && kill(anchor.pid)).toBe(true);
      await until("its job to go", async () => (await queued("lost")) === "");
      expect((await site.podman(["rm", "-f", "-t", "0", "lost"])).status).toBe(0);
      await site.nothingLeft();
    });

    test("--cpus and --memory are the job's; more than there is, is podman's error", async () => {
      const inside = "echo $SLURM_JOB_CPUS_PER_NODE $SLURM_MEM_PER_NODE";
      const limits = ["--cpus=1.5", "--memory=64m", "--pids-limit=50"];
      const granted = await site.podman(["run", "--rm", ...limits, IMAGE, "sh", "-c", inside]);
      expect(granted).toMatchObject({ status: 0, stdout: "2 64\n" });
      // Asked for by annotation they would hold where the cgroup has controllers; here nothing fails for want of them.
      const wishes = ["cpus=2", "memory=64M"].flatMap((wish) => ["--annotation", `slurm.${wish}`]);
      const noted = await site.podman(["run", "--rm", `--cgroup-parent=${site.cgroup}`, ...wishes, IMAGE, "sh", "-c", inside]);
      expect(noted).toMatchObject({ status: 0, stdout: "2 64\n", stderr: "" });
      const refused = await site.podman(["run", "--rm", "--memory=900g", IMAGE, "true"]);
      expect(refused).toMatchObject({ status: 126, stderr: expect.stringMatching(/emory|configuration is not available/) });
    });

    test("--device of a GPU is a GPU of the job; one more than there is, is podman's error", async () => {
      const two = ["--device", "nvidia.com/gpu=0", "--device", "nvidia.com/gpu=1"];
      const granted = await site.podman(["run", "--rm", "--name", "gpus", ...two, IMAGE, "sh", "-c", "echo $SLURM_STEP_GPUS"]);
      expect(granted).toMatchObject({ status: 0, stdout: "0,1\n" });
      const { stdout } = await site.run(["sacct", "-X", "-n", "-P", "--name", "gpus", "-o", "alloctres%80"]);
      expect(stdout).toContain("gres/gpu=2");
      // The last one only: the job has the first, and so has the container.
      const other = await site.podman(["run", "--rm", "--device", "nvidia.com/gpu=1", IMAGE, "sh", "-c", "echo $GPU"]);
      expect(other).toMatchObject({ status: 0, stdout: "0\n" });
      const refused = await site.podman(["run", "--rm", ...two, "--device", "nvidia.com/gpu=2", IMAGE, "true"]);
      expect(refused.status).toBe(126);
      expect(refused.stderr).toContain("the container's devices nvidia.com/gpu=0, nvidia.com/gpu=1, nvidia.com/gpu=2");
    });

    test("kube play: a pod's containers are jobs with its limits and annotations", async () => {
      const container = {
        name: "c",
        image: `localhost/${IMAGE}`,
        command: ["/bin/sh", "-c", "echo step $SLURM_STEP_ID; exit 3"],
        resources: { limits: { cpu: "2", memory: "64Mi" } },
      };
      const pod = {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "kube", annotations: { "slurm.time": "8" } },
        spec: { restartPolicy: "Never", hostNetwork: true, containers: [container] },
      };
      const file = site.path("kube.yaml");
      writeFileSync(file, JSON.stringify(pod)); // JSON is YAML
      expect(await site.podman(["kube", "play", file])).toMatchObject({ status: 0 });
      expect((await site.podman(["wait", "kube-c"])).stdout).toBe("3\n");
      expect((await site.podman(["logs", "kube-c"])).stdout).toBe("step 0\n");
      const columns = "state,exitcode,alloccpus,reqmem,timelimit";
      const { stdout } = await site.run(["sacct", "-X", "-n", "-P", "--name", "kube-c", "-o", columns]);
      expect(stdout).toBe("FAILED|3:0|2|64M|00:08:00\n");
      expect(await site.podman(["kube", "down", file])).toMatchObject({ status: 0 });
    });

    test.skipIf(!havePeers("docker-compose"))("docker-compose at podman's service: deploy limits are the job's", async () => {
      const socket = `${site.dir}/run/p.sock`;
      const service = site.startPodman(["system", "service", "-t", "0", `unix://${socket}`]);
      try {
        await until("podman's service", () => existsSync(socket));
        const one = { image: `localhost/${IMAGE}`, network_mode: "host", command: ["sh", "-c", FOR_EVER] };
        const deploy = { resources: { limits: { cpus: "2.5", memory: "96m" } } };
        const two = { ...one, environment: { SCRUN_TIMELIMIT: "9" }, depends_on: ["one"], deploy };
        const file = site.path("compose.yaml");
        writeFileSync(file, JSON.stringify({ version: "3.8", services: { one, two } }));
        const compose = (...args: readonly string[]) =>
          site.run(["/usr/bin/docker-compose", "--compatibility", "-p", "site", "-f", file, ...args], {
            env: { DOCKER_HOST: `unix://${socket}` },
            timeoutMs: 60_000,
          });
        expect(await compose("up", "-d")).toMatchObject({ status: 0 });
        const jobs = await site.run(["squeue", "-h", "-S", "j", "-o", "%j %T %l %C %m"]);
        expect(jobs.stdout).toBe("site_one_1 RUNNING UNLIMITED 1 0\nsite_two_1 RUNNING 9:00 3 96M\n");
        expect(await compose("exec", "-T", "one", "sh", "-c", "echo $SLURM_STEP_ID; exit 7")).toMatchObject({ status: 7, stdout: "0\n" });
        expect(await compose("down", "-t", "5")).toMatchObject({ status: 0 });
        expect((await site.run(["squeue", "-h"])).stdout).toBe("");
      } finally {
        service.kill("SIGTERM");
        await within(service, 20_000);
      }
    });
  },
);
