// Replays every transcript that expected.list expects to pass. One difference more, one less, a command that hangs or a
// process that is left behind fails the test of that transcript.
import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { havePeers } from "../peers.ts";
import { readExpectations } from "./expected.ts";
import { complaintsAbout, replay, transcripts, type Replay } from "./replay.ts";

const AT_A_TIME = Number(process.env["GOLDEN_JOBS"] ?? 4); // most of a replay is waiting
const TIMEOUT_MS = 30 * 60_000; // of the whole queue; each command and each transcript has a bound of its own

const expectations = readExpectations();
const all = transcripts();
const verdicts = process.env["CI"] === "true" || process.env["GOLDEN_SLOW"] === "1" ? ["slow", "pass"] : ["pass"];
// The sessions were recorded as an ordinary user. Root replays those where being root matters: starting tasks and containers.
const isForUs = process.getuid?.() === 0 ? (name: string) => /^(container-0[24]|srun-0|own-)/.test(name) : () => true;
const wanted = verdicts
  .flatMap((verdict) => [...expectations].filter(([, one]) => one.verdict === verdict))
  .map(([name]) => name)
  .filter(isForUs);

describe("golden transcripts", () => {
  test("every transcript is in expected.list, and nothing else is", () => {
    expect([...expectations.keys()].sort()).toEqual([...all.keys()].sort());
    for (const [name, dir] of all) expect(existsSync(join(dir, `${name}.txt`)), `${name}.txt`).toBe(true);
  });

  describe.skipIf(!havePeers("runc", "busybox", "script", "xargs"))("replayed", () => {
    const results = new Map<string, PromiseWithResolvers<Replay>>();
    beforeAll(() => {
      for (const name of wanted) results.set(name, Promise.withResolvers<Replay>());
      const queue = [...wanted];
      const worker = async () => {
        for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
          const slot = results.get(name);
          await replay(name).then(slot?.resolve, slot?.reject);
        }
      };
      for (let i = 0; i < AT_A_TIME; i++)
        worker().catch((error: unknown) => {
          throw error;
        });
    });

    test.each(wanted)(
      "%s",
      async (name) => {
        const result = await results.get(name)?.promise;
        const expectation = expectations.get(name);
        if (result === undefined || expectation === undefined) throw new Error(`${name} was not replayed`);
        const complaints = complaintsAbout(result, expectation);
        if (complaints.length === 0) return;
        // Sessions of a real Slurm have waits in them that a busy machine may exceed: once more, by itself.
        console.error(`${name} is replayed again:\n${complaints.join("\n")}`);
        expect(complaintsAbout(await replay(name), expectation).join("\n")).toBe("");
      },
      TIMEOUT_MS,
    );
  });
});
