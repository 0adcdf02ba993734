// The contract of every engine, on a real Slurm of four nodes.
import { afterAll, describe, test } from "bun:test";
import { contractOf } from "../contract/engine.ts";
import { canRunContainers, haveSlurm, SlurmSite } from "./site.ts";

if (haveSlurm) {
  const site = new SlurmSite({ nodes: 4, cpus: 16 });
  afterAll(() => site[Symbol.asyncDispose](), 60_000);
  contractOf({
    name: "slurm",
    open: () => Promise.resolve(site.engine()),
    place: { workDir: site.workDir, bundle: canRunContainers ? site.bundle : null },
    killWaitSeconds: 5,
    lacks: {},
  });
} else {
  describe("engine: slurm", () => test.skip("Slurm is not installed", () => undefined));
}
