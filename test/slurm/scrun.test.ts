// scrun where the jobs are on a cluster: the container's engine on this host, the container on a node. By hand as an engine calls it, and by
// a real rootless podman.
import { afterAll, describe, expect, test } from "bun:test";
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ConsoleSocket, openTerminal } from "#platform/console-socket.ts";
import { havePeers } from "../peers.ts";
import { canRunPodman } from "../peers/podman.ts";
import { BERTH, canRunContainers, haveSlurm, type Ran, SlurmSite } from "./site.ts";

const site = haveSlurm && canRunContainers ? new SlurmSite({ nodes: 1, cpus: 4 }) : undefined;
afterAll(async () => {
  await site?.[Symbol.asyncDispose]();
}, 60_000);

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 60_000; !(await isSo()); await Bun.sleep(50))
    if (performance.now() > deadline) throw new Error(`never happened: ${what}`);
}

/** Of the process's own memory cgroup, version 1 or 2. */
function limitOf(pid: number): number {
  const cgroups = readFileSync(`/proc/${pid}/cgroup`, "utf8");
  const [, v1] = /^\d+:memory:(.*)$/m.exec(cgroups) ?? [];
  const [, v2 = ""] = /^0::(.*)$/m.exec(cgroups) ?? [];
  const file = v1 === undefined ? `/sys/fs/cgroup${v2}/memory.max` : `/sys/fs/cgroup/memory${v1}/memory.limit_in_bytes`;
  return Number(readFileSync(file, "utf8"));
}

