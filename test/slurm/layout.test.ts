// Where tasks go: the embedded engine's four nodes beside four of a real Slurm, call by call.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Site } from "../e2e/site.ts";
import { haveSlurm, SlurmSite } from "./site.ts";

const SHOW =
  "echo $SLURM_PROCID $SLURMD_NODENAME $SLURM_LOCALID $SLURM_NODEID $SLURM_GTIDS $SLURM_STEP_TASKS_PER_NODE $SLURM_STEP_NODELIST";
const HOSTS = "c2\\nc1\\nc2\\nc3\\nc4\\n";

/** Jobs of srun's own. All have all nodes, because which ones are free depends on what ended before. */
const JOBS = [
  ...[5, 8, 13].flatMap((tasks) => ["block", "cyclic", "plane=2", "plane=3", "block:cyclic"].map((how) => `srun -N4 -n${tasks} -m ${how}`)),
  "srun -N4 --ntasks-per-node=2",
  "srun -N4 -n6 --ntasks-per-node=2",
  "srun -N4 -n6 -c2 -m cyclic",
  "srun -n16",
  "srun -n5 -m arbitrary -w $PWD/hosts",
  "srun -n6 -m arbitrary -w $PWD/hosts",
  "SLURM_HOSTFILE=$PWD/hosts srun -n5",
  "SLURM_HOSTFILE=$PWD/hosts srun -n6",
  "srun -m arbitrary -n2",
];

/** Steps in an allocation of all CPUs. */
const STEPS = [
  ...["", "-N2 -n4", "-n6", "-n6 -m cyclic", "-n6 --exact", "-N3 -n7 -m plane=2", "-n8 -m plane=2", "-n7 -c2"],
  ...["-N1 -n3 --exact", "-N1 -r2 -n2", "-N4 -n6", "-w c3 -n2", "-w c3,c2 -n4", "-x c1 -n3", "-N2 -w c4 -n2"],
  ...["--ntasks-per-node=1 -n4", "-n20", "-O -n20", "-O -n18 -m cyclic", "-n4 -m arbitrary -w $PWD/hosts"],
].map((options) => `srun ${options}`);

describe.skipIf(!haveSlurm)("tasks of srun go where Slurm puts them", () => {
  let slurm: SlurmSite;
  let own: Site;
  beforeAll(() => {
    slurm = new SlurmSite({ nodes: 4, cpus: 4 });
    own = new Site({ conf: "NodeName=c[1-4] CPUs=4 RealMemory=1000\nPartitionName=debug Nodes=ALL Default=YES\nKillWait=2\n" });
  }, 60_000);
  afterAll(async () => {
    await own[Symbol.asyncDispose]();
    await slurm[Symbol.asyncDispose]();
  }, 60_000);

  /** Runs all calls in one shell, in `around` if there is one; what each printed, on both. */
  async function compare(calls: readonly string[], around: readonly string[]): Promise<void> {
    const script = [
      `printf '${HOSTS}' >"$PWD/hosts"`,
      ...calls.flatMap((call) => [
        `timeout 60 env ${call} sh -c '${SHOW}' 2>err </dev/null | sort -n`,
        "grep -E '(Warning|error):' err | sed 's/for job [0-9]*/for job N/'",
        "echo ---",
      ]),
    ].join("\n");
    const [name = "/bin/bash", ...rest] = [...around, "/bin/bash", "-c", script];
    const [theirs, ours] = await Promise.all([slurm.run([name, ...rest]), own.run([name, ...rest], { timeoutMs: 100_000 })]);
    const [expected, found] = [theirs.stdout.split("---\n"), ours.stdout.split("---\n")];
    for (const [i, call] of calls.entries()) expect(`${call}\n${found[i]}`).toBe(`${call}\n${expected[i]}`);
    // It ran at all.
    expect(expected.filter((text) => text.includes("c4")).length).toBeGreaterThan(calls.length / 3);
  }

  test("in jobs of their own", () => compare(JOBS, []), 120_000);
  test("in an allocation", () => compare(STEPS, ["salloc", "-Q", "-N4", "-n16"]), 120_000);
});
