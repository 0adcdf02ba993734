// What programs are told, against the variables of a real Slurm 22.05 (two nodes of four CPUs, one socket each, no task plugin).
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Site } from "./site.ts";

/** Names without SLURM_; null: not set. */
type Told = Readonly<Record<string, string | null>>;
type Row = readonly [argv: readonly [string, ...string[]], told: Told];

const cpuBinding = (type: string) => ({
  CPU_BIND: `quiet,${type}`,
  CPU_BIND_LIST: "",
  CPU_BIND_TYPE: type,
  CPU_BIND_VERBOSE: "quiet",
});
const memBinding = (type: string, list = "", verbose = "quiet") => ({
  MEM_BIND: `${verbose},${type}${list}`,
  MEM_BIND_LIST: list,
  MEM_BIND_TYPE: type,
  MEM_BIND_VERBOSE: verbose,
});

const SRUN: readonly Row[] = [
  [["srun"], { DISTRIBUTION: null, CPU_BIND: null, MEM_BIND: null, CPU_FREQ_REQ: null, HINT: null, LABELIO: null, CPUS_ON_NODE: "1" }],
  [["srun", "-c2"], { DISTRIBUTION: null, CPUS_PER_TASK: "2", CPUS_ON_NODE: "2" }],
  [["srun", "-n2", "-c2"], { DISTRIBUTION: null, CPUS_PER_TASK: "2", CPUS_ON_NODE: "4" }],
  [["srun", "--mem=100M"], { DISTRIBUTION: "cyclic", MEM_PER_NODE: null }],
  [["srun", "-n2", "--mem=10M"], { DISTRIBUTION: "block", MEM_PER_NODE: null }],
  [["srun", "--mem-per-cpu=100M", "-c2"], { DISTRIBUTION: "cyclic", MEM_PER_CPU: null }],
  [["srun", "--mem=0"], { DISTRIBUTION: null, MEM_PER_NODE: null }],
  [["srun", "--exclusive"], { CPUS_ON_NODE: "4", DISTRIBUTION: null, JOB_CPUS_PER_NODE: "4", JOB_CPUS_PER_NODE_PACK_GROUP_0: null }],
  [["srun", "--exclusive", "--mem=10M"], { CPUS_ON_NODE: "4", DISTRIBUTION: "cyclic" }],
  [["srun", "--exact"], { CPUS_ON_NODE: "1", DISTRIBUTION: null }],
  [["srun", "-N2", "-n2", "-m", "plane=1"], { DISTRIBUTION: "plane", DIST_PLANESIZE: "1" }],
  [["srun", "--hint=compute_bound"], { HINT: null, THREADS_PER_CORE: "1", ...cpuBinding("cores") }],
  [["srun", "--hint=memory_bound"], { HINT: null, THREADS_PER_CORE: "1", ...cpuBinding("cores") }],
  [["srun", "--hint=multithread"], { HINT: null, THREADS_PER_CORE: null, ...cpuBinding("threads") }],
  [["srun", "--hint=nomultithread"], { HINT: null, THREADS_PER_CORE: "1", ...cpuBinding("threads") }],
  [["srun", "--threads-per-core=1"], { THREADS_PER_CORE: "1", ...cpuBinding("threads") }],
  [["srun", "--threads-per-core=1", "--cpu-bind=none"], { THREADS_PER_CORE: "1", ...cpuBinding("none") }],
  [["srun", "-B", "1:1:1"], { THREADS_PER_CORE: "1", ...cpuBinding("threads") }],
  [["srun", "-B", "1:1"], { THREADS_PER_CORE: null, ...cpuBinding("cores") }],
  [["srun", "--cores-per-socket=1"], { THREADS_PER_CORE: null, CPU_BIND: null }],
  [["srun", "--cpu-freq=highm1"], { CPU_FREQ_REQ: "Highm1" }],
  [["srun", "--cpu-freq=1000-2000"], { CPU_FREQ_REQ: "1000-2000" }],
  [["srun", "--cpu-freq=low-high:ondemand"], { CPU_FREQ_REQ: "Low-High:OnDemand" }],
  [["srun", "--mem-bind=local"], { ...memBinding("local"), MEM_BIND_PREFER: null, MEM_BIND_SORT: null }],
  [["srun", "--mem-bind=v,local"], memBinding("local", "", "verbose")],
  [["srun", "--mem-bind=map_mem:0"], memBinding("map_mem:", "0")],
  [["srun", "--mem-bind=mask_mem:1"], memBinding("mask_mem:", "1")],
  [["srun", "--mem-bind=prefer"], { MEM_BIND: "quiet,prefer", MEM_BIND_TYPE: "", MEM_BIND_PREFER: "prefer" }],
  [["srun", "--mem-bind=sort,local"], { ...memBinding("local"), MEM_BIND_SORT: "sort" }],
  [["srun", "--mem-bind=quiet"], { MEM_BIND: null, MEM_BIND_TYPE: null, MEM_BIND_VERBOSE: null }],
];

