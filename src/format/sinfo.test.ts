import { describe, expect, test } from "bun:test";
import { DEBUG, N1, N2, NOW, SHORT } from "./fixtures.ts";
import { renderSinfo, type SinfoView } from "./sinfo.ts";

const base: SinfoView = {
  partitions: [DEBUG, SHORT],
  nodes: [N1, N2],
  format: { kind: "default" },
  isLong: false,
  byNode: false,
  isExact: false,
  sort: null,
  noHeader: false,
  nowMs: NOW,
  timeFormat: null,
};
function show(changes: Partial<SinfoView>): string[] {
  return renderSinfo({ ...base, ...changes }).lines;
}
const drained = { ...N2, state: "DRAIN", reason: "bad disk", reasonUser: "root", reasonAt: NOW } as const;

describe("sinfo views", () => {
  test("default", () =>
    expect(show({})).toEqual([
      "PARTITION AVAIL  TIMELIMIT  NODES  STATE NODELIST",
      "debug*       up   infinite      2   idle n[1-2]",
      "short        up      10:00      1   idle n1",
    ]));
  test("-s", () =>
    expect(show({ format: { kind: "summary" } })).toEqual([
      "PARTITION AVAIL  TIMELIMIT   NODES(A/I/O/T) NODELIST",
      "debug*       up   infinite          0/2/0/2 n[1-2]",
      "short        up      10:00          0/1/0/1 n1",
    ]));
  test("-N", () =>
    expect(show({ byNode: true })).toEqual([
      "NODELIST   NODES PARTITION STATE ",
      "n1             1    debug* idle  ",
      "n1             1     short idle  ",
      "n2             1    debug* idle  ",
    ]));
  test("-l", () =>
    expect(show({ format: { kind: "long" } })).toEqual([
      "Fri Nov 20 22:54:37 2026",
      "PARTITION AVAIL  TIMELIMIT   JOB_SIZE ROOT OVERSUBS     GROUPS  NODES       STATE NODELIST",
      "debug*       up   infinite 1-infinite   no       NO        all      2        idle n[1-2]",
      "short        up      10:00 1-infinite   no       NO        all      1        idle n1",
    ]));
  test("-N -l", () =>
    expect(show({ byNode: true, isLong: true }).slice(1)).toEqual([
      "NODELIST   NODES PARTITION       STATE CPUS    S:C:T MEMORY TMP_DISK WEIGHT AVAIL_FE REASON              ",
      "n1             1    debug*        idle 2       2:1:1   4000        0      1     fast none                ",
      "n1             1     short        idle 2       2:1:1   4000        0      1     fast none                ",
      "n2             1    debug*        idle 2       2:1:1   4000        0      1     slow none                ",
    ]));
  test("-R", () => {
    const header = "REASON               USER      TIMESTAMP           NODELIST";
    expect(show({ format: { kind: "reasons" } })).toEqual([header]);
    expect(show({ format: { kind: "reasons" }, nodes: [N1, drained] })).toEqual([
      header,
      "bad disk             root      2026-11-20T22:54:37 n2",
    ]);
  });
  test("no node is left", () =>
    expect(show({ nodes: [] }).slice(1)).toEqual([
      "debug*       up   infinite      0    n/a ",
      "short        up      10:00      0    n/a ",
    ]));
  test("no partition is left", () => expect(show({ partitions: [] })).toHaveLength(1));
  test("a long partition name widens its column", () =>
    expect(show({ partitions: [{ ...SHORT, name: "averylongname" }] })).toEqual([
      "PARTITION     AVAIL  TIMELIMIT  NODES  STATE NODELIST",
      "averylongname    up      10:00      1   idle n1",
    ]));
});

