// On a real Slurm of one node: what `berth srun --container` costs beside the same Slurm's own `srun --container` and plain
// `srun`. The subjects take turns; medians are printed. Never a test: nothing fails on a time.
//
//   scripts/build && node_modules/.bin/bun bench/slurm.ts [--runs N]
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BERTH, SlurmSite } from "../test/slurm/site.ts";

const at = process.argv.indexOf("--runs");
const RUNS = at < 0 ? 30 : Number(process.argv[at + 1]);
const WARM_UP = 3;

await using site = new SlurmSite({ nodes: 1, cpus: 4 });
completeBundle();
const conf = join(site.runtime, "berth/slurm/oci.conf");
const id = "%n.%u.%j.%s.%t";
const runc = `runc --root=${site.dir}/oci`;
writeFileSync(
  conf,
  [
    `RunTimeQuery="${runc} state ${id}"`,
    `RunTimeKill="${runc} kill -a ${id}"`,
    `RunTimeDelete="${runc} delete --force ${id}"`,
    `RunTimeRun="${runc} run -b %b ${id}"`,
  ]
    .map((line) => `${line}\n`)
    .join(""),
);

const subjects: Readonly<Record<string, { readonly argv: readonly string[]; readonly hasOciConf: boolean }>> = {
  "srun true": { argv: ["srun", "/bin/true"], hasOciConf: true },
  "berth srun true": { argv: [BERTH, "srun", "/bin/true"], hasOciConf: true },
  "srun --container (Slurm's own, runc)": { argv: ["srun", "--container", site.bundle, "/bin/true"], hasOciConf: true },
  "berth srun --container (same oci.conf, runc)": { argv: [BERTH, "srun", "--container", site.bundle, "/bin/true"], hasOciConf: true },
  "berth srun --container (no oci.conf)": { argv: [BERTH, "srun", "--container", site.bundle, "/bin/true"], hasOciConf: false },
};

/** Slurm changes nothing in a bundle for those who are not root: it must be rootless already. */
function completeBundle(): void {
  const uid = process.getuid?.() ?? 0;
  if (uid === 0) return;
  const file = join(site.bundle, "config.json");
  const config = JSON.parse(readFileSync(file, "utf8")) as { linux: Record<string, unknown> & { namespaces: unknown[] } };
  config.linux.namespaces.push({ type: "user" });
  const map = (hostID: number) => [{ containerID: 0, hostID, size: 1 }];
  Object.assign(config.linux, { uidMappings: map(uid), gidMappings: map(process.getgid?.() ?? 0) });
  writeFileSync(file, JSON.stringify(config));
}

function timed(argv: readonly string[]): number {
  const started = Bun.nanoseconds();
  const { success, stderr } = Bun.spawnSync([...argv], {
    env: site.env,
    cwd: site.workDir,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const ms = (Bun.nanoseconds() - started) / 1e6;
  if (!success) throw new Error(`${argv.join(" ")}: ${stderr.toString()}`);
  return ms;
}

/** Slurm's own srun returns before the node has deleted its container: that is not to be the next one's load. */
const SETTLE_MS = 250;

const times = new Map<string, number[]>(Object.keys(subjects).map((name) => [name, []]));
for (let run = -WARM_UP; run < RUNS; run++) {
  for (const [name, { argv, hasOciConf }] of Object.entries(subjects)) {
    if (!hasOciConf) renameSync(conf, `${conf}.off`);
    try {
      Bun.sleepSync(SETTLE_MS);
      const ms = timed(argv);
      if (run >= 0) times.get(name)?.push(ms);
    } finally {
      if (!hasOciConf) renameSync(`${conf}.off`, conf);
    }
  }
}
const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const plain = median(times.get("srun true") ?? []);
console.log(`| command | median of ${RUNS}, ms | over plain srun |\n| --- | --- | --- |`);
for (const [name, values] of times) console.log(`| ${name} | ${median(values).toFixed(1)} | ${(median(values) - plain).toFixed(1)} |`);
