// Requests that contradict themselves or the nodes, against what Slurm 22.05 with two nodes of four CPUs answered.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Site } from "./site.ts";

let site: Site;
beforeAll(() => {
  site = new Site({
    conf: "NodeName=c[1-2] CPUs=4 Sockets=4 CoresPerSocket=1 ThreadsPerCore=1 RealMemory=6026 TmpDisk=100\nPartitionName=debug Nodes=ALL Default=YES\nKillWait=2\n",
  });
});
afterAll(async () => {
  expect(site.complaints()).toEqual([]);
  await site[Symbol.asyncDispose]();
}, 60_000);

const NO_SUCH_SHAPE = "Socket, core and/or thread specification can not be satisfied";
const NO_SUCH_DISK = "Temporary disk specification can not be satisfied";
const OUT_OF_RANGE = "Invalid --nice value, out of range (+/- 2147483645)";
const UNAVAILABLE = "Requested node configuration is not available";
/** Slurm's two lines, and ours: which wish cannot be met, and what there is. */
const refusedJob = (why: string, hint: string) =>
  `srun: error: ${why}\nsrun: error: Unable to allocate resources: ${UNAVAILABLE}\nsrun: cannot be met: ${hint}\n`;
const refusedBatch = (why: string, hint: string) =>
  `sbatch: error: ${why}\nsbatch: error: Batch job submission failed: ${UNAVAILABLE}\nsbatch: cannot be met: ${hint}\n`;
const shape = (sockets: string, cores: string, threads: string) =>
  `${sockets} sockets, ${cores} cores per socket, ${threads} threads per core on a node; partition "debug" has 4:1:1`;
const disk = (wanted: string) => `${wanted} of temporary disk on a node (--tmp); partition "debug" has 100M at most`;
const MEMORY = 'partition "debug" has 6026M on a node at most (c1)';
const QUEUE_TITLES = "             JOBID PARTITION     NAME     USER ST       TIME  NODES NODELIST(REASON)\n";
const unsortable = (letter: string) => `squeue: error: Invalid sort specification: ${letter}\n`;

const ROWS: readonly (readonly [line: string, status: number, stderr: string, stdout?: string])[] = [
  ...["srun --container-image=alpine true", "sbatch --container-mounts=/a:/b --wrap true", "salloc --container-name=x true"].map(
    (line): (typeof ROWS)[number] => {
      const [command, option] = line.split(" ");
      return [
        line,
        255,
        `${command}: unrecognized option '${option}'\n` +
          `${command}: Pyxis and its options are not here: make a bundle of the image (skopeo copy, umoci unpack), and run --container BUNDLE\n` +
          `Try "${command} --help" for more information\n`,
      ];
    },
  ),
  ["srun -w c1 -x c1 true", 1, "srun: error: Unable to allocate resources: Invalid node name specified\n"],
  ["sbatch -w c1 -x c1 --wrap true", 1, "sbatch: error: Batch job submission failed: Invalid node name specified\n"],
  [
    "srun -w c1,c2 -N1 echo ran",
    0,
    "srun: error: Required nodelist includes more nodes than permitted by max-node count (2 > 1). Eliminating nodes from the nodelist.\n",
    "ran\n",
  ],
  ["sbatch -w c1,c2 -N1 --wrap true", 1, "sbatch: error: invalid number of nodes (-N 2-1)\n"],
  ["salloc -w c1,c2 -N1 true", 1, "salloc: error: invalid number of nodes (-N 2-1)\n"],
  ["srun --nice=99999999999 true", 255, `srun: error: ${OUT_OF_RANGE}\n`],
  ["sbatch --nice=2147483646 --wrap true", 255, `sbatch: error: ${OUT_OF_RANGE}\n`],
  ["salloc --nice=-2147483646 true", 255, `salloc: error: ${OUT_OF_RANGE}\n`],
  ["srun -B 9 true", 1, refusedJob(NO_SUCH_SHAPE, shape("9", "any", "any"))],
  ["srun --cores-per-socket=99 true", 1, refusedJob(NO_SUCH_SHAPE, shape("any", "99", "any"))],
  ["sbatch -n1 -B 9 --wrap true", 1, refusedBatch(NO_SUCH_SHAPE, shape("9", "any", "any"))],
  ["sbatch --threads-per-core=9 --wrap true", 1, refusedBatch(NO_SUCH_SHAPE, shape("any", "any", "9"))],
  ["srun -n2 --sockets-per-node=2 echo ran", 0, "", "ran\nran\n"],
  ["srun --tmp=999999999 true", 1, refusedJob(NO_SUCH_DISK, disk("999999999M"))],
  ["sbatch --tmp=9T --wrap true", 1, refusedBatch(NO_SUCH_DISK, disk("9216G"))],
  ["srun --mem=900G true", 1, refusedJob("Memory specification can not be satisfied", `900G of memory on a node (--mem); ${MEMORY}`)],
  [
    "sbatch -c9 --wrap true",
    1,
    refusedBatch(
      "CPU count per node can not be satisfied",
      '9 CPUs for a task (--cpus-per-task); partition "debug" has 4 on a node at most (c1)',
    ),
  ],
  [
    "sbatch --test-only -N3 --wrap true",
    1,
    `allocation failure: ${UNAVAILABLE}\nsbatch: cannot be met: 3 nodes (--nodes); partition "debug" has 2\n`,
  ],
  ["srun --tmp=100 echo ran", 0, "", "ran\n"],
  ["sinfo -h -n nosuch", 0, "", "debug*       up   infinite      0    n/a \n"],
  ["sinfo -h -n nosuch,c1", 0, "", "debug*       up   infinite      1   idle c1\n"],
  ["scontrol wait_job", 1, "too few arguments for keyword:wait_job\n"],
  ["scontrol wait_job 999", 1, "scontrol: Problem running job 999\n"],
  ["squeue -S y", 1, unsortable("y"), QUEUE_TITLES],
  ["squeue -S i,k,y", 1, unsortable("y"), QUEUE_TITLES],
  ["squeue -S %", 1, unsortable("%"), QUEUE_TITLES],
  ["squeue -h -S i,Z", 1, unsortable("Z")],
  ["squeue -h -S ,", 0, ""],
  ["squeue -h -s -S y", 0, ""],
];

test.each(ROWS)("%s", async (line, status, stderr, stdout = "") => {
  expect(await site.run(line.split(" ") as [string, ...string[]])).toEqual({ status, stdout, stderr });
});

test("scontrol shows the commands that it reads, as a terminal would", async () => {
  const { status, stdout, stderr } = await site.run(["scontrol"], { stdin: "hostlist\nshow hostnames c[1-2]\nbad\nquit\n" });
  expect(stdout).toBe("scontrol: hostlist\nscontrol: show hostnames c[1-2]\nc1\nc2\nscontrol: bad\nscontrol: quit\n");
  expect(stderr).toBe("invalid keyword: hostlist\ninvalid keyword: bad\n");
  expect(status).toBe(1);
  expect((await site.run(["scontrol"], { stdin: "version\n" })).stdout).toMatch(/^scontrol: version\nslurm-wlm \S+\nscontrol: \n$/);
});
