// What comes over a socket is not trusted: garbage, half frames, endless ones, messages of the wrong shape, and hundreds of connections
// that say nothing end neither the controller nor a step nor a container, and everybody else is served meanwhile.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectFrames } from "#platform/frames.ts";
import { launcherFor } from "#scrun/launcher/launcher.ts";
import { VERSION } from "#job/version.ts";
import { canRunContainers, isRunning, seeded, Site, until } from "../e2e/site.ts";

const LONG_MS = 60_000;
const SILENT = 300;

let site: Site;
beforeEach(() => {
  site = new Site();
});
afterEach(() => site[Symbol.asyncDispose](), LONG_MS);

/** Sends bytes and waits for the other side to have read them, or to have hung up. */
async function pour(path: string, bytes: Uint8Array): Promise<void> {
  const { promise: isClosed, resolve } = Promise.withResolvers<void>();
  const close = () => resolve();
  let rest = bytes;
  const push = (socket: Bun.Socket) => {
    while (rest.byteLength > 0) {
      const written = socket.write(rest);
      if (written <= 0) return;
      rest = rest.subarray(written);
    }
    socket.end();
  };
  await Bun.connect({ unix: path, socket: { open: push, drain: push, data() {}, close, error: close } });
  const isInTime = await Promise.race([isClosed.then(() => true), Bun.sleep(20_000).then(() => false)]);
  expect(isInTime, "the connection is closed by somebody").toBe(true);
}

function frame(type: number, payload: Uint8Array | string, length?: number): Buffer {
  const bytes = Buffer.from(payload as string);
  const header = Buffer.alloc(5);
  header.writeUInt32LE(length ?? bytes.byteLength, 0);
  header.writeUInt8(type, 4);
  return Buffer.concat([header, bytes]);
}

/** What ends something by its meaning (stop, end, cancel without more) is left out: it works. */
const OPERATIONS = [
  ..."info submit allocate resumeAllocation releaseAllocation detachAllocation findAllocation createStep measureSteps findStep".split(" "),
  ..."createOwnStep ownStepReady tryJob cancelEach signal hold release notify requeue suspend resume update updateNodes".split(" "),
  ..."updatePartition jobs steps processes nodes partitions config accounting batchScript waitForEnd status constructor __proto__".split(
    " ",
  ),
  ..."run dismiss control preparing attach observe eof resize terminate message acknowledged create state kill paused resumed".split(" "),
];
/** Of the wrong type wherever they are used. */
const VALUES: readonly unknown[] = [
  null,
  [],
  {},
  "",
  "x",
  -1,
  1e300,
  true,
  [null],
  [[]],
  { jobId: {} },
  { request: null },
  "\u001b[2J",
  "../..",
];

function* hostile(random: () => number): Generator<Buffer> {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const noise = (bytes: number) => Buffer.from(Array.from({ length: bytes }, () => Math.floor(random() * 256)));
  yield Buffer.from("GET / HTTP/1.1\r\n\r\n");
  yield Buffer.alloc(0);
  yield Buffer.from([1, 0]); // half a header
  yield frame(0, "{", 1000); // half a frame
  yield frame(0, "", 0xffff_ffff);
  yield frame(0, "");
  for (const text of ["null", "1", "[]", '"x"', "{", "{}", '{ "op": 1 }', '{"op":{}}', "\u0000", "[".repeat(100_000)]) yield frame(0, text);
  for (let type = 1; type < 5; type++) for (const length of [0, 1, 3, 4, 9]) yield frame(type, noise(length));
  for (const op of OPERATIONS) {
    const args = Object.fromEntries(
      ["jobId", "request", "token", "targets", "changes", "names", "stepKey", "filter"].map((name) => [name, pick(VALUES)]),
    );
    for (const body of [pick(VALUES), args, {}])
      yield frame(
        0,
        JSON.stringify({
          id: 1,
          version: VERSION,
          op,
          args: body,
          ...(isRecord(body) ? body : {}),
          signal: pick(VALUES),
          reason: pick(VALUES),
        }),
      );
  }
  for (let i = 0; i < 40; i++) yield noise(Math.floor(random() * 64));
  for (let i = 0; i < 40; i++) yield frame(Math.floor(random() * 5), noise(Math.floor(random() * 64)));
}

