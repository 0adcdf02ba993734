// Side by side: Berth against what it can be compared with, in one run, so that ratios and differences count even where
// absolute times drift. The subjects of a row take turns (A B A B …), medians are printed, and a peer that is not
// installed or does not run here leaves its column empty and is named below the table. Never a test: nothing fails on a time.
//
//   npm run bench                     all rows, 40 runs each
//   scripts/bench --runs 10 squeue    fewer runs, only the rows whose name contains "squeue"
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { arch, cpus, release, tmpdir, userInfo } from "node:os";
import { join, resolve } from "node:path";

type Column = "berth" | "runc" | "crun" | "empty program" | "Slurm";
interface Row {
  readonly name: string;
  readonly subjects: Partial<Readonly<Record<Column, readonly string[] | (() => Promise<void>)>>>;
  /** How often, when not as often as the others. */
  readonly runs?: number;
}

const ROOT = resolve(import.meta.dir, "..");
const SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
const COMMANDS = ["berth", "srun", "sbatch", "squeue", "scancel", "sacct", "sinfo"];
const WARM_UP = 3;
const STORM = 300;

const args = process.argv.slice(2);
const runsAt = args.indexOf("--runs");
const RUNS = runsAt < 0 ? 40 : Number(args[runsAt + 1]);
const wanted = args.filter((_arg, index) => runsAt < 0 || (index !== runsAt && index !== runsAt + 1));

// --- the place ---------------------------------------------------------------------------------------------------

const dir = mkdtempSync(join(tmpdir(), "berth-bench-"));
for (const name of ["bin", "home", "work", "runtime"]) mkdirSync(join(dir, name));
mkdirSync(join(dir, "xdg"), { mode: 0o700 });
const user = Bun.spawnSync(["id", "-un"]).stdout.toString().trim(); // userInfo() believes $USER
const berth = realpathSync(join(ROOT, "dist/berth"));
for (const name of COMMANDS) symlinkSync(berth, join(dir, "bin", name));
const env: Record<string, string> = {
  HOME: join(dir, "home"),
  USER: user,
  LANG: "C.UTF-8",
  PATH: SYSTEM_PATH,
  XDG_RUNTIME_DIR: join(dir, "xdg"),
};
const own = (name: string, ...rest: string[]): string[] => [join(dir, "bin", name), ...rest];
const notes: string[] = [];

