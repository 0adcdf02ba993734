import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseJson, printJson, toJson, type JsonObject } from "#container/json.ts";
import { addGrantedLimits, type Granted, grantedOf } from "./granted-limits.ts";

/** Path → content, of a tree as the kernel shows it. */
type Tree = Readonly<Record<string, string>>;

const V1: Tree = {
  "memory/cgroup.procs": "1\n",
  "memory/memory.limit_in_bytes": "0\n",
  "memory/memory.memsw.limit_in_bytes": "0\n",
  "cpu/cgroup.procs": "1\n",
  "unified/cgroup.controllers": "hugetlb\n",
};
const V2: Tree = {
  "cgroup.controllers": "cpu memory pids\n",
  "cgroup.subtree_control": "cpu memory\n",
  "cgroup.procs": "1\n",
  "box/cgroup.controllers": "cpu memory\n",
  "box/cgroup.subtree_control": "\n",
  "box/cgroup.type": "domain\n",
  "box/cgroup.procs": "",
  "box/memory.swap.max": "max\n",
};
const BARE: Tree = { ...V2, "cgroup.controllers": "hugetlb\n", "cgroup.subtree_control": "", "box/cgroup.controllers": "\n" };
const USER = "user.slice/user-1000.slice/user@1000.service/cgroup.controllers";

interface Case {
  readonly tree: Tree;
  readonly path?: string;
  readonly resources?: unknown;
  readonly granted?: Granted;
  readonly isSystemd?: boolean;
  readonly userId?: number;
  readonly own?: string;
  readonly wanted: unknown;
}

const BOTH: Granted = { memMib: 64, cpus: 2 };
const QUOTA = { quota: 200_000, period: 100_000 };
const LIMIT = { limit: 64 << 20 };
const SWAP = { limit: 64 << 20, swap: 128 << 20 };

const cases: readonly (readonly [name: string, Case])[] = [
  ["version 1: written as engines write --memory and --cpus", { tree: V1, wanted: { memory: SWAP, cpu: QUOTA } }],
  ["a path below the caller's own cgroup", { tree: V1, path: "c1", own: "4:memory:/\n1:cpu:/\n", wanted: { memory: SWAP, cpu: QUOTA } }],
  ["without a path it is the runtime's choice", { tree: V1, path: "", wanted: { memory: SWAP, cpu: QUOTA } }],
  ["version 2, enabled already", { tree: V2, wanted: { memory: LIMIT, cpu: QUOTA } }],
  ["version 2, delegated and empty: can be enabled", { tree: V2, path: "/box/c1", wanted: { memory: SWAP, cpu: QUOTA } }],
  ["processes are in the way", { tree: { ...V2, "box/cgroup.procs": "7\n" }, path: "/box/c1", wanted: {} }],
  ["no controllers, no limits", { tree: BARE, wanted: {} }],
  ["none in the delegated part either", { tree: BARE, path: "/box/c1", wanted: {} }],
  ["one of the two", { tree: { ...BARE, "cgroup.subtree_control": "memory\n" }, wanted: { memory: LIMIT } }],
  ["no cgroups at all", { tree: {}, wanted: {} }],
  ["a user's systemd has memory", { tree: { ...BARE, [USER]: "memory pids\n" }, isSystemd: true, userId: 1000, wanted: { memory: LIMIT } }],
  ["a user's systemd without delegation", { tree: V2, isSystemd: true, userId: 1000, wanted: {} }],
  ["nor with version 1", { tree: { ...V1, [USER]: "memory\n" }, isSystemd: true, userId: 1000, wanted: {} }],
  ["root's systemd", { tree: V2, isSystemd: true, userId: 0, wanted: { memory: LIMIT, cpu: QUOTA } }],
  ["nobody has asked", { tree: V1, granted: { memMib: null, cpus: null }, wanted: {} }],
  [
    "the container's own limits stay",
    {
      tree: V1,
      resources: { memory: { limit: 5 }, cpu: { quota: 50_000 } },
      wanted: { memory: { limit: 5 }, cpu: { quota: 50_000 } },
    },
  ],
  [
    "shares made the job's size, and are no limit",
    { tree: V1, resources: { cpu: { shares: 2048 } }, wanted: { memory: SWAP, cpu: { shares: 2048 } } },
  ],
  [
    "no limit in so many words, as docker writes it",
    { tree: V1, resources: { memory: { limit: 0 }, cpu: { shares: 0 } }, wanted: { memory: SWAP, cpu: { shares: 0, ...QUOTA } } },
  ],
  [
    "a parent that has less CPU already",
    {
      tree: { ...V1, "cpu/box/cgroup.procs": "", "cpu/box/cpu.cfs_quota_us": "150000\n", "cpu/box/cpu.cfs_period_us": "100000\n" },
      path: "/box/c1",
      granted: { memMib: null, cpus: 2 },
      wanted: {},
    },
  ],
  [
    "a parent that has as much",
    {
      tree: { ...V1, "cpu/box/cgroup.procs": "", "cpu/box/cpu.cfs_quota_us": "200000\n", "cpu/box/cpu.cfs_period_us": "100000\n" },
      path: "/box/c1",
      granted: { memMib: null, cpus: 2 },
      wanted: { cpu: QUOTA },
    },
  ],
];

