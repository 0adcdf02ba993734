// Directories that cannot be written, a full disk, and other users: a clear error, nothing half-written, nothing told.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { connectFrames, listenFrames } from "#platform/frames.ts";
import { launcherFor } from "#scrun/launcher/launcher.ts";
import { accounted, canRunContainers, isRoot, processesOf, Site, until } from "../e2e/site.ts";

const LONG_MS = 60_000;
const NOBODY = 65534;

let site: Site;
beforeEach(() => {
  site = new Site();
});
afterEach(() => site[Symbol.asyncDispose](), LONG_MS);

function must(...argv: readonly string[]): void {
  const { success, stderr } = Bun.spawnSync([...argv]);
  if (!success) throw new Error(`${argv.join(" ")}: ${stderr.toString()}`);
}

function unmountLater(dir: string): void {
  site.ownMounts.push(dir);
  site.defer(() => must("umount", "-l", dir));
}

/** Root writes everywhere but on a file system that is mounted read-only. */
function makeReadOnly(dir: string): void {
  if (isRoot) {
    must("mount", "--bind", dir, dir);
    unmountLater(dir);
    must("mount", "-o", "remount,ro,bind", dir);
  } else {
    chmodSync(dir, 0o500);
    site.defer(() => chmodSync(dir, 0o700));
  }
}

/** Mounting needs root and the right to; without it there is nothing to try. */
const canMount =
  isRoot && Bun.spawnSync(["sh", "-c", "d=$(mktemp -d) && mount -t tmpfs none $d && umount $d; s=$?; rmdir $d; exit $s"]).success;
if (!canMount) console.error("skipping tests that need to mount: this is not root, or it may not");

/** A command's failure as users see it: no stack, no "bug", the place named. */
function expectClear(outcome: { readonly status: number; readonly stdout: string; readonly stderr: string }, place: string): void {
  expect(outcome.stdout).toBe("");
  expect(outcome.status).toBe(1);
  expect(outcome.stderr).toMatch(/^(sbatch: error|srun: error|slurm_load_jobs error): /);
  expect(outcome.stderr).toContain(place);
  expect(outcome.stderr).not.toMatch(/bug in Berth|\n +at |undefined/);
}

describe("one controller for the jobs of a state directory", () => {
  /** A batch job and an srun that are in the middle of their work. */
  const startWork = async () => {
    const script = "#!/bin/sh\necho up; while [ ! -e go ]; do sleep 0.05; done; exit 4\n";
    const id = await site.sbatch(script);
    const step = site.start(["srun", "sh", "-c", "echo up; while [ ! -e go ]; do sleep 0.05; done; echo over; exit 5"]);
    await site.written(`slurm-${id}.out`, "up");
    await until("srun's step", () => step.stdoutSoFar.includes("up"));
    return { id, step };
  };
  const finishWork = async ({ id, step }: Awaited<ReturnType<typeof startWork>>) => {
    writeFileSync(site.path("go"), "");
    const { status, stdout } = await step.outcome;
    expect({ status, stdout }).toEqual({ status: 5, stdout: "up\nover\n" });
    await until("the job's record", async () => {
      const { stdout } = await site.run(["sacct", "-nXP", "-j", String(id), "-o", "State,ExitCode"]);
      return stdout === "FAILED|4:0\n";
    });
  };
  const otherPlace = () => {
    const other = join(site.dir, "other");
    mkdirSync(other, { mode: 0o700 });
    return { XDG_RUNTIME_DIR: other };
  };

  test(
    "commands with another runtime directory find it, and start no other",
    async () => {
      const id = await site.sbatch("#!/bin/sh\n", "-H");
      const env = otherPlace();
      expect(await site.run(["squeue", "-h", "-o", "%A %t"], { env })).toEqual({ status: 0, stdout: `${id} PD\n`, stderr: "" });
      expect((await site.run(["srun", "sh", "-c", "exit 3"], { env })).status).toBe(3);
      expect((await site.run(["berth", "daemon", "stop"], { env })).stdout).toBe("The controller has stopped\n");
      expect(processesOf(site.dir).filter(({ command }) => command.startsWith("berthd"))).toEqual([]);
    },
    LONG_MS,
  );

  test(
    "a controller that was stopped is followed by one elsewhere, and running jobs go on",
    async () => {
      const work = await startWork();
      await site.run(["berth", "daemon", "stop"]);
      const { stdout } = await site.run(["squeue", "-h", "-o", "%A %t"], { env: otherPlace() });
      expect(stdout).toContain(`${work.id} R\n`);
      await finishWork(work);
    },
    LONG_MS,
  );

  // What systemd-logind does after a user's last session, while what was started in it goes on.
  test.each([
    ["and made again", true],
    ["for good", false],
  ])(
    "the runtime directory is taken away %s: the next command finds all jobs",
    async (_name, isBack) => {
      const work = await startWork();
      const before = (await site.status())?.pid;
      rmSync(join(site.dir, "run"), { recursive: true });
      if (isBack) mkdirSync(join(site.dir, "run"), { mode: 0o700 });
      const env = isBack ? {} : otherPlace();
      const { stdout, stderr } = await site.run(["squeue", "-h", "-o", "%A %t"], { env });
      expect(stderr).toBe("");
      expect(stdout).toContain(`${work.id} R\n`);
      const extra = await site.run(["sbatch", "--parsable", "--wrap", "sleep 1000"], { env });
      await until(
        "the daemon of the old step",
        async () => (await site.run(["scancel", "-s", "CONT", String(work.id)], { env })).status === 0,
      );
      await site.run(["scancel", extra.stdout.trim()], { env });
      await finishWork(work);
      await until("the old controller to be gone", () => !processesOf(site.dir).some(({ pid }) => pid === before));
    },
    LONG_MS,
  );

  test(
    "state and runtime directory are deleted: what runs is served to its end, then the controller goes, and its successor stays",
    async () => {
      const step = site.start(["srun", "sh", "-c", "echo up; while [ ! -e go ]; do sleep 0.05; done; exit 5"]);
      await until("srun's step", () => step.stdoutSoFar.includes("up"));
      await site.sbatch("#!/bin/sh\n", "-H");
      const before = (await site.status())?.pid;
      for (const name of ["run", "state"]) {
        rmSync(join(site.dir, name), { recursive: true });
        mkdirSync(join(site.dir, name), { mode: 0o700 });
      }
      expect(await site.run(["squeue", "-h"])).toEqual({ status: 0, stdout: "", stderr: "" });
      const successor = (await site.status())?.pid;
      expect(successor).not.toBe(before);
      writeFileSync(site.path("go"), "");
      expect((await step.outcome).status).toBe(5);
      const controllers = () => processesOf(site.dir).flatMap(({ pid, command }) => (command.startsWith("berthd ") ? [pid] : []));
      await until("the old controller to be gone", () => !controllers().includes(before ?? 0));
      expect((await site.status())?.pid).toBe(successor);
    },
    LONG_MS,
  );

  test(
    "podman lets others pass through the runtime directory: the controller stays the same",
    async () => {
      await site.run(["squeue", "-h"]);
      const pid = (await site.status())?.pid;
      chmodSync(join(site.dir, "run"), 0o711);
      expect(pid).toBeGreaterThan(0);
      expect((await site.status())?.pid).toBe(pid);
    },
    LONG_MS,
  );
});

