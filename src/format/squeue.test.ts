import { describe, expect, test } from "bun:test";
import { array, at, batchStep, job, NOW, pending, step } from "./fixtures.ts";
import { renderSqueue, type SqueueView } from "./squeue.ts";

const base: SqueueView = {
  view: "jobs",
  jobs: [],
  steps: [],
  format: { kind: "default" },
  sort: null,
  noHeader: false,
  expandArrays: false,
  arrayUnique: false,
  nowMs: NOW,
  timeFormat: null,
  clusterName: "oracle",
};
function show(changes: Partial<SqueueView>): string[] {
  return renderSqueue({ ...base, ...changes }).lines;
}

// squeue-01-default
const jobs = [
  job({ id: 326, name: "averylongjobname", timeLimitMinutes: 1440, startedAt: at("2026-11-20T22:54:35") }),
  pending({ id: 327, name: "waits", reason: "JobHeldUser", priority: 0 }),
  pending({ id: 328, name: "later", reason: "BeginTime", eligibleAt: at("2030-01-02T03:04:05") }),
];

describe("squeue views", () => {
  test("default", () =>
    expect(show({ jobs })).toEqual([
      "             JOBID PARTITION     NAME     USER ST       TIME  NODES NODELIST(REASON)",
      "               328     debug    later    alice PD       0:00      1 (BeginTime)",
      "               327     debug    waits    alice PD       0:00      1 (JobHeldUser)",
      "               326     debug averylon    alice  R       0:02      1 n1",
    ]));
  test("long has a date line", () =>
    expect(show({ jobs: jobs.slice(0, 1), format: { kind: "long" } })).toEqual([
      "Fri Nov 20 22:54:37 2026",
      "             JOBID PARTITION     NAME     USER    STATE       TIME TIME_LIMI  NODES NODELIST(REASON)",
      "               326     debug averylon    alice  RUNNING       0:02 1-00:00:00      1 n1",
    ]));
  test("start", () =>
    expect(show({ jobs: jobs.slice(1), format: { kind: "start" } })).toEqual([
      "             JOBID PARTITION     NAME     USER ST          START_TIME  NODES SCHEDNODES           NODELIST(REASON)",
      "               328     debug    later    alice PD 2030-01-02T03:04:05      1 (null)               (BeginTime)",
      "               327     debug    waits    alice PD                 N/A      1 (null)               (JobHeldUser)",
    ]));
  test("steps", () => {
    const started = at("2026-11-20T22:54:35");
    const steps = [batchStep({ id: 326, startedAt: started }), step({ id: 326, name: "sleep", startedAt: started })];
    expect(show({ view: "steps", steps })).toEqual([
      "         STEPID     NAME PARTITION     USER      TIME NODELIST",
      "          326.0    sleep     debug    alice      0:02 n1",
      "      326.batch    batch     debug    alice      0:02 n1",
    ]);
    expect(
      show({
        view: "steps",
        steps: [step({ id: 41, container: "/tmp/berth-oracle/bundle" })],
        noHeader: true,
        format: { kind: "O", text: "StepID:12,StepName:8,Container:40" },
      }),
    ).toEqual(["41.0        sh      /tmp/berth-oracle/bundle                "]);
  });
  test("-S", () => {
    const format = { kind: "o", text: "%j" } as const;
    expect(show({ jobs, sort: "i", format, noHeader: true })).toEqual(["averylongjobname", "waits", "later"]);
    expect(show({ jobs, sort: "-i", format, noHeader: true })).toEqual(["later", "waits", "averylongjobname"]);
  });
});