describe("limits that a job was granted", () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "berth-cgroups-"));
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  test.each(cases)(
    "%s",
    (_name, { tree, path = "/c1", resources = {}, granted = BOTH, isSystemd = false, userId = 0, own = "0::/\n", wanted }) => {
      const root = mkdtempSync(join(dir, "tree-"));
      for (const [name, text] of Object.entries(tree)) {
        mkdirSync(dirname(join(root, name)), { recursive: true });
        writeFileSync(join(root, name), text);
      }
      const config = toJson({ linux: { ...(path === "" ? {} : { cgroupsPath: path }), resources } }) as JsonObject;
      addGrantedLimits(granted, { config, id: "c1", isSystemd }, { root, own, userId });
      const found = (JSON.parse(printJson(config)) as { linux: { resources: unknown } }).linux.resources;
      expect(found).toEqual(wanted);
    },
  );

  test("a limit that no double holds is one", () => {
    const text = '{"linux":{"resources":{"memory":{"limit":9223372036854775807}}}}';
    const config = parseJson(text) as JsonObject;
    addGrantedLimits({ memMib: 1, cpus: null }, { config, id: "c1", isSystemd: false });
    expect(printJson(config)).toBe(printJson(parseJson(text)));
  });

  const options = {
    cpusPerTask: null,
    tasks: null,
    minCpusPerNode: null,
    tasksPerNode: null,
    cpusPerGpu: null,
    memPerNodeMib: null,
    memPerCpuMib: null,
  };
  const step = (cpus: number, memMib: number) => ({
    step: { nodes: ["n2"] },
    job: {
      shares: [
        { node: "n1", cpuIds: [0], memMib: 1, gres: {} },
        { node: "n2", cpuIds: Array.from({ length: cpus }, (_, id) => id), memMib, gres: {} },
      ],
    },
  });
  const grants: readonly (readonly [name: string, options: object | null, step: object | undefined, wanted: Granted])[] = [
    ["nothing was asked for", {}, step(1, 0), { memMib: null, cpus: null }],
    ["what its node gives", { cpusPerTask: 2, memPerNodeMib: 64 }, step(4, 80), { memMib: 80, cpus: 4 }],
    ["memory for each CPU", { memPerCpuMib: 10 }, step(3, 30), { memMib: 30, cpus: null }],
    ["while it waits, what was asked for", { cpusPerTask: 2, tasks: 2, memPerCpuMib: 10 }, undefined, { memMib: 40, cpus: 4 }],
    ["somebody else's allocation: its memory", null, step(8, 512), { memMib: 512, cpus: null }],
    ["and nothing when it has none", null, step(8, 0), { memMib: null, cpus: null }],
  ];
  test.each(grants)("%s", (_name, said, granted, wanted) => {
    const request = said === null ? null : { options: { ...options, ...said } };
    expect(grantedOf(request as never, granted as never)).toEqual(wanted);
  });
});
