// What scrun adds to a container: `podman run --rm` through scrun, and through the bare runtime that scrun itself uses, by
// turns in one run. Prints a Markdown table. Usage: bun bench/scrun.ts [RUNS], after scripts/build, as an ordinary user,
// on an idle machine.
import { canRunPodman, IMAGE, PodmanSite } from "../test/peers/podman.ts";

const runs = Number(process.argv[2] ?? 25);
const WARM_UP = 3;
const BARE = "/usr/sbin/runc"; // what Berth chooses on a host whose cgroups crun refuses

if (!canRunPodman) {
  console.log("podman through scrun is not measured: it needs podman, and an ordinary user");
} else {
  await using site = await PodmanSite.open();
  const times: Record<"scrun" | "bare", number[]> = { scrun: [], bare: [] };
  for (let i = 0; i < WARM_UP + runs; i++) {
    for (const subject of ["scrun", "bare"] as const) {
      const started = Bun.nanoseconds();
      const outcome = await site.podman(["run", "--rm", IMAGE, "true"], subject === "bare" ? { runtime: BARE } : {});
      if (outcome.status !== 0) throw new Error(`${subject}: status ${outcome.status}: ${outcome.stderr}`); // a fast failure is no measurement
      if (i >= WARM_UP) times[subject].push((Bun.nanoseconds() - started) / 1e6);
    }
  }
  const [through, bare] = [median(times.scrun), median(times.bare)];
  console.log("| | podman + scrun | podman + runc | more | ratio |\n| --- | --- | --- | --- | --- |");
  console.log(
    `| podman run --rm IMAGE true, median of ${runs} | ${through.toFixed(0)} ms | ${bare.toFixed(0)} ms | ${(through - bare).toFixed(0)} ms | ${(through / bare).toFixed(2)} |`,
  );
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