const fmt = pending({ id: 331, name: "fmt", timeLimitMinutes: 90, reason: "JobHeldUser" });
describe("squeue -o", () => {
  const rows: readonly (readonly [name: string, text: string, lines: string[]])[] = [
    ["no width", "%i", ["JOBID", "331"]],
    ["widths", "%.10i|%10j|%.3j|%3j|", ["     JOBID|NAME      |NAM|NAM|", "       331|fmt       |fmt|fmt|"]],
    ["text", "job=%i name=%j;", ["job=JOBID name=NAME;", "job=331 name=fmt;"]],
    [
      "many letters",
      "%T,%t,%l,%M,%L,%D,%C,%m",
      ["STATE,ST,TIME_LIMIT,TIME,TIME_LEFT,NODES,CPUS,MIN_MEMORY", "PENDING,PD,1:30:00,0:00,1:30:00,1,1,0"],
    ],
    ["two percent signs are one", "%%i", ["JOBID", "331"]],
    [
      "AiiDA's",
      "%i^^^%t^^^%r^^^%B^^^%R^^^%S",
      ["JOBID^^^ST^^^REASON^^^EXEC_HOST^^^NODELIST(REASON)^^^START_TIME", "331^^^PD^^^JobHeldUser^^^n/a^^^(JobHeldUser)^^^N/A"],
    ],
  ];
  test.each(rows)("%s", (_name, text, lines) => expect(show({ jobs: [fmt], format: { kind: "o", text } })).toEqual(lines));
  test("an unknown letter prints itself", () => {
    expect(renderSqueue({ ...base, jobs: [fmt], noHeader: true, format: { kind: "o", text: "%i %?" } })).toEqual({
      lines: ["331 %?"],
      errors: ["squeue: error: Invalid job format specification: ?"],
      isFailed: false,
    });
  });
  test("%all", () => {
    const [header] = show({ jobs: [fmt], format: { kind: "o", text: "%all" } });
    expect(header?.split("|").slice(0, 5)).toEqual(["ACCOUNT", "TRES_PER_NODE", "MIN_CPUS", "MIN_TMP_DISK", "END_TIME"]);
  });
});

describe("squeue -O", () => {
  const named = pending({ id: 332, name: "fmtname", timeLimitMinutes: 90, reason: "JobHeldUser" });
  const rows: readonly (readonly [text: string, line: string])[] = [
    ["JobID,Name,State", "332                 fmtname             PENDING             "],
    ["jobid:8,name:.12,state:.5,timelimit", "332          fmtnamePENDI1:30:00             "],
    ["name:12;,state:10|", "fmtname     ;PENDING   |"],
    ["JobArrayID:|,UserName:|,Reason:|", "332|alice|JobHeldUser|"],
  ];
  test.each(rows)("%s", (text, line) => expect(show({ jobs: [named], noHeader: true, format: { kind: "O", text } })).toEqual([line]));
  test("names of JavaScript are no fields", () => {
    expect(renderSqueue({ ...base, jobs: [named], noHeader: true, format: { kind: "O", text: "constructor,jobid:5" } })).toEqual({
      lines: ["332  "],
      errors: ["squeue: error: Invalid job format specification: constructor"],
      isFailed: false,
    });
  });
  test("an unknown field is dropped", () => {
    expect(renderSqueue({ ...base, jobs: [named], format: { kind: "O", text: "jobid,nosuchfield" } })).toEqual({
      lines: ["JOBID               ", "332                 "],
      errors: ["squeue: error: Invalid job format specification: nosuchfield"],
      isFailed: false,
    });
  });
});

describe("squeue arrays", () => {
  const waiting = pending({ id: 336, name: "arr", reason: "JobArrayTaskLimit", array: array(336, { pendingIndices: "3-6", throttle: 2 }) });
  const running = [1, 2].map((taskId) => job({ id: 336 + taskId, name: "arr", array: array(336, { taskId, throttle: 2 }) }));
  test("one line for all that wait", () =>
    expect(show({ jobs: [...running, waiting], noHeader: true })).toEqual([
      "       336_[3-6%2]     debug      arr    alice PD       0:00      1 (JobArrayTaskLimit)",
      "             336_1     debug      arr    alice  R       0:01      1 n1",
      "             336_2     debug      arr    alice  R       0:01      1 n1",
    ]));
  test("-r", () =>
    expect(show({ jobs: [...running, waiting], noHeader: true, expandArrays: true, format: { kind: "o", text: "%i %A %F %K" } })).toEqual([
      "336_3 336 336 3",
      "336_4 336 336 4",
      "336_5 336 336 5",
      "336_6 336 336 6",
      "336_1 337 336 1",
      "336_2 338 336 2",
    ]));
  test("a long list is cut as SLURM_BITSTR_LEN says", () => {
    const pendingIndices = `${Array.from({ length: 30 }, (_, i) => i * 3 + 1).join(",")},91,95`;
    const long = [pending({ id: 248, array: array(248, { pendingIndices }) })];
    const format = { kind: "o", text: "%i" } as const;
    expect(show({ jobs: long, noHeader: true, format, bitstrLength: 20 })).toEqual(["248_[1,4,7,10,13,16,1...]"]);
    expect(show({ jobs: long, noHeader: true, format, bitstrLength: 0 })).toEqual([`248_[${pendingIndices}]`]);
  });
});