/** Runs once, output dropped. @returns milliseconds @throws when the command fails: a fast failure is no measurement */
function timed(argv: readonly string[]): number {
  const started = Bun.nanoseconds();
  const result = Bun.spawnSync([...argv], { env, cwd: join(dir, "work"), stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const ms = (Bun.nanoseconds() - started) / 1e6;
  if (!result.success) {
    const said = result.stderr.toString().trim().split("\n").at(-1);
    throw new Error(`${argv.join(" ").replaceAll(dir, "")}: status ${result.exitCode}: ${said}`);
  }
  return ms;
}

/** The trivial bundle: busybox, as runc itself describes it, without a terminal. Undefined when it cannot be made. */
async function makeBundle(): Promise<string | undefined> {
  const busybox = Bun.which("busybox", { PATH: SYSTEM_PATH });
  const runtime = Bun.which("runc", { PATH: SYSTEM_PATH }) ?? Bun.which("crun", { PATH: SYSTEM_PATH });
  if (busybox === null || runtime === null) {
    notes.push("no busybox or no OCI runtime: container rows are left out");
    return undefined;
  }
  const bundle = join(dir, "bundle");
  for (const name of ["bin", "dev", "proc", "sys", "tmp"]) mkdirSync(join(bundle, "rootfs", name), { recursive: true });
  copyFileSync(busybox, join(bundle, "rootfs/bin/busybox"));
  chmodSync(join(bundle, "rootfs/bin/busybox"), 0o755);
  for (const applet of ["sh", "true"]) symlinkSync("busybox", join(bundle, "rootfs/bin", applet));
  const rootless = userInfo().uid === 0 ? [] : ["--rootless"];
  Bun.spawnSync([runtime, "spec", ...rootless], { cwd: bundle, env });
  const file = join(bundle, "config.json");
  const config = JSON.parse(readFileSync(file, "utf8"));
  config.process.terminal = false;
  config.process.args = ["true"];
  await Bun.write(file, JSON.stringify(config));
  return bundle;
}

let containers = 0;
/** A bare run of the bundle by one runtime; undefined, with a note, when that does not work here. */
function bareRun(runtime: string, bundle: string): (() => Promise<void>) | undefined {
  const path = Bun.which(runtime, { PATH: SYSTEM_PATH });
  if (path === null) {
    notes.push(`${runtime} is not installed`);
    return undefined;
  }
  const run = () => {
    timed([path, "--root", join(dir, "runtime"), "run", "-b", bundle, `bench-${containers++}`]);
  };
  try {
    run();
  } catch (error) {
    notes.push(`${runtime} does not run here: ${String(error)}`);
    return undefined;
  }
  return async () => run();
}

/** Real Slurm commands that answer: installed, not links to Berth, and with a controller behind them. */
function slurmPath(): string | undefined {
  const srun = Bun.which("srun", { PATH: SYSTEM_PATH });
  if (srun === null || realpathSync(srun) === berth) {
    notes.push("Slurm is not installed");
    return undefined;
  }
  const conf = process.env["SLURM_CONF"];
  if (conf !== undefined) env["SLURM_CONF"] = conf;
  const answer = Bun.spawnSync([join(srun, "../sinfo"), "-h"], { env, timeout: 5000 });
  if (!answer.success) {
    notes.push("Slurm's commands are installed, but no cluster answers");
    return undefined;
  }
  return join(srun, "..");
}

/** 300 submissions one after the other, then waiting until the queue is empty. */
function storm(sbatch: readonly string[], squeue: readonly string[]): () => Promise<void> {
  return async () => {
    for (let i = 0; i < STORM; i++) timed(sbatch);
    for (let polls = 0; polls < 6000; polls++) {
      // two minutes
      const queue = Bun.spawnSync([...squeue], { env, cwd: join(dir, "work"), stdin: "ignore" });
      if (queue.stdout.toString().trim() === "") return;
      await Bun.sleep(20);
    }
    throw new Error(`jobs are left in the queue two minutes after ${STORM} submissions`);
  };
}

// --- rows --------------------------------------------------------------------------------------------------------

async function makeRows(): Promise<Row[]> {
  const empty = join(dir, "empty");
  const built = Bun.spawnSync(
    [process.execPath, "build", "--compile", "--bytecode", "--format=esm", "--minify", join(ROOT, "bench/empty.ts"), "--outfile", empty],
    { cwd: dir },
  );
  if (!built.success) notes.push("the empty program could not be built");
  const slurm = slurmPath();
  const theirs = (name: string, ...rest: string[]) => (slurm === undefined ? {} : { Slurm: [join(slurm, name), ...rest] });
  const bundle = await makeBundle();
  const rows: Row[] = [
    {
      name: "start: --version",
      subjects: {
        berth: own("berth", "--version"),
        ...(built.success && { "empty program": [empty] }),
        ...theirs("srun", "--version"),
      },
    },
    { name: "srun true", subjects: { berth: own("srun", "true"), ...theirs("srun", "true") } },
  ];
  if (bundle !== undefined) {
    const runc = bareRun("runc", bundle);
    const crun = bareRun("crun", bundle);
    rows.push({
      name: "srun --container B true",
      subjects: {
        berth: own("srun", "--container", bundle, "true"),
        ...(runc && { runc }),
        ...(crun && { crun }),
        ...theirs("srun", "--container", bundle, "true"),
      },
    });
  }
  const sbatch = ["-o", "/dev/null", "--wrap", "true"];
  rows.push(
    { name: "sbatch --wrap true", subjects: { berth: own("sbatch", ...sbatch), ...theirs("sbatch", ...sbatch) } },
    { name: "squeue -h", subjects: { berth: own("squeue", "-h"), ...theirs("squeue", "-h") } },
    {
      name: `${STORM} × sbatch --wrap true, to the last end`,
      runs: 3,
      subjects: {
        berth: storm(own("sbatch", ...sbatch), own("squeue", "-h")),
        ...(slurm !== undefined && {
          Slurm: storm([join(slurm, "sbatch"), ...sbatch], [join(slurm, "squeue"), "-h", "-u", user]),
        }),
      },
    },
  );
  return wanted.length === 0 ? rows : rows.filter((row) => wanted.some((word) => row.name.includes(word)));
}

async function measure(row: Row): Promise<Map<Column, number>> {
  const once = async (what: readonly string[] | (() => Promise<void>)): Promise<number> => {
    if (typeof what !== "function") return timed(what);
    const started = Bun.nanoseconds();
    await what();
    return (Bun.nanoseconds() - started) / 1e6;
  };
  const subjects = Object.entries(row.subjects) as [Column, readonly string[] | (() => Promise<void>)][];
  const times = new Map<Column, number[]>(subjects.map(([column]) => [column, []]));
  const runs = row.runs ?? RUNS;
  for (let run = row.runs === undefined ? -WARM_UP : 0; run < runs; run++) {
    for (const [column, what] of subjects) {
      const list = times.get(column);
      if (list === undefined) continue; // it failed before
      try {
        const ms = await once(what);
        if (run >= 0) list.push(ms);
      } catch (error) {
        notes.push(`${row.name}, ${column}: ${String(error)}`);
        times.delete(column);
      }
    }
  }
  return new Map([...times].map(([column, list]) => [column, median(list)]));
}

function median(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

// --- the table ---------------------------------------------------------------------------------------------------

function show(ms: number | undefined): string {
  if (ms === undefined || Number.isNaN(ms)) return "";
  return ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${ms.toFixed(1)} ms`;
}

try {
  const lines: string[] = [];
  for (const row of await makeRows()) {
    console.error(`measuring ${row.name} …`);
    const medians = await measure(row);
    const berthMs = medians.get("berth");
    const versus = (column: Column) => {
      const other = medians.get(column);
      if (other === undefined) return "";
      if (berthMs === undefined) return show(other);
      return `${show(other)} (× ${(berthMs / other).toFixed(2)}, ${berthMs < other ? "" : "+"}${show(berthMs - other)})`;
    };
    const peers = (["empty program", "runc", "crun"] as const).filter((column) => medians.has(column));
    const bare = peers.map((peer) => `${peer} ${versus(peer)}`).join("; ");
    lines.push(`| ${row.name} | ${row.runs ?? RUNS} | ${show(berthMs)} | ${bare} | ${versus("Slurm")} |`);
  }
  console.log(
    `Medians; in brackets Berth ÷ peer and Berth − peer. ${cpus().length} × ${cpus()[0]?.model.trim() ?? "CPU"}, ` +
      `Linux ${release()} ${arch()}, as ${userInfo().uid === 0 ? "root" : "an ordinary user"}.\n`,
  );
  console.log("| work | runs | Berth | bare peer | Slurm |\n| --- | --- | --- | --- | --- |");
  console.log(lines.join("\n"));
  if (notes.length > 0) console.log(`\n${notes.map((note) => `- ${note}`).join("\n")}`);
} finally {
  const stop = ["timeout", "30", ...own("berth", "daemon", "stop", "--jobs")];
  Bun.spawnSync(stop, { env, stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  rmSync(dir, { recursive: true, force: true });
}
