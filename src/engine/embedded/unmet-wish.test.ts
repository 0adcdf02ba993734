import { describe, expect, test } from "bun:test";
import { BerthError } from "#job/errors.ts";
import { emptyCommon } from "#options/job-draft.ts";
import { checkFits, findPartition } from "./admission-checks.ts";
import { askOf } from "./ask.ts";
import { parseConfig } from "./config.ts";
import type { NodeFree } from "./placement.ts";

const config = parseConfig(
  [
    "NodeName=n1 CPUs=2 RealMemory=2048 Gres=gpu:2 Features=old",
    "NodeName=n2 CPUs=4 RealMemory=1000 Gres=fpga:1,gpu:1 Features=new,fast",
    "PartitionName=p Nodes=ALL\nPartitionName=small Nodes=n1",
  ].join("\n"),
  "berth.conf",
);
const total = config.nodes.map(
  (node): NodeFree => ({
    name: node.name,
    totalCpus: node.cpus,
    totalMemMib: node.memMib,
    features: node.features,
    cpus: node.cpus,
    memMib: node.memMib,
    gres: { ...node.gres },
  }),
);

/** The hint of the refusal. */
function hint(options: Partial<ReturnType<typeof emptyCommon>["job"]>): string | undefined {
  const asked = { ...emptyCommon().job, ...options };
  const partition = findPartition(config, asked.partition);
  try {
    checkFits(askOf(asked, partition, config), total, partition);
  } catch (error) {
    if (error instanceof BerthError && error.code === "NODE_CONFIG_UNAVAILABLE") return error.hint;
    throw error;
  }
  return "nothing: it fits";
}

describe("what cannot be met, and what there is", () => {
  test.each([
    [{ memPerNodeMib: 921_600 }, '900G of memory on a node (--mem); partition "p" has 2G on a node at most (n1)'],
    [
      { memPerCpuMib: 1500, cpusPerTask: 2 },
      '1500M of memory for each of 2 CPUs on a node (--mem-per-cpu); partition "p" has 2G on a node at most (n1)',
    ],
    [{ cpusPerTask: 5 }, '5 CPUs for a task (--cpus-per-task); partition "p" has 4 on a node at most (n2)'],
    [{ minCpusPerNode: 5 }, '5 CPUs on a node (--mincpus); partition "p" has 4 on a node at most (n2)'],
    [{ tasksPerNode: 3, cpusPerTask: 2 }, '3 tasks of 2 CPUs on a node (--ntasks-per-node); partition "p" has 4 on a node at most (n2)'],
    [{ gres: "gpu:3" }, '3 of gpu on a node (--gres); partition "p" has 2 on a node at most (n1)'],
    [{ gpusPerTask: "3" }, '3 of gpu for a task (--gpus-per-task); partition "p" has 2 on a node at most (n1)'],
    [{ gpus: "4" }, '4 of gpu for the job (--gpus); partition "p" has 3 on its nodes together'],
    [{ gres: "gpu:2,fpga:1" }, "gpu:2 and fpga:1 on one node (--gres); n1 has gpu:2, n2 has fpga:1,gpu:1"],
    [{ gres: "gpu:1", partition: "small", cpusPerTask: 3 }, '3 CPUs for a task (--cpus-per-task); partition "small" has 2 on a node (n1)'],
    [{ excludeNodes: ["n1"], gres: "gpu:2" }, '2 of gpu on a node (--gres); partition "p" has 1 on a node (n2)'],
    [{ excludeNodes: ["n1"], partition: "small" }, 'the exclusion of n1 (--exclude); partition "small" has n1 alone'],
    [{ nodeList: ["n2"], partition: "small" }, 'node n2 (--nodelist); partition "small" has n1'],
    [{ constraint: "old&fast" }, "old&fast on one node (--constraint); n1 has old, n2 has new,fast"],
    [
      { memPerNodeMib: 2000, cpusPerTask: 4 },
      '4 CPUs with 2000M of memory on one node; partition "p" has n1 with 2 CPUs and 2G and gpu:2, n2 with 4 CPUs and 1000M and fpga:1,gpu:1',
    ],
    [
      { nodesMin: 2, tasks: 7 },
      '7 tasks on 2 nodes; partition "p" has n1 with 2 CPUs and 2G and gpu:2, n2 with 4 CPUs and 1000M and fpga:1,gpu:1',
    ],
    [{ cpusPerTask: 4 }, "nothing: it fits"],
  ] as const)("%j: %s", (options, wanted) => {
    const found = hint(options as Parameters<typeof hint>[0]);
    expect(found).toBe(wanted.startsWith("nothing") ? wanted : `cannot be met: ${wanted}`);
  });
});
