import { afterAll, expect, test } from "bun:test";
import { canRunContainers, Site } from "../e2e/site.ts";
import { contractOf } from "./engine.ts";

const site = new Site({
  conf: "NodeName=n1 CPUs=64 RealMemory=64000\nNodeName=n2 CPUs=4 RealMemory=4000\nPartitionName=debug Nodes=ALL Default=YES\nKillWait=1\n",
});
afterAll(() => site[Symbol.asyncDispose](), 60_000);

contractOf({
  name: "embedded",
  open: () => site.engine(),
  place: { workDir: site.workDir, bundle: canRunContainers ? site.bundle : null },
  killWaitSeconds: 1,
  lacks: {},
});

test("after all that nothing is left, and the controller has complained of nothing", async () => {
  expect(await site.leftovers()).toEqual([]);
  expect(site.complaints()).toEqual([]);
}, 20_000);
