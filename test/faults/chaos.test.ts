// A few seconds of chaos.ts, with another seed each time. For longer: BERTH_CHAOS_SECONDS=600 [BERTH_SEED=N], which also runs podman where an
// ordinary user has it, and BERTH_CHAOS_LOG=1, which tells of every call and every kill.
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { launcherFor } from "#scrun/launcher/launcher.ts";
import { seeded, Site } from "../e2e/site.ts";
import { canRunPodman, IMAGE, PodmanSite } from "../peers/podman.ts";
import { Chaos, type ChaosOptions, type ChaosReport } from "./chaos.ts";

const asked = process.env["BERTH_CHAOS_SECONDS"];
const seconds = Number(asked ?? 5);
const PODMAN_MS = 120_000;
const LIMIT_MS = seconds * 1000 + 200_000;

async function expectOrder(site: Site, more: Pick<ChaosOptions, "podman"> = {}): Promise<void> {
  const startedAt = performance.now();
  const log = (line: string) => console.error(`${((performance.now() - startedAt) / 1000).toFixed(2)} ${line}`);
  const isTold = process.env["BERTH_CHAOS_LOG"] === "1";
  const report: ChaosReport = await new Chaos(site, { random: seeded("chaos"), seconds, ...(isTold ? { log } : {}), ...more }).run();
  const { ran, kills, complaints } = report;
  if (asked !== undefined) console.error(JSON.stringify({ ran, kills }));
  expect(complaints).toEqual([]);
}

test(
  "whatever is killed at whatever moment: no job is lost, each has its end, and nothing is left",
  async () => {
    await using site = new Site();
    writeFileSync(join(site.dir, "bin/scrun"), launcherFor(join(site.dir, "bin/berth")), { mode: 0o755 });
    await expectOrder(site);
  },
  LIMIT_MS,
);

test.skipIf(asked === undefined || !canRunPodman)(
  "the same under podman",
  async () => {
    await using site = await PodmanSite.open();
    await expectOrder(site, {
      podman: async (script) => {
        const command = site.startPodman(["run", "--rm", IMAGE, "sh", "-c", script]);
        const ended = await Promise.race([command.outcome, Bun.sleep(PODMAN_MS)]);
        command.kill("SIGKILL");
        if (ended === undefined) throw new Error(`did not end within ${PODMAN_MS} ms: ${command.stderrSoFar}`);
      },
    });
    // Containers whose engine was killed are the engine's to remove.
    await site.podman(["rm", "-f", "-a", "-t", "0"], { timeoutMs: 120_000 });
    await site.nothingLeft();
  },
  LIMIT_MS,
);
