// A long queue: 5 000 and 100 000 pending jobs, half of them tasks of arrays, behind one job that holds the machine.
// Prints what users wait for (submission, squeue, scontrol, scancel), the controller's memory and its scheduling pass.
// Never a test: nothing fails on a time. Everything runs in a private directory and is stopped and removed at the end.
//
//   npm run bench -- pending [N...]     other lengths than 5 000 and 100 000
//
// The queue is filled over one connection, as fast as the controller accepts; the commands measured are real processes.
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { JobRequest } from "#job/request.ts";

const ROOT = resolve(import.meta.dir, "..");
const COMMANDS = ["berth", "sbatch", "squeue", "scontrol", "scancel"];
const TASKS_PER_ARRAY = 1000;
/** Submissions that are under way at a time. */
const ABREAST = 100;
const RUNS = 9;

const sizes = process.argv
  .slice(2)
  .map(Number)
  .filter((size) => size > 0);
const dir = mkdtempSync(join(tmpdir(), "berth-bench-"));
for (const name of ["bin", "home", "work"]) mkdirSync(join(dir, name));
mkdirSync(join(dir, "home/.config/berth"), { recursive: true });
mkdirSync(join(dir, "xdg"), { mode: 0o700 });
writeFileSync(join(dir, "home/.config/berth/berth.conf"), "NodeName=n1 CPUs=2 RealMemory=4000\nPartitionName=main Nodes=n1 Default=YES\n");
const berth = realpathSync(process.env["BERTH"] ?? join(ROOT, "dist/berth"));
for (const name of COMMANDS) symlinkSync(berth, join(dir, "bin", name));
const env = { HOME: join(dir, "home"), USER: "bench", LANG: "C.UTF-8", PATH: "/usr/bin:/bin", XDG_RUNTIME_DIR: join(dir, "xdg") };

function run(name: string, ...rest: string[]): { readonly ms: number; readonly stdout: string } {
  const started = Bun.nanoseconds();
  const result = Bun.spawnSync([join(dir, "bin", name), ...rest], { env, cwd: join(dir, "work"), stdin: "ignore", stderr: "pipe" });
  const ms = (Bun.nanoseconds() - started) / 1e6;
  if (!result.success) throw new Error(`${name} ${rest.join(" ")}: status ${result.exitCode}: ${result.stderr.toString()}`);
  return { ms, stdout: result.stdout.toString() };
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
const timesOf = (name: string, ...rest: string[]) => median(Array.from({ length: RUNS }, () => run(name, ...rest).ms));

interface Status {
  readonly pid: number;
  readonly passes: { readonly count: number; readonly lastMs: number; readonly longestMs: number };
}

async function main(): Promise<void> {
  Object.assign(process.env, env);
  run("sbatch", "--exclusive", "-t", "2000", "--wrap", "sleep 100000");
  const { EmbeddedEngine } = await import("#engine/embedded/client.ts");
  const { parseSbatch, mergeSbatch } = await import("#options/sbatch.ts");
  const { parseSbatchDirectives, wrapScript } = await import("#options/batch-script.ts");
  const { parseContext, submitContext } = await import("#commands/context.ts");
  const script = wrapScript("true");
  /** What `sbatch` would send. */
  const requestFor = (argv: readonly string[]): JobRequest => {
    const merged = mergeSbatch({ line: parseSbatch(argv, env), directives: parseSbatchDirectives(script), env, context: parseContext() });
    const submit = submitContext({ command: "sbatch", argv, chdir: join(dir, "work"), environment: env });
    return { kind: "batch", options: merged.job, submit, batch: { ...merged.batch, script, scriptPath: null }, command: null };
  };
  await using engine = new EmbeddedEngine();
  const signal = new AbortController().signal;
  const status = async () => (await engine.status({ signal })) as Status;
  const { pid } = await status();
  const memory = () => {
    const field = (name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1]) / 1024;
    return { rss: field("Rss"), own: field("Private_Dirty") + field("Private_Clean") };
  };
  const rows: string[][] = [];
  const measure = async (label: string, fillMs: number | null) => {
    const sbatch = timesOf("sbatch", "--wrap", "true");
    const squeue = timesOf("squeue", "-h");
    const jobId = run("sbatch", "--parsable", "--wrap", "true").stdout.trim();
    const one = timesOf("squeue", "-h", "-j", jobId);
    const shown = timesOf("scontrol", "show", "job", jobId);
    const passes: number[] = [];
    for (let i = 0; i < RUNS; i++) {
      run("sbatch", "--wrap", "true");
      passes.push((await status()).passes.lastMs);
    }
    const { rss, own } = memory();
    rows.push([
      label,
      fillMs === null ? "–" : (fillMs / 1000).toFixed(1),
      ...[sbatch, squeue, one, shown, median(passes)].map((ms) => ms.toFixed(1)),
      `${rss.toFixed(0)} / ${own.toFixed(0)}`,
    ]);
  };
  await measure("0", null);
  for (const size of sizes.length > 0 ? sizes : [5000, 100_000]) {
    const started = performance.now();
    const arrays = Math.floor(size / 2 / TASKS_PER_ARRAY);
    const singles = size - arrays * TASKS_PER_ARRAY;
    let next = 0;
    const submitter = async () => {
      for (let index = next++; index < singles + arrays; index = next++) {
        const array = index < singles ? [] : [`--array=0-${TASKS_PER_ARRAY - 1}`];
        await engine.submit(requestFor([...array, "-t", String(1 + (index % 600)), "-J", `job${index}`, "--wrap", "true"]), { signal });
      }
    };
    await Promise.all(Array.from({ length: ABREAST }, submitter));
    await measure(String(size), performance.now() - started);
    const cancelled = run("scancel", "-u", String(process.getuid?.() ?? 0), "-t", "PENDING").ms;
    rows.at(-1)?.push(cancelled.toFixed(0));
    await Bun.sleep(1000);
    const left = run("squeue", "-h", "-t", "PD").stdout;
    if (left !== "") throw new Error(`jobs are left after scancel: ${left.slice(0, 200)}`);
    rows.at(-1)?.push(memory().own.toFixed(0));
  }
  const heads = [
    "pending",
    "fill (s)",
    "sbatch",
    "squeue -h",
    "squeue -j",
    "scontrol show job",
    "pass",
    "memory RSS / own (MB)",
    "scancel of all",
    "own memory then",
  ];
  console.log(`Milliseconds, medians of ${RUNS}; a long list of jobs, half of them in arrays of ${TASKS_PER_ARRAY}.\n`);
  for (const row of [heads, heads.map(() => "---"), ...rows]) console.log(`| ${row.join(" | ")} |`);
}

try {
  await main();
} finally {
  Bun.spawnSync([join(dir, "bin/berth"), "daemon", "stop", "--jobs"], { env });
  rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
}
