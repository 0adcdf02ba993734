// Limits of rootless podman's containers, which take cgroup controllers that are delegated to the user (cgroup v2): they hold, are the job's, and what is
// killed for want of memory is OUT_OF_MEMORY. In a kernel of its own, because hosts that have them in version 1 cannot give them to a user.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { berthPath, isRoot } from "../e2e/site.ts";
import { havePeers } from "../peers.ts";
import { makeImage } from "./image.ts";
import { canRunOwnKernel, DELEGATED, readIn, runInOwnKernel } from "./own-kernel.ts";

/** Each is a file of what it has printed, and one of its status. */
const STORY = `
try() { local name=$1; shift; "$@" > $SHARED/$name.out 2> $SHARED/$name.err; echo $? > $SHARED/$name.code; }
in_cgroup() { for file in "$@"; do cat /sys/fs/cgroup${DELEGATED}/libpod-*/$file; done; }
podman() { /usr/bin/podman --runtime $SHARED/bin/scrun "$@"; }
run() { podman run --cgroup-parent=${DELEGATED} "$@"; }
export HOME=/tmp/home XDG_RUNTIME_DIR=/tmp/run XDG_CONFIG_HOME=$SHARED/config XDG_STATE_HOME=/tmp/state CONTAINERS_CONF=$SHARED/containers.conf
export PATH=$SHARED/bin:$PATH LANG=C.UTF-8
mkdir -m 700 /tmp/home /tmp/run /tmp/state
cd /tmp
berth daemon start && podman import -q $SHARED/image.tar localhost/test || exit 1

try limited run -d --name limited --memory=64m --cpus=0.5 --pids-limit=20 localhost/test sleep 1000
try limited-in in_cgroup memory.max cpu.max pids.max
try fork podman exec limited sh -c 'for i in $(seq 30); do sleep 5 & done; echo all'
try stats podman stats --no-stream --format '{{.MemUsage}}' limited
try update podman update --memory=48m limited
try updated-in in_cgroup memory.max
podman rm -f -t 0 limited

try wishes run -d --name wishes --annotation slurm.memory=64M --annotation slurm.cpus=1 localhost/test sleep 1000
try wishes-in in_cgroup memory.max cpu.max
podman rm -f -t 0 wishes
try hungry run --rm --name hungry --memory=32m localhost/test tail /dev/zero
try greedy run --rm --name greedy --annotation slurm.memory=32M localhost/test tail /dev/zero
try jobs sacct -X -nP -o jobname,state,exitcode,reqmem
berth daemon stop
`;

describe.skipIf(isRoot || !canRunOwnKernel || !havePeers("podman", "conmon", "newuidmap", "crun", "busybox"))(
  "limits of rootless podman's containers",
  () => {
    let dir: string;
    beforeAll(async () => {
      dir = mkdtempSync(join(tmpdir(), "berth-own-"));
      mkdirSync(join(dir, "bin"));
      copyFileSync(berthPath(), join(dir, "bin/berth")); // the checkout may be where it has a directory of its own
      for (const name of ["scrun", "sacct"]) symlinkSync("berth", join(dir, "bin", name));
      mkdirSync(join(dir, "config/containers"), { recursive: true });
      writeFileSync(
        join(dir, "containers.conf"),
        '[containers]\nnetns = "host"\nlog_driver = "k8s-file"\n[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime_supports_json = ["scrun"]\n',
      );
      writeFileSync(
        join(dir, "config/containers/storage.conf"),
        '[storage]\ndriver = "vfs"\nrunroot = "/tmp/run/pr"\ngraphroot = "/tmp/pg"\n',
      );
      writeFileSync(join(dir, "config/containers/policy.json"), '{"default": [{"type": "insecureAcceptAnything"}]}');
      makeImage(dir);
      await runInOwnKernel(dir, STORY);
    }, 300_000);
    afterAll(() => dir && rmSync(dir, { recursive: true, force: true }));

    const told = (name: string) => ({ status: Number(readIn(dir, `${name}.code`)), stdout: readIn(dir, `${name}.out`) });

    test("--memory, --cpus and --pids-limit hold; stats and update", () => {
      expect(told("limited").status).toBe(0);
      expect(told("limited-in").stdout).toBe("67108864\n50000 100000\n20\n");
      expect(told("fork")).toMatchObject({ stdout: "", status: 2 });
      expect(readIn(dir, "fork.err")).toContain("can't fork");
      expect(told("stats").stdout).toMatch(/B \/ 67\.11MB\n$/);
      expect(told("update").status).toBe(0);
      expect(told("updated-in").stdout).toBe("50331648\n");
    });

    test("what only an annotation asked for holds too", () => {
      expect(told("wishes").status).toBe(0);
      expect(told("wishes-in").stdout).toBe("67108864\n100000 100000\n");
    });

    test("out of memory: status 137, and the job says why", () => {
      expect([told("hungry").status, told("greedy").status]).toEqual([137, 137]);
      const jobs = told("jobs").stdout.trim().split("\n");
      expect(jobs).toContain("hungry|OUT_OF_MEMORY|0:125|32M");
      expect(jobs).toContain("greedy|OUT_OF_MEMORY|0:125|32M");
    });
  },
);