const SALLOC: readonly Row[] = [
  [["salloc"], { DISTRIBUTION: null, CPU_FREQ_REQ: null, MEM_BIND: null, NTASKS: null }],
  [["salloc", "-n2", "-c2", "--mem=50M", "-m", "block"], { CPUS_PER_TASK: "2", DISTRIBUTION: "block", MEM_PER_NODE: "50", NTASKS: "2" }],
  [
    ["salloc", "-n2", "--cpu-freq=low", "--mem-bind=local"],
    { CPU_FREQ_REQ: "Low", MEM_BIND: "local", MEM_BIND_VERBOSE: null, MEM_BIND_TYPE: null },
  ],
  [
    ["salloc", "-n2", "srun"],
    { DISTRIBUTION: "block", JOB_CPUS_PER_NODE_PACK_GROUP_0: "2", CPUS_ON_NODE: "2", NTASKS: "2", CPUS_PER_TASK: null },
  ],
  [["salloc", "-n2", "srun", "-n1", "-c2"], { DISTRIBUTION: "cyclic", CPUS_PER_TASK: "2", CPUS_ON_NODE: "2", NTASKS: "1" }],
  [
    ["salloc", "-N2", "--exclusive", "srun", "-N1", "-n1"],
    { JOB_CPUS_PER_NODE_PACK_GROUP_0: "4(x2)", CPUS_ON_NODE: "4", DISTRIBUTION: "cyclic" },
  ],
  [["salloc", "-n2", "--mem=64", "srun", "-n1", "--mem=32"], { MEM_PER_NODE: "64", MEM_PER_CPU: null, DISTRIBUTION: "cyclic" }],
  [["salloc", "-n2", "--cpu-freq=low", "--mem-bind=local", "srun", "-n1"], { CPU_FREQ_REQ: "Low", ...memBinding("local") }],
];

const SBATCH: readonly (readonly [options: readonly string[], body: string, told: Told])[] = [
  [["-n2", "-c2", "--mem=50M"], "", { CPUS_PER_TASK: "2", CPUS_ON_NODE: "4", MEM_PER_NODE: "50", NTASKS: "2", DISTRIBUTION: null }],
  [
    ["--cpu-freq=low-high", "--mem-bind=v,local"],
    "",
    { CPU_FREQ_REQ: "Low-High", MEM_BIND: "verbose,local", MEM_BIND_VERBOSE: "verbose", MEM_BIND_LIST: null },
  ],
  [["--cpu-freq=low-high", "--mem-bind=v,local"], "srun", { CPU_FREQ_REQ: "Low-High", ...memBinding("local", "", "verbose") }],
  [["-n2"], "srun -n1", { DISTRIBUTION: "cyclic", JOB_CPUS_PER_NODE_PACK_GROUP_0: "2" }],
  [["-n2", "--mem=64M", "--hint=nomultithread"], "srun -n1", { ...cpuBinding("threads"), MEM_PER_NODE: "64", HINT: "nomultithread" }],
  [["--export=ALL"], "", { GET_USER_ENV: null }],
  [["--export=ALL,A=b"], "", { GET_USER_ENV: "1", EXPORT_ENV: "ALL,A=b" }],
  [["--export=NIL"], "", { GET_USER_ENV: "1", EXPORT_ENV: "NIL" }],
];

let site: Site;
beforeAll(() => {
  site = new Site({
    conf: "NodeName=c[1-2] CPUs=4 Sockets=4 CoresPerSocket=1 ThreadsPerCore=1 RealMemory=6026\nPartitionName=debug Nodes=ALL Default=YES\nKillWait=2\n",
  });
});
afterAll(async () => {
  expect(site.complaints()).toEqual([]);
  await site[Symbol.asyncDispose]();
}, 60_000);

const PRINT = ["sh", "-c", 'test "${SLURM_PROCID:-0}" != 0 || env'] as const;

/** What of `told` an environment says, to be compared with it. */
function picked(text: string, told: Told): Told {
  const variables = new Map(text.split("\n").map((line) => line.split(/=(.*)/s) as [string, string]));
  return Object.fromEntries(Object.keys(told).map((name) => [name, variables.get(`SLURM_${name}`) ?? null]));
}

describe("told as by Slurm 22.05", () => {
  test.each([...SRUN, ...SALLOC])("%j", async (argv, told) => {
    const { status, stdout } = await site.run([...argv, ...PRINT]);
    expect(status).toBe(0);
    expect(picked(stdout, told)).toEqual(told);
  });

  test.each(SBATCH)("sbatch %j %s", async (options, body, told) => {
    const { status } = await site.run(["sbatch", "-W", "-o", "env.out", ...options, "--wrap", `${body} env`]);
    expect(status).toBe(0);
    expect(picked(site.read("env.out"), told)).toEqual(told);
  });
});