describe("sinfo groups", () => {
  test("states split rows, higher states first", () => {
    expect(show({ nodes: [N1, drained], noHeader: true })).toEqual([
      "debug*       up   infinite      1  drain n2",
      "debug*       up   infinite      1   idle n1",
      "short        up      10:00      1   idle n1",
    ]);
    expect(show({ nodes: [{ ...N1, allocatedCpus: 2 }, N2], noHeader: true }).slice(0, 2)).toEqual([
      "debug*       up   infinite      1  alloc n1",
      "debug*       up   infinite      1   idle n2",
    ]);
  });
  const cases: readonly (readonly [text: string, lines: string[]])[] = [
    ["%N %c %m %f %G", ["n1 2 4000 fast gpu:2", "n2 2 4000 slow (null)"]],
    ["%C", ["0/4/0/4"]],
    ["%P %G %l %p %c %m", ["debug* gpu:2 infinite 1 2 4000", "debug* (null) infinite 1 2 4000", "short gpu:2 10:00 1 2 4000"]],
    ["%10P|%.5a|%t", ["debug*    |   up|idle", "short     |   up|idle"]],
  ];
  test.each(cases)("%s", (text, lines) => expect(show({ noHeader: true, format: { kind: "o", text } })).toEqual(lines));
  test("sizes that differ", () => {
    const nodes = [N1, { ...N2, cpus: 8, freeMemMib: 100 }];
    const format = { kind: "o", text: "%P %c %e" } as const;
    expect(show({ nodes, noHeader: true, format })[0]).toBe("debug* 2+ 100-22559");
    expect(show({ nodes, noHeader: true, format, isExact: true }).slice(0, 2)).toEqual(["debug* 2 22559", "debug* 8 100"]);
  });
  test("node states", () => {
    const state = (changes: object) =>
      show({ partitions: [SHORT], nodes: [{ ...N1, ...changes }], noHeader: true, format: { kind: "o", text: "%t %T" } })[0];
    expect([
      state({ allocatedCpus: 1 }),
      state({ allocatedCpus: 2, state: "DRAIN" }),
      state({ state: "DRAIN" }),
      state({ state: "DOWN" }),
      state({ isCompleting: true }),
    ]).toEqual(["mix mixed", "drng draining", "drain drained", "down down", "comp completing"]);
  });
  test("an unknown letter", () =>
    expect(renderSinfo({ ...base, partitions: [SHORT], noHeader: true, format: { kind: "o", text: "%q %N" } })).toEqual({
      lines: ["%q n1"],
      errors: ["Invalid node format specification: q"],
    }));
});

// sinfo-03-format
const FIELDS = `allocmem: ALLOCMEM|0
allocnodes: ALLOCNODES|all
available: AVAIL|up
cluster: CLUSTER|N/A
comment: COMMENT|(null)
cores: CORES|1
cpus: CPUS|2
cpusload: CPU_LOAD|1.31
cpusstate: CPUS(A/I/O/T)|0/2/0/2
defaulttime: DEFAULTTIME|n/a
disk: TMP_DISK|0
extra: EXTRA|(null)
features: AVAIL_FEATURES|fast
features_act: ACTIVE_FEATURES|fast
freemem: FREE_MEM|22559
gres: GRES|gpu:2
gresused: GRES_USED|gpu:0
groups: GROUPS|all
maxcpuspernode: MAX_CPUS_PER_NODE|UNLIMITED
memory: MEMORY|4000
nodeaddr: NODE_ADDR|localhost
nodeai: NODES(A/I)|0/1
nodeaiot: NODES(A/I/O/T)|0/1/0/1
nodehost: HOSTNAMES|localhost
nodelist: NODELIST|n1
nodes: NODES|1
oversubscribe: OVERSUBSCRIBE|NO
partition: PARTITION|debug*
partitionname: PARTITION|debug
preemptmode: PREEMPT_MODE|OFF
priorityjobfactor: PRIO_JOB_FACTOR|1
prioritytier: PRIO_TIER|1
reason: REASON|none
root: ROOT|no
share: OVERSUBSCRIBE|NO
size: JOB_SIZE|1-infinite
socketcorethread: S:C:T|2:1:1
sockets: SOCKETS|2
statecompact: STATE|idle
statecomplete: STATECOMPLETE|idle
statelong: STATE|idle
threads: THREADS|1
time: TIMELIMIT|infinite
timestamp: TIMESTAMP|Unknown
user: USER|Unknown
userlong: USER|Unknown
version: VERSION|22.05.8
weight: WEIGHT|1`;
test.each(FIELDS.split("\n"))("field %s", (line) => {
  const name = line.slice(0, line.indexOf(":"));
  const lines = show({ partitions: [DEBUG], nodes: [N1], format: { kind: "O", text: `${name}:25` } });
  expect(`${name}: ${lines.map((shown) => shown.trimEnd()).join("|")}`).toBe(line);
});