describe.skipIf(isRoot && !canMount)("directories that cannot be written", () => {
  test(
    "a read-only state directory: every command says which, and nothing appears",
    async () => {
      const dir = join(site.dir, "state");
      makeReadOnly(dir);
      expectClear(await site.run(["sbatch"], { stdin: "#!/bin/sh\n" }), dir);
      expectClear(await site.run(["srun", "true"]), dir);
      expect(readdirSync(dir)).toEqual([]);
    },
    LONG_MS,
  );

  test(
    "a read-only runtime directory: likewise",
    async () => {
      const dir = join(site.dir, "run");
      makeReadOnly(dir);
      expectClear(await site.run(["squeue"]), dir);
      expect(readdirSync(dir)).toEqual([]);
    },
    LONG_MS,
  );

  test(
    "a read-only spool: the job fails, the next ones run once it is back",
    async () => {
      await site.run(["squeue", "-h"]);
      const dir = join(site.stateDir, "spool");
      makeReadOnly(dir);
      const id = await site.sbatch("#!/bin/sh\n");
      await using engine = await site.engine();
      const [job] = await engine.waitForEnd(id, { signal: AbortSignal.timeout(10_000) });
      expect(job).toMatchObject({ state: "FAILED", reason: "JobLaunchFailure", exit: { code: 0, signal: 53 } });
      site.undo();
      const next = await site.sbatch("#!/bin/sh\n");
      expect((await engine.waitForEnd(next, { signal: AbortSignal.timeout(10_000) }))[0]).toMatchObject({ state: "COMPLETED" });
      expect(await site.leftovers()).toEqual([]);
    },
    LONG_MS,
  );

  test(
    "an output file that cannot be made: 0:53",
    async () => {
      const dir = site.path("out");
      mkdirSync(dir);
      makeReadOnly(dir);
      const id = await site.sbatch("#!/bin/sh\necho lost\n", "-o", "out/file");
      await using engine = await site.engine();
      expect((await engine.waitForEnd(id, { signal: AbortSignal.timeout(10_000) }))[0]).toMatchObject({
        state: "FAILED",
        exit: { code: 0, signal: 53 },
      });
      expect(await site.leftovers()).toEqual([]);
    },
    LONG_MS,
  );
});