describe.skipIf(site === undefined)("scrun on a cluster", () => {
  const on = site as SlurmSite;
  const env = { BERTH_NODE_CACHE: join(on.dir, "cache") };
  const text = (name: string) => (existsSync(join(on.workDir, name)) ? readFileSync(join(on.workDir, name), "utf8") : "");
  const scrun = (...words: readonly string[]) => on.run([BERTH, "scrun", ...words], { env });
  const state = async (id: string) => (JSON.parse((await scrun("state", id)).stdout) as { status: string }).status;
  const noJobs = () => until("no job is left", async () => (await on.run(["squeue", "-h"])).stdout === "");

  /** An engine's bundle: config.json here, its root file system and a small file elsewhere. */
  function bundle(name: string, args: readonly string[], rootfs = join(on.bundle, "rootfs")): string {
    const dir = join(on.dir, name);
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, "hosts"), "127.0.0.1 told-by-the-engine\n");
    const config = JSON.parse(readFileSync(join(on.bundle, "config.json"), "utf8")) as {
      process: Record<string, unknown>;
      root: unknown;
      mounts: unknown[];
      hooks?: unknown;
    };
    Object.assign(config.process, { args, env: ["PATH=/bin", "OWN=yes"] });
    config.root = { path: rootfs };
    config.mounts.push({ destination: "/tmp/hosts", type: "bind", source: join(dir, "hosts"), options: ["bind", "ro"] });
    config.hooks = { poststop: [{ path: "/nonexistent/of-this-host" }] };
    writeFileSync(join(dir, "config.json"), JSON.stringify(config));
    return dir;
  }

  const boxes = () => readdirSync(env.BERTH_NODE_CACHE).filter((name) => name.startsWith("box-"));

  /** Streams are files: whoever holds a pipe of ours would keep us waiting. */
  function shell(script: string, more: Record<string, string> = {}): Promise<Ran> {
    return on.run(["/bin/sh", "-c", script], { env: { ...env, ...more } });
  }

  test("run: streams, exit status, the container's own variables and files, and a job that says so", async () => {
    const dir = bundle("b-run", [
      "sh",
      "-c",
      "cat; cat /tmp/hosts; echo $OWN $SLURM_NNODES ${XDG_RUNTIME_DIR:-none}; echo err >&2; exit 7",
    ]);
    const ran = await shell(`echo in | ${BERTH} scrun run -b ${dir} c-run >run.out 2>run.err`);
    expect([ran.code, text("run.out"), text("run.err")]).toEqual([7, "in\n127.0.0.1 told-by-the-engine\nyes 1 none\n", "err\n"]);
    await noJobs();
    const [job] = (await on.berth("scontrol", "-o", "show", "job")).stdout.split("\n");
    expect(job).toContain("ExitCode=7:0");
    expect(job).toContain(`Container=${dir} ContainerID=c-run`);
    expect(readdirSync(join(on.runtime, "scrun"))).toEqual([]);
    expect(readdirSync(env.BERTH_NODE_CACHE).filter((name) => /^(bundle|box)-/.test(name))).toEqual([]); // the node has it: nothing was copied
  }, 90_000);

  test("create, start, exec, pause, kill, delete, as an engine calls them", async () => {
    const dir = bundle("b-life", ["sh", "-c", 'trap "echo told; exit 4" TERM; echo up; while :; do sleep 0.1; done']);
    expect((await shell(`${BERTH} scrun create -b ${dir} --pid-file pid c-life >life.out 2>life.err </dev/null`)).code).toBe(0);
    expect(await state("c-life")).toBe("created");
    expect(Number(text("pid"))).toBeGreaterThan(1);
    expect(await scrun("start", "c-life")).toMatchObject({ code: 0 });
    await until("it is up", () => text("life.out") === "up\n");
    expect(await state("c-life")).toBe("running");
    expect(await scrun("exec", "c-life", "sh", "-c", "echo inside $SLURM_NNODES; echo e >&2; exit 5")).toEqual({
      code: 5,
      stdout: "inside 1\n",
      stderr: "e\n",
    });
    // Of the node's processes; the cluster is this host.
    const pids = JSON.parse((await scrun("ps", "-f", "json", "c-life")).stdout) as number[];
    const [init = 0] = pids;
    expect(readFileSync(`/proc/${init}/cmdline`, "utf8")).toContain("echo told");
    expect((await scrun("ps", "c-life", "-o", "pid,comm")).stdout).toMatch(new RegExp(`^ *PID COMMAND\n *${init} \\S+\n`));
    const stats = JSON.parse((await scrun("events", "--stats", "c-life")).stdout) as {
      id: string;
      data: { cpu: { usage: { total: number } }; memory: { usage: { usage: number } }; pids: { current: number } };
    };
    expect([stats.id, stats.data.pids.current >= 1, stats.data.memory.usage.usage > 0]).toEqual(["c-life", true, true]);
    writeFileSync(join(on.workDir, "limits.json"), JSON.stringify({ memory: { limit: 200 << 20 } }));
    const changed = await shell(`timeout 60 ${BERTH} scrun update --resources - c-life <limits.json >update.out 2>update.err`);
    // Root's container has a cgroup, others' only where one is delegated; then the limit can be read where it was set.
    if (changed.code === 0) expect(limitOf(init)).toBe(200 << 20);
    else expect(text("update.err")).toContain("the container has no cgroup for that on its node");
    expect((await scrun("delete", "c-life")).code).toBe(1); // it runs
    expect((await scrun("pause", "c-life")).code).toBe(0);
    expect(await state("c-life")).toBe("paused");
    expect((await scrun("resume", "c-life")).code).toBe(0);
    expect((await scrun("kill", "c-life", "TERM")).code).toBe(0);
    await until("it has stopped", async () => (await state("c-life")) === "stopped");
    expect(text("life.out")).toBe("up\ntold\n");
    expect(await scrun("delete", "c-life")).toMatchObject({ code: 0 });
    await noJobs();
  }, 90_000);

  test("an anchor whose create was killed does not wait for it", async () => {
    const dir = join(on.runtime, "scrun", "c-orphan");
    const words = `create -b ${on.bundle} c-orphan`;
    expect((await shell(`timeout 30 ${BERTH} scrun anchor ${dir} ${2 ** 31 - 1} ${words} </dev/null >orphan.out 2>&1`)).code).toBe(1);
    expect([text("orphan.out"), existsSync(dir)]).toEqual(["", false]);
  }, 60_000);

  test("killed by its engine, and withdrawn while its job waits", async () => {
    const dir = bundle("b-kill", ["sleep", "1000"]);
    const filler = (await on.berth("sbatch", "--parsable", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1000")).stdout.trim();
    await until("the node is full", async () => /RUNNING/.test(await on.show(filler)));
    expect((await shell(`${BERTH} scrun create -b ${dir} c-wait >wait.out 2>wait.err </dev/null`)).code).toBe(0);
    expect(await state("c-wait")).toBe("created"); // podman does not wait for a queue
    expect((await scrun("delete", "--force", "c-wait")).code).toBe(0);
    // start gives in: one of two is withdrawn, the other one gets its turn.
    const quick = bundle("b-quick", ["sh", "-c", "echo ran; exit 6"]);
    for (const id of ["c-kill-queued", "c-turn"]) {
      expect((await shell(`${BERTH} scrun create -b ${quick} ${id} >${id}.out 2>${id}.err </dev/null`)).code).toBe(0);
      const started = await on.run([BERTH, "scrun", "start", id], { env: { ...env, SCRUN_START_WAIT: "1" } });
      expect(started).toMatchObject({
        code: 0,
        stderr: expect.stringContaining("still queued and waiting for resources") as unknown as string,
      });
      expect(text(`${id}.err`)).toContain("still queued and waiting for resources");
      expect(await state(id)).toBe("running");
      expect((await scrun("exec", id, "true")).stderr).toContain("does not run yet");
    }
    expect((await scrun("kill", "c-kill-queued", "TERM")).code).toBe(0);
    await until("it has stopped", async () => (await state("c-kill-queued")) === "stopped");
    await on.berth("scancel", filler);
    await until("the other has run", async () => (await state("c-turn")) === "stopped");
    expect(text("c-turn.out")).toBe("ran\n");
    await noJobs();
    expect((await on.berth("scontrol", "-o", "show", "job")).stdout).toContain("ExitCode=6:0");
    for (const id of ["c-kill-queued", "c-turn"]) expect((await scrun("delete", id)).code).toBe(0);
    expect((await shell(`${BERTH} scrun create -b ${dir} c-kill >kill.out 2>kill.err </dev/null`)).code).toBe(0);
    expect((await scrun("start", "c-kill")).code).toBe(0);
    expect((await scrun("delete", "--force", "c-kill")).code).toBe(0);
    await noJobs();
    expect(readdirSync(join(on.runtime, "berth/node/tasks"))).toEqual([]);
    expect((await on.berth("srun", "--container", on.bundle, "true")).code).toBe(0); // which sweeps what a killed task has left
    expect(boxes()).toEqual([]);
  }, 90_000);

  test("a root file system that only this namespace sees is sent, once", async () => {
    // As podman's overlay: mounted in a user and mount namespace of its own, where everybody is root.
    const hidden = join(on.dir, "hidden");
    mkdirSync(hidden);
    const dir = bundle("b-hidden", ["sh", "-c", "cat /secret"], hidden);
    const inside = (id: string) =>
      shell(
        `exec unshare -r -m sh -c '${on.bundle}/rootfs/bin/busybox mount -t tmpfs none ${hidden} && cp -a ${on.bundle}/rootfs/. ${hidden} && echo seen >${hidden}/secret && ` +
          `touch -d 2020-01-01 ${hidden}/secret ${hidden} && exec ${BERTH} scrun run -b ${dir} ${id}' </dev/null >${id}.out 2>${id}.err`,
      );
    const cached = () => readdirSync(env.BERTH_NODE_CACHE).filter((name) => /^bundle-[0-9a-f]{64}$/.test(name));
    for (const id of ["c-sent", "c-again"]) {
      expect([id, (await inside(id)).code, text(`${id}.out`), text(`${id}.err`)]).toEqual([id, 0, "seen\n", ""]);
      expect(cached()).toHaveLength(1);
    }
    await noJobs();
  }, 90_000);

  test.skipIf(!havePeers("lua5.4"))(
    "a site's scrun.lua: its copy is what runs on the node, its commands run in the job, and it has the last word",
    async () => {
      const script = join(dirname(on.env["SLURM_CONF"] ?? ""), "scrun.lua");
      const stageIn = (body: string) =>
        writeFileSync(
          script,
          `function slurm_scrun_stage_in(id, bundle, spool, config_file, job_id, user_id, group_id, job_env)
            local config = slurm.from_json(io.open(config_file):read("a"))
            local copy = "${on.workDir}/staged-" .. id
            ${body}
          end
          function slurm_scrun_stage_out(id, bundle, orig_bundle, root, orig_root, spool, config_file, job_id)
            local status, output = slurm.remote_command("echo $SLURM_JOB_ID $SLURM_STEP_ID $SCRUN_CONTAINER_ID; cat " .. root .. "/w/made")
            slurm.allocator_command("rm -rf ${on.workDir}/staged-" .. id)
            io.open("${on.workDir}/out-" .. id, "w"):write(status, " ", output, " ", job_id, "\\n"):close()
            return 0
          end`,
        );
      try {
        stageIn(`
          local status, output = slurm.allocator_command("cp -a " .. config.root.path .. " " .. copy .. " && mkdir -p " .. copy .. "/w")
          if status ~= 0 then return slurm.ERROR end
          config.root = { path = copy, readonly = false }
          local status, host = slurm.remote_command("echo $SLURMD_NODENAME; exit 3")
          table.insert(config.process.env, "STAGED=" .. status .. " " .. host:match("%S+"))
          local file = io.open(copy .. "/config.json", "w")
          file:write(slurm.to_json(config))
          file:close()
          slurm.set_bundle_path(copy)
          slurm.set_root_path(copy)
          return 0`);
        const dir = bundle("b-lua", ["sh", "-c", "echo $STAGED; echo kept >/w/made; exit 6"]);
        const ran = await shell(`${BERTH} scrun run -b ${dir} c-lua >lua.out 2>lua.err </dev/null`);
        expect([ran.code, text("lua.err"), text("lua.out")]).toEqual([6, "", expect.stringMatching(/^3 \S+\n$/)]);
        const [, said, job] = /^0 (\d+ \d+ c-lua)\nkept\n (\d+)\n$/.exec(text("out-c-lua")) ?? [];
        expect(said).toStartWith(`${job ?? "?"} `);
        expect(existsSync(join(on.workDir, "staged-c-lua"))).toBe(false);
        await noJobs();
        expect((await on.berth("scontrol", "-o", "show", "job", job ?? "")).stdout).toContain("ExitCode=6:0");

        // Killed with -9: the job goes with the anchor, the copy with the container's removal.
        expect((await shell(`${BERTH} scrun create -b ${dir} c-lost >lost.out 2>lost.err </dev/null`)).code).toBe(0);
        const { pid } = JSON.parse((await scrun("state", "c-lost")).stdout) as { pid: number };
        process.kill(pid, "SIGKILL");
        await noJobs();
        expect(existsSync(join(on.workDir, "staged-c-lost"))).toBe(true);
        expect((await scrun("delete", "--force", "c-lost")).code).toBe(0);
        expect(existsSync(join(on.workDir, "staged-c-lost"))).toBe(false);

        // Cancelled while it is staged in: the script and its commands are killed.
        stageIn(`os.execute("echo " .. job_id .. " $$ > ${on.workDir}/stuck; exec sleep 1000")`);
        const stuck = shell(`${BERTH} scrun create -b ${dir} c-stuck >stuck.out 2>stuck.err </dev/null`);
        await until("stage-in", () => /\d+ \d+\n/.test(text("stuck")));
        const [stuckJob = "", stuckPid = ""] = text("stuck").trim().split(" ");
        await on.berth("scancel", stuckJob);
        expect((await stuck).code).toBe(1);
        expect(text("stuck.err")).toContain(`job ${stuckJob} was cancelled`);
        expect(existsSync(`/proc/${stuckPid}`)).toBe(false);
        await noJobs();

        stageIn("return 9");
        expect((await shell(`${BERTH} scrun create -b ${dir} c-bad >bad.out 2>bad.err </dev/null`)).code).toBe(1);
        expect(text("bad.err")).toContain(`slurm_scrun_stage_in of ${script} returned 9`);
        expect(existsSync(join(on.workDir, "out-c-bad"))).toBe(true); // stage-out has been
        await noJobs();
        writeFileSync(script, "oops");
        expect((await shell(`${BERTH} scrun create -b ${dir} c-oops >oops.out 2>oops.err </dev/null`)).code).toBe(1);
        expect(text("oops.err")).toContain(`${script}:1: `);
        expect(readdirSync(join(on.runtime, "scrun"))).toEqual([]);
      } finally {
        rmSync(script, { force: true });
      }
    },
    120_000,
  );

  /** The same bundle, for a container on a terminal. */
  function withTerminal(dir: string): string {
    const config = JSON.parse(readFileSync(join(dir, "config.json"), "utf8")) as { process: Record<string, unknown> };
    config.process["terminal"] = true;
    writeFileSync(join(dir, "config.json"), JSON.stringify(config));
    return dir;
  }

  test("a terminal of the engine's: its master goes to the console socket, and what is typed there reaches the container", async () => {
    const dir = withTerminal(bundle("b-tty", ["sh", "-c", 'tty >/dev/null && echo "is one"; read -r word; echo "got $word"; exit 3']));
    using socket = new ConsoleSocket(join(on.dir, "console"));
    expect(
      (await shell(`${BERTH} scrun create -b ${dir} --console-socket ${socket.path} c-tty >/dev/null 2>tty.err </dev/null`)).code,
    ).toBe(0);
    const master = socket.receive();
    if (master === undefined) throw new Error("no master came");
    let shown = "";
    let isClosed = false;
    const terminal = openTerminal(master, {
      rows: 24,
      columns: 80,
      onOutput: (bytes) => {
        shown += Buffer.from(bytes).toString();
      },
      onClose: () => {
        isClosed = true;
      },
    });
    expect((await scrun("start", "c-tty")).code).toBe(0);
    await until("the container shows something", () => shown.includes("is one"));
    terminal.write(Buffer.from("a word\n"));
    await until("the terminal is closed", () => isClosed);
    expect(shown).toContain("got a word");
    await until("it has stopped", async () => (await state("c-tty")) === "stopped");
    await noJobs();
    expect((await on.berth("scontrol", "-o", "show", "job")).stdout).toContain("ExitCode=3:0");
    expect((await scrun("delete", "c-tty")).code).toBe(0);
  }, 90_000);

  test("a terminal while the job waits: it has the line that says so, and Ctrl-C withdraws the job", async () => {
    const dir = withTerminal(bundle("b-tty-queue", ["true"]));
    const filler = (await on.berth("sbatch", "--parsable", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1000")).stdout.trim();
    await until("the node is full", async () => /RUNNING/.test(await on.show(filler)));
    using socket = new ConsoleSocket(join(on.dir, "console-queue"));
    const created = await shell(
      `${BERTH} scrun create -b ${dir} --console-socket ${socket.path} c-typed >/dev/null 2>typed.err </dev/null`,
    );
    expect([created.code, text("typed.err")]).toEqual([0, ""]);
    const master = socket.receive();
    if (master === undefined) throw new Error("no master came");
    let shown = "";
    const onOutput = (bytes: Uint8Array) => {
      shown += Buffer.from(bytes).toString();
    };
    const terminal = openTerminal(master, { rows: 24, columns: 80, onOutput, onClose: () => undefined });
    expect((await on.run([BERTH, "scrun", "start", "c-typed"], { env: { ...env, SCRUN_START_WAIT: "0" } })).code).toBe(0);
    await until("the terminal says so", () => shown.includes("queued and waiting for resources; the container runs when it is granted"));
    terminal.write(Buffer.from("\x1a")); // Ctrl-Z: no reason to go
    terminal.write(Buffer.from("\x03"));
    await until("it has stopped", async () => (await state("c-typed")) === "stopped");
    expect((await scrun("delete", "c-typed")).code).toBe(0);
    await on.berth("scancel", filler);
    await noJobs();
  }, 90_000);

  test("what cannot be had is refused in words, and no job stays", async () => {
    const dir = withTerminal(bundle("b-refused", ["true"]));
    expect((await shell(`${BERTH} scrun create -b ${dir} c-no-tty >tty.out 2>tty.err </dev/null`)).code).toBe(1);
    expect(text("tty.err")).toContain("cannot have a terminal without a console socket");
    const missing = bundle("b-missing", ["no-such-program"]);
    const ran = await shell(`${BERTH} scrun run -b ${missing} c-missing >missing.out 2>missing.err </dev/null`);
    expect(ran.code).not.toBe(0);
    expect(text("missing.err")).toContain("no-such-program");
    await noJobs();
  }, 90_000);

  test.skipIf(Bun.which("rsync") === null || Bun.which("lua5.4") === null)(
    "a site's scrun.lua brings the bundle to where the nodes see it, and what changed back",
    async () => {
      const rootfs = join(on.dir, "staged-from");
      cpSync(join(on.bundle, "rootfs"), rootfs, { recursive: true, verbatimSymlinks: true });
      const dir = bundle("b-lua", ["sh", "-c", "echo $STAGED >/tmp/result; exit 6"], rootfs);
      const script = join(on.dir, "home/.config/berth/scrun.lua");
      mkdirSync(dirname(script), { recursive: true });
      const example = readFileSync(join(import.meta.dir, "../scrun/rsync.lua"), "utf8");
      writeFileSync(script, example.replaceAll("@DEST@", join(on.dir, "shared")));
      try {
        const ran = await shell(`${BERTH} scrun run -b ${dir} c-lua >lua.out 2>lua.err </dev/null`);
        expect([ran.code, text("lua.err")]).toEqual([6, expect.not.stringContaining("error") as unknown as string]);
        expect(readFileSync(join(rootfs, "tmp/result"), "utf8")).toBe("copied\n");
        expect(readdirSync(join(on.dir, "shared"))).toEqual([]); // it has cleared its copy away
        writeFileSync(script, "this is no Lua");
        expect((await shell(`${BERTH} scrun create -b ${dir} c-bad >bad.out 2>bad.err </dev/null`)).code).toBe(1);
        expect(text("bad.err")).toContain("scrun.lua");
        await noJobs();
      } finally {
        rmSync(script);
      }
    },
    90_000,
  );

  test.skipIf(!canRunPodman)(
    "podman: run, exec, logs, stop; exit statuses are the containers'",
    async () => {
      const runtime = join(on.dir, "scrun");
      const settings = { BERTH_ENGINE: "slurm", SLURM_CONF: on.env["SLURM_CONF"] ?? "", BERTH_NODE_CACHE: env.BERTH_NODE_CACHE };
      const exports = Object.entries(settings).map(([name, value]) => `export ${name}=${value}\n`);
      writeFileSync(runtime, `#!/bin/sh\n${exports.join("")}exec ${BERTH} scrun "$@"\n`, { mode: 0o755 }); // podman passes no variables on
      const config = join(on.dir, "home/.config/containers");
      mkdirSync(config, { recursive: true });
      const storage = ["[storage]", 'driver = "vfs"', `runroot = "${on.runtime}/pr"`, `graphroot = "${on.dir}/pg"`, ""];
      writeFileSync(join(config, "storage.conf"), storage.join("\n"));
      writeFileSync(join(config, "policy.json"), '{"default": [{"type": "insecureAcceptAnything"}]}');
      const engine = ["[engine]", 'cgroup_manager = "cgroupfs"', 'events_logger = "file"', 'runtime_supports_json = ["scrun"]', ""];
      writeFileSync(join(config, "containers.conf"), ["[containers]", 'netns = "host"', 'log_driver = "k8s-file"', ...engine].join("\n"));
      const podman = (...words: readonly string[]) =>
        on.run(["timeout", "60", "podman", "--runtime", runtime, ...words], { env: { CONTAINERS_CONF: join(config, "containers.conf") } });
      try {
        const image = join(on.dir, "image");
        for (const name of ["bin", "dev", "proc", "sys", "etc", "tmp"]) mkdirSync(join(image, name), { recursive: true });
        copyFileSync(join(on.bundle, "rootfs/bin/busybox"), join(image, "bin/busybox"));
        for (const name of ["sh", "cat", "echo", "sleep", "stty", "ps"]) symlinkSync("busybox", join(image, "bin", name));
        writeFileSync(join(image, "etc/passwd"), "root:x:0:0:root:/:/bin/sh\n");
        expect((await shell(`tar -C ${image} -cf image.tar .`)).code).toBe(0);
        expect(await podman("import", "-q", join(on.workDir, "image.tar"), "box")).toMatchObject({ code: 0 });

        const ran = await podman("run", "--rm", "box", "sh", "-c", "echo job $SLURM_NNODES; echo e >&2; exit 9");
        expect(ran).toMatchObject({ code: 9, stdout: "job 1\n" });
        expect(ran.stderr).toContain("e\n");
        const script = 'trap "echo told; exit 4" TERM; echo up; while :; do sleep 0.1; done';
        expect(await podman("run", "-d", "--name", "p", "box", "sh", "-c", script)).toMatchObject({ code: 0 });
        await until("it is up", async () => (await podman("logs", "p")).stdout === "up\n");
        expect((await on.run(["squeue", "-h", "-o", "%j %T"])).stdout).toBe("p RUNNING\n");
        expect(await podman("exec", "p", "sh", "-c", "echo inside; exit 6")).toMatchObject({ code: 6, stdout: "inside\n" });
        // Debian unstable has no script(1) beside its utilities; the terminal by hand is above.
        if (Bun.which("script") !== null) {
          const typed = `sleep 1; echo 'stty size; exit 5'; sleep 1`; // script(1) ends with its input
          const words = `podman --runtime ${runtime} exec -it p sh`;
          const onTerminal = await on.run(
            ["/bin/sh", "-c", `(${typed}) | timeout 60 script -qec 'stty rows 33 cols 99; ${words}' /dev/null`],
            {
              env: { CONTAINERS_CONF: join(config, "containers.conf") },
            },
          );
          expect([onTerminal.code, onTerminal.stdout]).toEqual([5, expect.stringContaining("33 99") as unknown as string]);
        }
        // By the pid that podman knows there is nothing to be found of this host.
        expect((await podman("cp", "p:/etc/passwd", join(on.dir, "copied"))).code).toBe(125);
        expect((await podman("top", "p")).stdout.trim().split("\n")).toHaveLength(1);
        // With words of ps(1) podman 4 executes the image's, a newer one the host's.
        const { stdout: version } = await podman("version", "--format", "{{.Client.Version}}");
        if (version.startsWith("4.")) expect((await podman("top", "p", "-o", "pid,args")).stdout).toMatch(/^ *1 .*echo told/m);
        expect((await podman("stop", "-t", "20", "p")).code).toBe(0);
        expect((await podman("inspect", "p", "--format", "{{.State.Status}} {{.State.ExitCode}}")).stdout).toBe("exited 4\n");
        expect((await podman("logs", "p")).stdout).toBe("up\ntold\n");
        expect((await podman("rm", "p")).code).toBe(0);
        await noJobs();
      } finally {
        await podman("rm", "-f", "-a", "-t", "0");
        await podman("unshare", "rm", "-rf", join(on.dir, "pg")); // files of users that only exist in podman's namespace
        await podman("system", "migrate"); // the process that keeps that namespace
      }
    },
    180_000,
  );
});