// squeue-05-all-letters
const LETTERS = `a: ACCOUNT| (null)|
A: JOBID| 333|
b: TRES_PER_NODE| gres:gpu:1|
B: EXEC_HOST| n1|
c: MIN_CPUS| 1|
C: CPUS| 2|
d: MIN_TMP_DISK| 0|
D: NODES| 1|
e: END_TIME| 2026-11-20T23:05:07|
E: DEPENDENCY| (null)|
f: FEATURES| fast|
F: ARRAY_JOB_ID| 333|
g: GROUP| alice|
G: GROUP| 2001|
h: OVER_SUBSCRIBE| OK|
H: SOCKETS_PER_NODE| *|
i: JOBID| 333|
I: CORES_PER_SOCKET| *|
j: NAME| letters|
J: THREADS_PER_CORE| *|
k: COMMENT| cmt|
K: ARRAY_TASK_ID| N/A|
l: TIME_LIMIT| 10:00|
L: TIME_LEFT| 9:59|
m: MIN_MEMORY| 100M|
M: TIME| 0:01|
n: REQ_NODES| |
N: NODELIST| n1|
o: COMMAND| (null)|
O: CONTIGUOUS| 0|
p: PRIORITY| 0.99998468440026|
P: PARTITION| debug|
q: QOS| normal|
Q: PRIORITY| 4294901515|
r: REASON| None|
R: NODELIST(REASON)| n1|
s: | |
S: START_TIME| 2026-11-20T22:55:07|
t: ST| R|
T: STATE| RUNNING|
u: USER| alice|
U: UID| 2001|
v: RESERVATION| (null)|
V: SUBMIT_TIME| 2026-11-20T22:55:07|
w: WCKEY| (null)|
W: LICENSES| matlab:1|
x: EXC_NODES| |
X: CORE_SPEC| N/A|
y: NICE| 0|
Y: SCHEDNODES| (null)|
z: S:C:T| *:*:*|
Z: WORK_DIR| /tmp/berth-oracle/w|`;
const letters = job({
  id: 333,
  name: "letters",
  gresPerNode: "gpu:1",
  constraint: "fast",
  comment: "cmt",
  timeLimitMinutes: 10,
  memPerNodeMib: 100,
  priority: 4294901515,
  licenses: "matlab:1",
  submittedAt: at("2026-11-20T22:55:07"),
  eligibleAt: at("2026-11-20T22:55:07"),
  startedAt: at("2026-11-20T22:55:07"),
  allocated: { cpus: 2, memMib: null, nodes: 1, gres: {} },
});
test.each(LETTERS.split("\n"))("letter %s", (line) => {
  const shown = show({ jobs: [letters], nowMs: at("2026-11-20T22:55:08"), format: { kind: "o", text: `%${line.charAt(0)}|` } });
  expect(`${line.charAt(0)}: ${shown.join(" ")}`).toBe(line);
});

