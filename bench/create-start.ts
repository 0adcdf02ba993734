// The create and start flow of oci.conf: how long after the container's own end srun ends, and what the step daemon costs
// while it waits. Prints a Markdown table. Usage: bun bench/create-start.ts [RUNS], after scripts/build, on an idle machine.
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { makePreset } from "#container/presets.ts";
import { Site, until } from "../test/oci/site.ts";

const runs = Number(process.argv[2] ?? 25);
const berth = join(import.meta.dir, "../dist/berth");
const TICKS_PER_SECOND = 100;
const WATCH_MS = 10_000;

console.log(
  "| runtime | flow | end of the container to end of srun, median (max) | step daemon while it waits |\n| --- | --- | --- | --- |",
);
for (const flow of ["run", "create-start"] as const) {
  await using site = new Site();
  site.place.makeBundle((config) => {
    config["root"].readonly = false;
  });
  site.conf(makePreset("runc", flow, { runtimeRoot: site.runtimeRoot, scriptDir: "", exists: () => false }).conf);
  const srun = (...command: readonly string[]) =>
    Bun.spawn([berth, "srun", "-Q", "--container", site.bundle, ...command], {
      cwd: site.dir,
      env: site.env,
      stdio: ["ignore", "ignore", "ignore"],
    });
  const lags: number[] = [];
  for (let i = 0; i < runs; i++) {
    // The program's last deed is a file whose time tells when.
    if ((await srun("sh", "-c", "sleep 0.2; exec touch /w/end").exited) !== 0) throw new Error("srun failed");
    lags.push(Date.now() - statSync(join(site.bundle, "rootfs/w/end")).mtimeMs);
  }
  lags.sort((a, b) => a - b);
  const waiting = srun("sleep", "60");
  const daemon = await until(
    "the step daemon",
    () => site.journal().flatMap((entry) => (entry.kind === "daemon" ? [entry.process.pid] : []))[0],
  );
  await Bun.sleep(2000); // what starting costs is not what waiting costs
  const before = cpuTicks(daemon);
  await Bun.sleep(WATCH_MS);
  const percent = ((cpuTicks(daemon) - before) / TICKS_PER_SECOND / (WATCH_MS / 1000)) * 100;
  waiting.kill();
  await waiting.exited;
  console.log(
    `| runc | ${flow} | ${lags[lags.length >> 1]?.toFixed(0)} ms (${lags.at(-1)?.toFixed(0)} ms) | ${percent.toFixed(1)} % of a core |`,
  );
}

/** User and system time (proc(5)). */
function cpuTicks(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
}
