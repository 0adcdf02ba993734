// kill -9 of the anchor, of the controller, and of both: no container goes on without its job, and no end is lost.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { seeded } from "../e2e/site.ts";
import { havePeers } from "../peers.ts";
import { RUNC, ScrunSite, until } from "./place.ts";

setDefaultTimeout(120_000);

function isGone(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, "latin1").includes(") Z ");
  } catch {
    return true;
  }
}

describe.skipIf(!havePeers("runc", "busybox"))(`scrun's processes killed, as uid ${process.geteuid?.()}`, () => {
  let site: ScrunSite;
  beforeAll(() => {
    site = new ScrunSite();
  });
  afterAll(async () => await site[Symbol.asyncDispose]());

  async function start(id: string): Promise<{ readonly anchor: number; readonly init: number; readonly jobId: unknown }> {
    expect((await site.scrun(["create", "--bundle", ".", id])).code).toBe(0);
    expect((await site.scrun(["start", id])).code).toBe(0);
    const { pid, jobId } = await site.state(id);
    return { anchor: Number(pid), init: Number(readFileSync(join(site.root, id, "init.pid"), "utf8")), jobId };
  }

  /** The one that listens, or is started now. */
  async function controller(): Promise<number> {
    await site.run(["squeue"]);
    return Number(/process (\d+)/.exec((await site.run(["daemon", "status"])).stdout)?.[1]);
  }

  test("without its anchor the container ends, and the job", async () => {
    site.program("sleep 1000");
    const { anchor, init, jobId } = await start("a1");
    process.kill(anchor, "SIGKILL");
    await until("the container's end", () => isGone(init));
    await site.untilOver(jobId);
    expect((await site.accounted(jobId))[1]).toBe(`${String(jobId)}.0|CANCELLED|0:9`);
    expect((await site.state("a1"))["status"]).toBe("stopped");
    expect((await site.scrun(["delete", "a1"])).code).toBe(0);
    expect(existsSync(join(site.root, "a1"))).toBe(false);
  });

  test("without the controller the container goes on, and its end is accounted", async () => {
    site.program("while [ ! -e /w/go ]; do sleep 0.1; done; exit 6", (config) => {
      config["root"].readonly = false;
    });
    const { anchor, init, jobId } = await start("a2");
    process.kill(await controller(), "SIGKILL");
    expect(isGone(init)).toBe(false);
    // The anchor stands in the container's namespaces; whoever brings the controller back does not.
    const next = await controller();
    for (const kind of ["uts", "net", "mnt", "ipc"])
      expect(readlinkSync(`/proc/${next}/ns/${kind}`)).toBe(readlinkSync(`/proc/self/ns/${kind}`));
    await Bun.write(join(site.bundle, "rootfs/w/go"), "");
    await until("the anchor's end", () => isGone(anchor));
    await site.untilOver(jobId);
    expect(await site.accounted(jobId)).toEqual([`${String(jobId)}|FAILED|6:0`, `${String(jobId)}.0|FAILED|6:0`]);
    await site.scrun(["delete", "a2"]);
  });

  test("the anchor's own clean-up, when it is late, leaves nothing of a container that is deleted already", async () => {
    // A runtime that is slow for who does not wait for it.
    const [wrapper, late] = [join(site.bin, "runc"), join(site.dir, "late")];
    const slow = `case " $* " in *" delete "*) [ -c /dev/stdout ] && { sleep 1; ${RUNC} "$@"; echo $? > ${late}; exit; };; esac`;
    writeFileSync(wrapper, `#!/bin/sh\n${slow}\nexec ${RUNC} "$@"\n`, { mode: 0o755 });
    try {
      site.program("sleep 1000");
      await start("a4");
      expect((await site.scrun(["delete", "--force", "a4"])).code).toBe(0);
      await until("the late one", () => existsSync(late));
      expect(existsSync(join(site.root, "a4"))).toBe(false);
    } finally {
      rmSync(wrapper);
    }
  });

  test("an anchor that is killed while the runtime makes the container leaves nothing of it", async () => {
    const [wrapper, made] = [join(site.bin, "runc"), join(site.dir, "made")];
    const slow = `case " $* " in *" create "*) ${RUNC} "$@" && : >${made}; exec sleep 5 >/dev/null 2>&1;; esac`;
    writeFileSync(wrapper, `#!/bin/sh\n${slow}\nexec ${RUNC} "$@"\n`, { mode: 0o755 });
    try {
      site.program("sleep 1000");
      const create = site.scrun(["create", "--bundle", ".", "a5"]);
      await until("the container to be made", () => existsSync(made));
      const init = Number(readFileSync(join(site.root, "a5/init.pid"), "utf8"));
      const [anchor = ""] = readFileSync(join(site.root, "a5/anchor"), "utf8").split(" ");
      process.kill(Number(anchor), "SIGKILL");
      expect((await create).code).toBe(1);
      await until("the container's end", () => isGone(init));
      expect(existsSync(join(site.root, "a5"))).toBe(false);
      await until("the job's end", async () => (await site.run(["squeue", "-h"])).stdout === "");
    } finally {
      rmSync(wrapper);
    }
  });

  test("a runtime directory that is wiped (a user's last session is over) takes neither container nor job along", async () => {
    site.program("trap 'exit 5' TERM; while :; do sleep 0.1; done");
    const { anchor, init, jobId } = await start("a3");
    rmSync(join(site.root, "a3"), { recursive: true });
    expect((await site.scrun(["state", "a3"])).code).toBe(1);
    expect([isGone(anchor), isGone(init)]).toEqual([false, false]);
    await site.run(["scancel", String(jobId)]);
    await until("the anchor's end", () => isGone(anchor) && isGone(init));
    await site.untilOver(jobId);
    expect(await site.accounted(jobId)).toEqual([
      `${String(jobId)}|CANCELLED by ${process.geteuid?.()}|0:0`,
      `${String(jobId)}.0|CANCELLED|5:0`,
    ]);
    expect(existsSync(join(site.root, "a3"))).toBe(false);
  });

  test("wiped, and created again under the same id: the first container ends, the second has the id", async () => {
    site.program("sleep 1000");
    const first = await start("a5");
    rmSync(join(site.root, "a5"), { recursive: true });
    const second = await start("a5");
    await until("the first one's end", () => isGone(first.anchor) && isGone(first.init));
    await site.untilOver(first.jobId);
    expect(await site.state("a5")).toMatchObject({ status: "running", pid: second.anchor, jobId: second.jobId });
    expect((await site.scrun(["delete", "--force", "a5"])).code).toBe(0);
  });

  test("a create that is killed leaves a whole container, or nothing that runs", async () => {
    site.program("sleep 1000");
    const random = seeded("create-kills");
    const scrun = (...words: string[]) => [
      process.execPath,
      join(import.meta.dir, "../../src/main.ts"),
      "scrun",
      "--root",
      site.root,
      ...words,
    ];
    for (let round = 0; round < 12; round++) {
      const id = `k${round}`;
      const create = Bun.spawn(scrun("create", "--bundle", ".", id), {
        cwd: site.bundle,
        env: site.env,
        stdio: ["ignore", "ignore", "ignore"],
      });
      await Bun.sleep(random() * 400);
      create.kill("SIGKILL");
      await create.exited;
    }
    // What was created is whole, perhaps a moment after its create was killed: it can be started or deleted. An anchor whose plan never came gives up.
    const has = (id: string, name: string) => existsSync(join(site.root, id, name));
    let busyAt = Date.now();
    await until("every container to be deleted or given up, and its job to end", async () => {
      const whole = readdirSync(site.root).filter((id) => has(id, "state.json"));
      for (const id of whole) await site.scrun(["delete", "--force", id]);
      const isQuiet = whole.length === 0 && !readdirSync(site.root).some((id) => has(id, "anchor.sock"));
      if (!isQuiet || (await site.run(["squeue", "-h"])).stdout !== "") busyAt = Date.now();
      return Date.now() - busyAt > 2000; // an anchor may still be starting
    });
    // Nobody else will: an id whose create was killed is free for the next one.
    expect(await site.scrun(["list", "-q"])).toEqual({ code: 0, stdout: "", stderr: "" });
    for (let round = 0; round < 12; round++) {
      const id = `k${round}`;
      if (!existsSync(join(site.root, id))) continue;
      await until(`${id} to be free`, async () => (await site.scrun(["create", "--bundle", ".", id])).code === 0);
      expect((await site.scrun(["delete", "--force", id])).code).toBe(0);
    }
    expect(readdirSync(site.root)).toEqual([]);
  });

  test("who makes a step his own and never listens ends it with himself, also when the job has ended before", async () => {
    const file = join(site.dir, "owned");
    const script = `'${process.execPath}' '${join(import.meta.dir, "silent-owner.ts")}' '${file}' >/dev/null 2>&1 & while [ ! -e '${file}' ]; do sleep 0.05; done`;
    expect((await site.run(["salloc", "-Q", "sh", "-c", script])).code).toBe(0);
    expect((await site.run(["squeue", "-h", "-o", "%T"])).stdout).toBe("COMPLETING\n");
    rmSync(file);
    await until("the job's end", async () => (await site.run(["squeue", "-h"])).stdout === "");
  });

  test("without both the container ends with the next controller", async () => {
    site.program("sleep 1000");
    const { anchor, init, jobId } = await start("a3");
    // Stopped first, so that it cannot notice.
    const pid = await controller();
    process.kill(pid, "SIGSTOP");
    process.kill(anchor, "SIGKILL");
    await until("the anchor's end", () => isGone(anchor));
    process.kill(pid, "SIGKILL");
    await site.untilOver(jobId);
    await until("the container's end", () => isGone(init));
    expect((await site.accounted(jobId))[1]).toBe(`${String(jobId)}.0|CANCELLED|0:9`);
    await site.scrun(["delete", "--force", "a3"]);
  });
});
