import { describe, expect, test } from "bun:test";
import { BerthError } from "#job/errors.ts";
import { parseConfig } from "./config.ts";

const FILE = "/etc/berth/berth.conf";

describe("parseConfig", () => {
  test("nothing said is this host, in one partition", () => {
    const { nodes, partitions, killWaitSeconds, minJobAgeSeconds, jobRequeue } = parseConfig("", FILE);
    expect(nodes).toHaveLength(1);
    expect(nodes[0]?.cpus).toBeGreaterThan(0);
    expect(nodes[0]?.memMib).toBeGreaterThan(0);
    expect(partitions).toMatchObject([{ name: "debug", isDefault: true, nodes: [nodes[0]?.name ?? ""], maxTimeMinutes: null }]);
    expect({ killWaitSeconds, minJobAgeSeconds, jobRequeue }).toEqual({ killWaitSeconds: 30, minJobAgeSeconds: 300, jobRequeue: true });
  });

  const read: readonly (readonly [name: string, text: string, wanted: object])[] = [
    [
      "a list of nodes",
      "NodeName=n[1-3] CPUs=2 RealMemory=100",
      { nodes: [{ name: "n1", cpus: 2, memMib: 100 }, { name: "n2" }, { name: "n3" }] },
    ],
    ["the MPI of steps that name none", "MpiDefault=pmi2", { mpiDefault: "pmi2" }],
    ["keys in any case, blanks around =", "nodename = n1  cpus= 4", { nodes: [{ name: "n1", cpus: 4 }] }],
    [
      "CPUs from sockets, cores and threads",
      "NodeName=n1 Sockets=2 CoresPerSocket=4 ThreadsPerCore=2",
      { nodes: [{ cpus: 16, sockets: 2, coresPerSocket: 4, threadsPerCore: 2 }] },
    ],
    [
      "defaults for the nodes that follow",
      "NodeName=a CPUs=1\nNodeName=DEFAULT CPUs=8 RealMemory=50\nNodeName=b\nNodeName=c CPUs=2",
      {
        nodes: [
          { name: "a", cpus: 1 },
          { name: "b", cpus: 8, memMib: 50 },
          { name: "c", cpus: 2, memMib: 50 },
        ],
      },
    ],
    [
      "devices with and without count and type",
      "NodeName=n1 CPUs=1 Gres=gpu:a100:2,fpga,gpu:1",
      { nodes: [{ gres: { "gpu:a100": 2, fpga: 1, gpu: 1 } }] },
    ],
    [
      "states",
      "NodeName=a CPUs=1 State=DOWN*\nNodeName=b CPUs=1 State=DRAINED\nNodeName=c CPUs=1 State=UNKNOWN",
      { nodes: [{ state: "DOWN" }, { state: "DRAIN" }, { state: "UP" }] },
    ],
    ["features", "NodeName=n1 CPUs=1 Feature=fast,big", { nodes: [{ features: ["fast", "big"] }] }],
    [
      "a partition of all nodes",
      "NodeName=n[1-2] CPUs=1\nPartitionName=p Nodes=ALL",
      { partitions: [{ name: "p", nodes: ["n1", "n2"], isDefault: true }] },
    ],
    [
      "nodes of a partition in the cluster's order",
      "NodeName=n[1-3] CPUs=1\nPartitionName=p Nodes=n3,n1",
      { partitions: [{ nodes: ["n1", "n3"] }] },
    ],
    [
      "the default is the one that says so",
      "NodeName=n1 CPUs=1\nPartitionName=a Nodes=n1\nPartitionName=b Nodes=n1 Default=yes",
      {
        partitions: [
          { name: "a", isDefault: false },
          { name: "b", isDefault: true },
        ],
      },
    ],
    [
      "time limits in Slurm's words",
      "NodeName=n1 CPUs=1\nPartitionName=p Nodes=n1 MaxTime=1-00:30:00 DefaultTime=0:0:30",
      { partitions: [{ maxTimeMinutes: 1470, defaultTimeMinutes: 1 }] },
    ],
    [
      "no time limit",
      "NodeName=n1 CPUs=1\nPartitionName=p Nodes=n1 MaxTime=INFINITE DefaultTime=NONE",
      { partitions: [{ maxTimeMinutes: null, defaultTimeMinutes: null }] },
    ],
    [
      "comments, continued lines, quotes",
      '# all of it\nClusterName="my cluster" # name\nNodeName=n1 \\\n  CPUs=3\n\n',
      { clusterName: "my cluster", nodes: [{ cpus: 3 }] },
    ],
    [
      "settings",
      "KillWait=2\nMinJobAge=10\nMaxArraySize=5\nJobRequeue=0\nLicenses=a:3,b",
      { killWaitSeconds: 2, minJobAgeSeconds: 10, maxArraySize: 5, jobRequeue: false, licenses: { a: 3, b: 1 } },
    ],
    [
      "Slurm's keys are kept",
      "SlurmctldHost=head\nProctrackType=proctrack/cgroup",
      { others: { slurmctldhost: "head", proctracktype: "proctrack/cgroup" }, warnings: [] },
    ],
    [
      "what nobody knows is warned of, with its place and what there is",
      "KillWait=2\n\nMaxCores=4\nNodeName=n1 CPUs=1 Colour=red\nPartitionName=p Nodes=n1 Owner=me",
      {
        killWaitSeconds: 2,
        nodes: [{ cpus: 1 }],
        warnings: [
          expect.stringMatching(/:3: unknown key "maxcores" changes nothing: .* Berth reads ClusterName, KillWait, .*PartitionName$/),
          expect.stringMatching(/:4: unknown key "colour" changes nothing: .* on a NodeName line Berth reads NodeName, .*Feature$/),
          expect.stringMatching(/:5: unknown key "owner" changes nothing: .* on a PartitionName line Berth reads PartitionName, .*Hidden$/),
        ],
      },
    ],
    [
      "Slurm's keys that mean nothing here, beside ours",
      "NodeName=n1 CPUs=1 CpuSpecList=0 Boards=1\nPartitionName=p Nodes=n1 AllowGroups=all MaxMemPerNode=5\nTaskPluginParam=none\nDownNodes=n1 State=UP Reason=x",
      { warnings: [], nodes: [{ cpus: 1 }], partitions: [{ nodes: ["n1"] }] },
    ],
    ["lines that end with CR", "NodeName=n1 CPUs=2\r\nKillWait=4\r\n", { nodes: [{ cpus: 2 }], killWaitSeconds: 4 }],
  ];
  test.each(read)("%s", (_name, text, wanted) => expect(parseConfig(text, FILE)).toMatchObject(wanted));

  const refused: readonly (readonly [name: string, text: string, message: string])[] = [
    ["a number that is none", "\nNodeName=n1 CPUs=two", `${FILE}:2: cpus wants a number, not "two"`],
    ["no CPUs at all", "NodeName=n1 CPUs=0", `${FILE}:1: a node needs at least one CPU`],
    ["a time that is none", "NodeName=n1 CPUs=1\nPartitionName=p Nodes=n1 MaxTime=soon", `${FILE}:2: maxtime wants a time, not "soon"`],
    ["a letter too few", "\nPartitionName=p MaxTme=10", `${FILE}:2: unknown key "maxtme": MaxTime is one`],
    ["a letter too much", "NodeName=n1 CPUss=4", `${FILE}:1: unknown key "cpuss": CPUs is one`],
    ["another letter", "KillWeit=4", `${FILE}:1: unknown key "killweit": KillWait is one`],
    ["letters in each other's place", "PartitionName=DEFAULT Ndoes=ALL", `${FILE}:1: unknown key "ndoes": Nodes is one`],
    ["a word without value", "KillWait=1\nnonsense", `${FILE}:2: cannot read "nonsense"`],
    [
      "a partition of nobody's nodes",
      "NodeName=n1 CPUs=1\nPartitionName=p Nodes=n1,n2",
      `${FILE}: partition p names node n2, which no NodeName line defines`,
    ],
    [
      "a state that is none",
      "NodeName=n1 CPUs=1\nPartitionName=p Nodes=n1 State=SIDEWAYS",
      `${FILE}:2: State of a partition is UP, DOWN, DRAIN or INACTIVE, not "SIDEWAYS"`,
    ],
    ["a setting that is no number", "KillWait=long", `${FILE}: killwait wants a number, not "long"`],
    ["a node twice", "NodeName=n1 CPUs=1\nNodeName=n[1-2] CPUs=1", `${FILE}:2: node n1 is defined twice`],
    [
      "a partition twice",
      "NodeName=n1 CPUs=1\nPartitionName=p Nodes=n1\nPartitionName=p Nodes=n1",
      `${FILE}:3: partition p is defined twice`,
    ],
  ];
  test.each(refused)("%s is refused with its place", (_name, text, message) => {
    try {
      parseConfig(text, FILE);
      throw new Error("accepted");
    } catch (error) {
      expect(error).toBeInstanceOf(BerthError);
      expect((error as BerthError).code).toBe("CONFIG");
      expect((error as BerthError).message).toBe(message);
    }
  });
});