function isRecord(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

describe("a socket's peer that is not ours", () => {
  test(
    "ends no controller, and loses no job",
    async () => {
      const id = await site.sbatch("#!/bin/sh\necho up; while [ ! -e go ]; do sleep 0.05; done; exit 7\n");
      await site.written(`slurm-${id}.out`, "up");
      const { pid } = (await site.status()) ?? { pid: 0 };
      for (const bytes of hostile(seeded("controller-socket"))) await pour(site.socket, bytes);
      expect((await site.status())?.pid).toBe(pid);
      writeFileSync(site.path("go"), "");
      await until("its end", async () => (await site.run(["squeue", "-h"])).stdout === "");
      expect((await site.run(["sacct", "-nXP", "-j", String(id), "-o", "state,exitcode"])).stdout).toBe("FAILED|7:0\n");
      // What was accepted is whole: the next controller reads it, too.
      await site.killController();
      expect((await site.run(["srun", "echo", "ran"])).stdout).toBe("ran\n");
    },
    LONG_MS,
  );

  test(
    "ends no step daemon",
    async () => {
      const id = await site.sbatch("#!/bin/sh\necho up; while [ ! -e go ]; do sleep 0.05; done; exit 7\n");
      const command = site.start(["srun", "sh", "-c", "echo up; while [ ! -e go ]; do sleep 0.05; done; exit 8"]);
      await site.written(`slurm-${id}.out`, "up");
      await until("the srun", () => command.stdoutSoFar === "up\n");
      const daemons = async () => [await site.stepDaemon(id, "batch"), await site.stepDaemon(id + 1, 0)];
      const before = await daemons();
      const random = seeded("step-socket");
      for (const name of [`${id}.batch`, `${id + 1}.0`])
        for (const bytes of hostile(random)) await pour(join(site.runtimeDir, "steps", name), bytes);
      expect(await daemons()).toEqual(before);
      writeFileSync(site.path("go"), "");
      expect((await command.outcome).status).toBe(8);
      await until("its end", async () => (await site.run(["squeue", "-h"])).stdout === "");
      expect((await site.run(["sacct", "-nXP", "-j", String(id), "-o", "state,exitcode"])).stdout).toBe("FAILED|7:0\n");
      expect(await site.leftovers()).toEqual([]);
    },
    LONG_MS,
  );

  test.skipIf(!canRunContainers)(
    "ends no container",
    async () => {
      await site.run(["berth", "daemon", "start"]);
      writeFileSync(join(site.dir, "bin/scrun"), launcherFor(join(site.dir, "bin/berth")), { mode: 0o755 });
      const file = join(site.bundle, "config.json");
      const config = JSON.parse(readFileSync(file, "utf8"));
      Object.assign(config.process, { terminal: false, args: ["/bin/sh", "-c", "sleep 1000"] });
      writeFileSync(file, JSON.stringify(config));
      const scrun = (...words: string[]) => {
        const ran = Bun.spawnSync([join(site.dir, "bin/scrun"), ...words], {
          env: site.env,
          cwd: site.bundle,
          stdio: ["ignore", words[0] === "state" ? "pipe" : "ignore", "ignore"],
          timeout: 20_000,
        });
        expect(ran.success, words.join(" ")).toBe(true);
        return ran.stdout?.toString() ?? "";
      };
      const created = (id: string) => {
        scrun("create", id);
        return { anchor: JSON.parse(scrun("state", id)).pid as number, socket: join(site.dir, "run/scrun", id, "anchor.sock") };
      };
      const [running, waiting] = [created("running"), created("waiting")];
      scrun("start", "running");
      const random = seeded("anchor-socket");
      for (const { anchor, socket } of [running, waiting]) {
        for (const bytes of hostile(random)) await pour(socket, bytes);
        expect(isRunning(anchor)).toBe(true);
      }
      expect(JSON.parse(scrun("state", "running")).status).toBe("running");
      for (const id of ["running", "waiting"]) scrun("delete", "--force", id);
      expect(await site.leftovers()).toEqual([]);
    },
    LONG_MS,
  );

  test(
    "is not noticed by others: hundreds that say nothing, and one that sends all that a frame may hold",
    async () => {
      await site.run(["squeue"]);
      const { pid } = (await site.status()) ?? { pid: 0 };
      const silent = await Promise.all(Array.from({ length: SILENT }, () => connectFrames(site.socket)));
      const large = pour(site.socket, frame(0, Buffer.alloc(63 * 1024 * 1024, "x")));
      expect((await site.run(["srun", "echo", "ran"])).stdout).toBe("ran\n");
      await large;
      for (const connection of silent) connection.close();
      expect((await site.run(["srun", "echo", "ran"])).stdout).toBe("ran\n");
      expect((await site.status())?.pid).toBe(pid);
    },
    LONG_MS,
  );
});