// squeue-06-all-fields
const FIELDS = `account: ACCOUNT|(null)
accruetime: ACCRUE_TIME|2026-11-20T22:55:08
admin_comment: ADMIN_COMMENT|(null)
allocnodes: ALLOC_NODES|localhost
allocsid: ALLOC_SID|10521
arrayjobid: ARRAY_JOB_ID|334
arraytaskid: ARRAY_TASK_ID|N/A
associd: ASSOC_ID|0
batchflag: BATCH_FLAG|1
batchhost: EXEC_HOST|n1
boardspernode: BOARDS_PER_NODE|0
burstbuffer: BURST_BUFFER|(null)
burstbufferstate: BURST_BUFFER_STATE|(null)
cluster: CLUSTER|oracle
clusterfeature: CLUSTER_FEATURES|(null)
command: COMMAND|(null)
comment: COMMENT|cmt
container: CONTAINER|(null)
contiguous: CONTIGUOUS|0
cores: CORES_PER_SOCKET|*
corespec: CORE_SPEC|N/A
cpuspertask: CPUS_PER_TASK|1
deadline: DEADLINE|N/A
delayboot: DELAY_BOOT|0:00
dependency: DEPENDENCY|(null)
derivedec: DERIVED_EC|0
eligibletime: ELIGIBLE_TIME|2026-11-20T22:55:08
endtime: END_TIME|2026-11-20T23:05:10
exit_code: EXIT_CODE|0
feature: FEATURES|fast
gres: TRES_PER_NODE|gres:gpu:1
groupid: GROUP|2001
groupname: GROUP|alice
hetjobid: HET_JOB_ID|N/A
hetjobidset: HET_JOB_ID_SET|N/A
hetjoboffset: HET_JOB_OFFSET|N/A
jobarrayid: JOBID|334
jobid: JOBID|334
lastschedeval: LAST_SCHED_EVAL|2026-11-20T22:55:10
licenses: LICENSES|matlab:1
maxcpus: MAX_CPUS|2
maxnodes: MAX_NODES|1
mcslabel: MCSLABEL|(null)
mincpus: MIN_CPUS|1
minmemory: MIN_MEMORY|100M
mintime: TIME_MIN|0:00
mintmpdisk: MIN_TMP_DISK|0
name: NAME|fields
network: NETWORK|(null)
nice: NICE|0
nodelist: NODELIST|n1
ntperboard: NTASKS_PER_BOARD|0
ntpercore: NTASKS_PER_CORE|N/A
ntpernode: NTASKS_PER_NODE|0
ntpersocket: NTASKS_PER_SOCKET|N/A
numcpus: CPUS|2
numnodes: NODES|1
origin: ORIGIN|NA
originraw: ORIGIN_RAW|NA
oversubscribe: OVER_SUBSCRIBE|OK
partition: PARTITION|debug
pendingtime: PENDING_TIME|2
preempttime: PREEMPT_TIME|N/A
prefer: PREFER|(null)
priority: PRIORITY|0.99998468416743
prioritylong: PRIORITY|4294901514
profile: PROFILE|NotSet
qos: QOS|normal
reason: REASON|None
reasonlist: NODELIST(REASON)|n1
reboot: REBOOT|0
reqnodes: REQ_NODES|
reqswitch: REQ_SWITCH|0
requeue: REQUEUE|1
reservation: RESERVATION|(null)
resizetime: RESIZE_TIME|N/A
restartcnt: RESTART_COUNT|0
schednodes: SCHEDNODES|(null)
sct: S:C:T|*:*:*
sockets: SOCKETS_PER_NODE|*
sperboard: SOCKETS_PER_BOARD|0
starttime: START_TIME|2026-11-20T22:55:10
state: STATE|RUNNING
statecompact: ST|R
stderr: STDERR|/tmp/berth-oracle/w/slurm-334.out
stdin: STDIN|/dev/null
stdout: STDOUT|/tmp/berth-oracle/w/slurm-334.out
submittime: SUBMIT_TIME|2026-11-20T22:55:08
system_comment: SYSTEM_COMMENT|(null)
threads: THREADS_PER_CORE|*
timeleft: TIME_LEFT|9:59
timelimit: TIME_LIMIT|10:00
timeused: TIME|0:01
tres-alloc: TRES_ALLOC|cpu=2,node=1,billing=2
tres-bind: TRES_BIND|N/A
tres-freq: TRES_FREQ|N/A
tres-per-job: TRES_PER_JOB|N/A
tres-per-node: TRES_PER_NODE|gres:gpu:1
tres-per-socket: TRES_PER_SOCKET|N/A
tres-per-task: TRES_PER_TASK|N/A
userid: UID|2001
username: USER|alice
wait4switch: WAIT4SWITCH|0:00
wckey: WCKEY|(null)
workdir: WORK_DIR|/tmp/berth-oracle/w`;
const fields = job({
  id: 334,
  name: "fields",
  gresPerNode: "gpu:1",
  constraint: "fast",
  comment: "cmt",
  timeLimitMinutes: 10,
  memPerNodeMib: 100,
  priority: 4294901514,
  licenses: "matlab:1",
  submittedAt: at("2026-11-20T22:55:08"),
  eligibleAt: at("2026-11-20T22:55:08"),
  startedAt: at("2026-11-20T22:55:10"),
  lastSchedEvalAt: at("2026-11-20T22:55:10"),
  tasks: 2,
  stdout: "/tmp/berth-oracle/w/slurm-334.out",
  stderr: null,
  allocated: { cpus: 2, memMib: null, nodes: 1, gres: {} },
});
test.each(FIELDS.split("\n"))("field %s", (line) => {
  const name = line.slice(0, line.indexOf(":"));
  const shown = show({ jobs: [fields], nowMs: at("2026-11-20T22:55:11"), format: { kind: "O", text: `${name}:60` } });
  expect(`${name}: ${shown.map((cell) => cell.trimEnd()).join("|")}`).toBe(line);
});

test("100 000 rows are printed", () => {
  const many = Array.from({ length: 100_000 }, (_, i) => job({ id: i + 1, partition: i % 2 ? "debug" : "short" }));
  expect(show({ jobs: many })).toHaveLength(100_001);
});