describe("configuration", () => {
  test(
    "a broken berth.conf is named with its line, and repaired it works at once",
    async () => {
      const file = join(site.dir, "config/berth/berth.conf");
      writeFileSync(file, "NodeName=n1 CPUs=lots\n");
      expectClear(await site.run(["squeue"]), `${file}:1: `);
      writeFileSync(file, "NodeName=n1 CPUs=2\n");
      expect((await site.run(["squeue", "-h"])).status).toBe(0);
    },
    LONG_MS,
  );
  test(
    "a database that is none: said, and left alone",
    async () => {
      mkdirSync(site.stateDir, { recursive: true, mode: 0o700 });
      chmodSync(dirname(site.stateDir), 0o700);
      writeFileSync(join(site.stateDir, "berth.db"), "this is not a database\n".repeat(100), { mode: 0o600 });
      const outcome = await site.run(["squeue"]);
      expectClear(outcome, "berth");
      expect(outcome.stderr).toContain("move it away");
      expect(await Bun.file(join(site.stateDir, "berth.db")).text()).toStartWith("this is not a database");
    },
    LONG_MS,
  );
});

describe("a state directory that is tidied up while the controller runs", () => {
  test(
    "nothing is accepted that would be lost, and a restart begins anew",
    async () => {
      await site.sbatch("#!/bin/sh\n", "-H");
      rmSync(site.stateDir, { recursive: true });
      expectClear(await site.run(["sbatch"], { stdin: "#!/bin/sh\n" }), site.stateDir);
      const refused = await site.run(["srun", "true"]);
      expectClear(refused, site.stateDir);
      expect(refused.stderr).toContain("berth daemon restart");
      expect((await site.run(["berth", "daemon", "restart"])).status).toBe(0);
      expect((await site.run(["srun", "echo", "back"])).stdout).toBe("back\n");
    },
    LONG_MS,
  );
});

