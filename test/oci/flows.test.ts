// Both flows of oci.conf with the real runtimes, through srun, sbatch and salloc.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makePreset, type Flow, type PresetName } from "#container/presets.ts";
import { havePeers } from "../peers.ts";
import { cgroup2Wrap, Site, until } from "./site.ts";

setDefaultTimeout(60_000);
const NASTY = ["a b", "it's", '"q"', "", "$HOME", "`id`", "$(id)", ";touch x", "*", "new\nline", "ü€😀", "--", "-n", "\\", "%j", "#"];

for (const [runtime, flow] of [
  ["runc", "run"],
  ["runc", "create-start"],
  ["crun", "run"],
  ["crun", "create-start"],
] as readonly [PresetName, Flow][]) {
  const wrap = runtime === "crun" ? cgroup2Wrap() : [];
  describe.skipIf(!havePeers(runtime, "busybox") || wrap === undefined)(`${runtime}, ${flow}, as uid ${process.geteuid?.()}`, () => {
    let site: Site;
    beforeAll(() => {
      site = new Site({ wrap: wrap ?? [] });
      // crun wants to load a device filter into the kernel for root, which a virtual machine may not allow.
      if (runtime === "crun")
        site.place.makeBundle((config) => {
          delete config["linux"].resources;
        });
      site.conf(makePreset(runtime, flow, { runtimeRoot: site.runtimeRoot, scriptDir: "/none", exists: () => false }).conf);
    });
    afterAll(async () => await site[Symbol.asyncDispose]());
    const left = () => readdirSync(site.runtimeRoot);

    test("exit status, streams and environment are the program's", async () => {
      const result = await site.run(
        ["srun", "--container", site.bundle, "sh", "-c", 'cat; echo "$IMAGE $SLURM_PROCID $JOBVAR" >&2; exit 7'],
        { input: "in\n", env: { JOBVAR: "x" } },
      );
      expect(result).toEqual({
        code: 7,
        stdout: "in\n",
        stderr: expect.stringMatching(/^yes 0 x\nsrun: error: \S+: task 0: Exited with exit code 7\n$/),
      });
      expect(left()).toEqual([]);
    });
    test("every argument arrives as it is", async () => {
      const result = await site.run(["srun", "--container", site.bundle, "sh", "-c", 'for a; do printf "%s|" "$a"; done', "sh", ...NASTY]);
      expect(result).toMatchObject({ code: 0, stdout: NASTY.map((arg) => `${arg}|`).join("") });
    });
    test("each task has a container of its own, and the worst exit status counts", async () => {
      const result = await site.run([
        "srun",
        "-n3",
        "-O",
        "-l",
        "--container",
        site.bundle,
        "sh",
        "-c",
        "echo $SLURM_LOCALID; exit $SLURM_PROCID",
      ]);
      expect(result.stdout.split("\n").sort()).toEqual(["", "0: 0", "1: 1", "2: 2"]);
      expect(result.code).toBe(2);
      expect(left()).toEqual([]);
    });
    test("a program that is not there is the runtime's to report", async () => {
      const result = await site.run(["srun", "--container", site.bundle, "nosuch"]);
      expect(result.code).not.toBe(0);
      expect(result.stderr).toContain("nosuch");
      expect(left()).toEqual([]);
    });
    test("an exit status above 128 is kept", async () => {
      const result = await site.run(["srun", "--container", site.bundle, "sh", "-c", "exit 131"]);
      expect(result.code).toBe(131);
    });
    test("a batch script with steps, in and out of the container", async () => {
      writeFileSync(join(site.dir, "job.sh"), '#!/bin/sh\necho "batch $0 $1 $IMAGE"\nexit 5\n');
      const job = await site.run([
        "sbatch",
        "--wait",
        "--parsable",
        "-o",
        join(site.dir, "out-%j"),
        "--container",
        site.bundle,
        join(site.dir, "job.sh"),
        "arg",
      ]);
      expect(job.code).toBe(5);
      const id = job.stdout.trim();
      expect(await Bun.file(join(site.dir, `out-${id}`)).text()).toBe("batch /tmp/slurm/startup arg yes\n");
      expect((await site.run(["sacct", "-nXP", "-j", id, "-o", "state,exitcode,container"])).stdout).toBe(`FAILED|5:0|${site.bundle}\n`);
    });
    test("steps of an allocation", async () => {
      const script =
        `echo "[$IMAGE]"; ${process.execPath} ${join(import.meta.dir, "../../src/main.ts")} ` +
        `srun --container ${site.bundle} sh -c 'echo step $SLURM_STEP_ID $IMAGE'`;
      const result = await site.run(["salloc", "-Q", "sh", "-c", `${script}; ${script}`]);
      expect(result).toMatchObject({ code: 0, stdout: "[]\nstep 0 yes\n[]\nstep 1 yes\n" });
    });
    test("what a program leaves running ends with the step", async () => {
      const result = await site.run(["srun", "--container", site.bundle, "sh", "-c", "sleep 600 & exit 3"]);
      expect(result.code).toBe(3);
      expect(left()).toEqual([]);
    });
    const cancelled = async (program: string, ...options: readonly string[]) => {
      const child = site.start(["srun", "--container", site.bundle, "sh", "-c", program]);
      const reader = child.stdout.getReader();
      await reader.read();
      const job = (await site.run(["squeue", "-h", "-o", "%A"])).stdout.trim();
      expect((await site.run(["scancel", ...options, job])).code).toBe(0);
      const { value } = await reader.read();
      await child.exited;
      await until("the container to go", () => left().length === 0);
      await until("the spool to go", () => site.spools().length === 0);
      return value === undefined ? "" : Buffer.from(value).toString();
    };
    test("a cancelled step may end by itself", async () => {
      // The signal may come twice, as under Slurm: to every process of the step, and passed on by the runtime.
      expect(await cancelled("trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.1; done")).toStartWith("bye\n");
    });
    test("a cancelled step that will not end is killed, and leaves nothing behind", async () => {
      expect(await cancelled("trap '' TERM; echo up; while :; do sleep 0.1; done")).toBe("");
    });
    test.skipIf(!havePeers("script"))("a terminal, with job control", async () => {
      const child = Bun.spawn(
        [
          ...(wrap ?? []),
          "script",
          "-qec",
          `${process.execPath} ${join(import.meta.dir, "../../src/main.ts")} srun --pty --container ${site.bundle} sh`,
          "/dev/null",
        ],
        { cwd: site.dir, env: site.env, stdin: "pipe", stdout: "pipe", stderr: "pipe" },
      );
      const reader = child.stdout.getReader();
      let seen = "";
      const type = async (keys: string, answer: string) => {
        child.stdin.write(keys);
        child.stdin.flush();
        while (!seen.includes(answer)) {
          const { value, done } = await reader.read();
          if (done) throw new Error(`${answer} never came: ${seen}`);
          seen += Buffer.from(value).toString();
        }
      };
      await type("", "# ");
      await type("[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo is$((1+1))tty\n", "is2tty");
      await type("sh -c 'echo up$((1+1)); sleep 60'\n", "up2");
      await type("\u0003", "^C");
      await type("echo after$((1+1)) $?\n", "after2 130");
      child.stdin.write("exit 4\n");
      child.stdin.flush();
      expect(await child.exited).toBe(4);
      expect(left()).toEqual([]);
    });
    test("a step daemon that is killed is taken over, and the exit status is the container's", async () => {
      const child = site.start([
        "srun",
        "--container",
        site.bundle,
        "sh",
        "-c",
        "echo up; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo down; exit 9",
      ]);
      const reader = child.stdout.getReader();
      await reader.read();
      // In the create and start flow the container's own process is known only after RunTimeStart was journalled.
      const wanted = flow === "run" ? "started" : "created";
      const inside = await until("the journal", () => pidIn(site, wanted)[0]);
      process.kill(pidIn(site, "daemon")[0] as number, "SIGKILL");
      await until("another daemon", () => pidIn(site, "daemon").length === 2);
      expect(existsSync(`/proc/${inside}`)).toBe(true);
      for (const pid of flow === "run" ? childrenOf(inside) : [inside]) {
        try {
          writeFileSync(`/proc/${pid}/root/tmp/go`, "");
        } catch {
          /* the runtime itself: it has the host's /tmp */
        }
      }
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        text += Buffer.from(value).toString();
      }
      expect(text).toBe("down\n");
      expect(await child.exited).toBe(9);
      expect(left()).toEqual([]);
    });
  });
}

function pidIn(site: Site, kind: "created" | "daemon" | "started"): number[] {
  return site
    .journal()
    .flatMap((entry) => (entry.kind === kind && "process" in entry && entry.process !== null ? [entry.process.pid] : []));
}

function childrenOf(pid: number): number[] {
  const found: number[] = [];
  for (const queue = [pid]; queue.length > 0; ) {
    const next = queue.pop() as number;
    for (const text of readdirSync(`/proc/${next}/task`).flatMap((thread) => childrenText(`/proc/${next}/task/${thread}/children`))) {
      found.push(Number(text));
      queue.push(Number(text));
    }
  }
  return found;
}

function childrenText(path: string): string[] {
  return readFileSync(path, "utf8")
    .trim()
    .split(" ")
    .filter((word: string) => word !== "");
}
