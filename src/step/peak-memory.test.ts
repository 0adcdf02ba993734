import { expect, test } from "bun:test";
import { spawnTask } from "#platform/spawn.ts";
import { PeakMemory } from "./peak-memory.ts";

const KIB_OF_SLEEP = 20_000;
const start = (...argv: [string, ...string[]]) =>
  spawnTask({ argv, path: argv[0], env: {}, cwd: "/", streams: { kind: "files", stdin: "null", stdout: "null", stderr: "null" } });

test("a program smaller than us has no figure of its own", async () => {
  const { exited, usage } = start("/bin/true");
  await exited;
  expect(usage()).toMatchObject({ maxRssKib: null });
});

test("what still runs is looked at, with what it started", async () => {
  const peaks = new PeakMemory<string>();
  const { pid, exited } = start("/bin/sleep", "1000");
  peaks.look([["sleep", pid]]);
  process.kill(pid);
  await exited;
  expect(peaks.of("sleep")).toBeGreaterThan(0);
  expect(peaks.of("sleep")).toBeLessThan(KIB_OF_SLEEP);
  peaks.look([["sleep", pid]]);
  expect(peaks.of("sleep")).toBeGreaterThan(0);
  expect(peaks.of("other")).toBeNull();
  expect(peaks.useOf("sleep")?.vmKib).toBeGreaterThan(peaks.of("sleep") ?? 0);
  expect(peaks.useOf("other")).toBeNull();
});