describe.skipIf(!canMount)("a full disk", () => {
  const fill = join("filler");
  beforeEach(() => {
    const dir = join(site.dir, "state");
    must("mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "none", dir);
    unmountLater(dir);
  });
  const fillUp = () => {
    Bun.spawnSync(["dd", "if=/dev/zero", `of=${join(site.dir, "state", fill)}`, "bs=4096"], { stderr: "ignore" });
  };
  const makeRoom = () => rmSync(join(site.dir, "state", fill), { force: true });

  test(
    "a submission is refused, what was accepted stays, and with room all goes on",
    async () => {
      const before = await site.sbatch("#!/bin/sh\n", "-H");
      fillUp();
      const script = `#!/bin/sh\n# ${"x".repeat(200_000)}\n`;
      const refused = await site.run(["sbatch"], { stdin: script });
      expectClear(refused, "");
      expect(refused.stderr).toMatch(/full|space|disk/i);
      makeRoom();
      const after = await site.sbatch("#!/bin/sh\nexit 3\n");
      expect(after).toBeGreaterThan(before);
      await site.run(["scancel", String(before)]);
      await using engine = await site.engine();
      await engine.waitForEnd(after, { signal: AbortSignal.timeout(10_000) });
      expect([...(await accounted(engine)).values()].map((job) => `${job.jobId} ${job.state} ${job.exit.code}`)).toEqual([
        `${before} CANCELLED 0`,
        `${after} FAILED 3`,
      ]);
    },
    LONG_MS,
  );

  test(
    "a job that ends while the disk is full is accounted when there is room again",
    async () => {
      const id = await site.sbatch("#!/bin/sh\necho up; while [ ! -e go ]; do sleep 0.02; done; echo over; exit 6\n");
      await site.written(`slurm-${id}.out`, "up");
      fillUp();
      writeFileSync(site.path("go"), "");
      await site.written(`slurm-${id}.out`, "over");
      await Bun.sleep(500); // the result meets the full disk
      makeRoom();
      await until(
        "the job to be accounted",
        async () => {
          const { stdout } = await site.run(["sacct", "-nXP", "-j", String(id), "-o", "State,ExitCode"]);
          return stdout === "FAILED|6:0\n";
        },
        40_000,
      );
      expect(await site.leftovers()).toEqual([]);
    },
    LONG_MS,
  );
});

describe("other users", () => {
  test(
    "directories are the user's alone, and one that is not is refused",
    async () => {
      await site.run(["squeue", "-h"]);
      for (const dir of [site.stateDir, join(site.stateDir, "spool"), site.runtimeDir, join(site.runtimeDir, "steps")])
        expect(`${dir} ${(lstatSync(dir).mode & 0o777).toString(8)}`).toBe(`${dir} 700`);
      await site.run(["berth", "daemon", "stop"]);
      await until("it to be gone", () => processesOf(site.dir).length === 0);
      chmodSync(site.runtimeDir, 0o755);
      const outcome = await site.run(["squeue"]);
      expectClear(outcome, site.runtimeDir);
    },
    LONG_MS,
  );

  test.skipIf(!isRoot)(
    "somebody else who reaches the socket gets no answer, and cannot pass where he should not",
    async () => {
      await site.sbatch("#!/bin/sh\nsleep 1000\n");
      const asNobody = (...argv: readonly string[]) =>
        Bun.spawnSync(["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", ...argv]);
      for (const path of [site.socket, join(site.stateDir, "berth.db"), join(site.stateDir, "berthd.log")])
        expect(asNobody("cat", path).success).toBe(false);
      // Even if the directories were open, the peer's user id is looked at.
      for (const dir of [join(site.dir, "run"), site.runtimeDir]) chmodSync(dir, 0o755);
      chmodSync(site.socket, 0o777);
      const ask = `const s = require("node:net").connect(process.argv[2]);
      const body = Buffer.from(JSON.stringify({ id: 1, version: "x", op: "info", args: {} }));
      const head = Buffer.alloc(5);
      head.writeUInt32LE(body.length, 0);
      s.on("connect", () => s.write(Buffer.concat([head, body])));
      s.on("data", () => { console.log("answered"); process.exit(0); });
      s.on("error", () => { console.log("refused"); process.exit(0); });
      s.on("close", () => { console.log("closed"); process.exit(0); });
      setTimeout(() => { console.log("silence"); process.exit(0); }, 5000);`;
      const script = join(site.dir, "ask.cjs");
      writeFileSync(script, ask);
      const node = Bun.which("node");
      if (node === null) return; // nobody to speak with; the modes above are the first lock
      expect(Bun.spawnSync([node, script, site.socket]).stdout.toString()).toBe("answered\n"); // the script can speak
      expect(asNobody(node, script, site.socket).stdout.toString()).toMatch(/^(closed|refused)\n$/);
    },
    LONG_MS,
  );

  test("both ends of a connection know whose the other is", async () => {
    const path = join(site.dir, "own.sock");
    const seen: number[] = [];
    const server = listenFrames(path, (connection) => {
      seen.push(connection.peer.uid);
      connection.end();
    });
    const connection = await connectFrames(path);
    const { promise, resolve } = Promise.withResolvers<void>();
    connection.handle({ frame: () => undefined, closed: resolve });
    await promise;
    expect([connection.peer.uid, ...seen]).toEqual([process.getuid?.() ?? -1, process.getuid?.() ?? -1]);
    server.stop();
  });
});

describe.skipIf(!canMount || !canRunContainers)("a full runtime directory", () => {
  test(
    "makes no container and says why; those that are there can be deleted",
    async () => {
      const dir = join(site.dir, "run");
      must("mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "none", dir);
      unmountLater(dir);
      writeFileSync(join(site.dir, "bin/scrun"), launcherFor(join(site.dir, "bin/berth")), { mode: 0o755 });
      const config = JSON.parse(readFileSync(join(site.bundle, "config.json"), "utf8"));
      Object.assign(config.process, { terminal: false, args: ["/bin/sleep", "1000"] });
      writeFileSync(join(site.bundle, "config.json"), JSON.stringify(config));
      await site.run(["berth", "daemon", "start"]);
      const scrun = (...words: string[]) => {
        const said = join(site.dir, "said");
        const argv = ["/bin/sh", "-c", 'out=$1; shift; exec "$@" >/dev/null 2>"$out"', "sh", said, join(site.dir, "bin/scrun"), ...words];
        const ran = Bun.spawnSync(argv, { env: site.env, cwd: site.bundle, stdio: ["ignore", "ignore", "ignore"], timeout: 30_000 });
        return { status: ran.exitCode, text: readFileSync(said, "utf8") };
      };
      expect(scrun("create", "made")).toEqual({ status: 0, text: "" });
      expect(scrun("start", "made")).toEqual({ status: 0, text: "" });
      Bun.spawnSync(["dd", "if=/dev/zero", `of=${join(dir, "filler")}`, "bs=512"], { stderr: "ignore", timeout: 20_000 });
      const refused = scrun("create", "late");
      expect(refused.status).toBe(1);
      expect(refused.text).toMatch(/no space left[^]*make room/);
      expect(existsSync(join(dir, "scrun/late"))).toBe(false);
      expect(scrun("delete", "--force", "made")).toEqual({ status: 0, text: "" });
      rmSync(join(dir, "filler"));
      expect(scrun("create", "late")).toEqual({ status: 0, text: "" });
      expect(scrun("delete", "--force", "late")).toEqual({ status: 0, text: "" });
      await until("the jobs' ends", async () => (await site.run(["squeue", "-h"])).stdout === "");
    },
    LONG_MS,
  );
});
