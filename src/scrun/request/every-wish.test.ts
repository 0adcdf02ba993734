// Every SCRUN_* of Slurm's scrun and every annotation, as a job's options: what each becomes, which values it refuses, and who counts when several say the same.
import { describe, expect, test } from "bun:test";
import { toJson, type JsonObject } from "#container/json.ts";
import type { EpochMs } from "#job/id.ts";
import type { JobRequest } from "#job/request.ts";
import { SALLOC_ROWS } from "#options/salloc.ts";
import { jobRequestOf } from "./job-request.ts";

interface Said {
  readonly resources?: unknown;
  readonly annotations?: Record<string, string>;
  readonly environment?: Record<string, string>;
}

function requestOf({ resources = {}, annotations = {}, environment = {} }: Said): JobRequest {
  return jobRequestOf(
    { config: toJson({ linux: { resources } }) as JsonObject, annotations },
    {
      environment,
      context: { cwd: "/w", now: 0 as EpochMs, isRoot: false, readFile: () => undefined },
      submit: { submitDir: "/", workDir: "/b", host: "h", sid: 1, submitLine: "scrun", umask: 0o22, rlimits: {}, environment: {} },
      name: "web",
      bundle: "/b",
      containerId: "c1",
      command: "alpine",
      comment: null,
    },
  );
}

/** What a request has that one without wishes has not. */
function asked(said: Said): Record<string, unknown> {
  const [bare, request] = [requestOf({}), requestOf(said)];
  const changed = Object.entries(request.options).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(bare.options[name as keyof typeof bare.options]),
  );
  return { ...Object.fromEntries(changed), ...(request.submit.workDir === "/b" ? {} : { workDir: request.submit.workDir }) };
}

const unused = (name: string, value: string) => ({ unused: { [name]: value } });
const NUMBER = 'Invalid numeric value "bad!"';

/** In the order of the specification (scrun §3.2): the variable, salloc's option, a value, what it becomes, and why "bad!" is refused. */
const WISHES: readonly (readonly [variable: string, option: string, value: string, wanted: unknown, refusal?: string])[] = [
  ["ACCOUNT", "account", "physics", { account: "physics" }],
  ["ACCTG_FREQ", "acctg-freq", "task=30", unused("acctg-freq", "task=30")],
  ["BURST_BUFFER", "bb", "capacity=1G", unused("bb", "capacity=1G")],
  ["CLUSTER_CONSTRAINT", "cluster-constraint", "a", unused("cluster-constraint", "a")],
  ["CLUSTERS", "clusters", "here", {}],
  ["CONSTRAINT", "constraint", "fast", { constraint: "fast" }],
  ["CORE_SPEC", "core-spec", "1", unused("core-spec", "1"), NUMBER],
  ["CPU_FREQ_REQ", "cpu-freq", "high", unused("cpu-freq", "high")],
  ["CPUS_PER_GPU", "cpus-per-gpu", "2", { cpusPerGpu: 2 }, NUMBER],
  ["CPUS_PER_TASK", "cpus-per-task", "3", { cpusPerTask: 3 }, NUMBER],
  ["DELAY_BOOT", "delay-boot", "5", unused("delay-boot", "5")],
  ["DEPENDENCY", "dependency", "afterok:1", { dependency: "afterok:1" }],
  ["DISTRIBUTION", "distribution", "cyclic", { distribution: "cyclic" }, "Invalid --distribution"],
  ["EXCLUSIVE", "exclusive", "", { exclusive: true }, "Invalid --exclusive"],
  ["GPU_BIND", "gpu-bind", "closest", { gpuBind: "closest", gpuBinding: { kind: "closest" } }, "Invalid --gpu-bind"],
  ["GPU_FREQ", "gpu-freq", "high", unused("gpu-freq", "high")],
  ["GPUS", "gpus", "2", { gpus: "2" }, "Invalid --gpus"],
  ["GPUS_PER_NODE", "gpus-per-node", "2", { gpusPerNode: "2" }, "Invalid --gpus-per-node"],
  ["GPUS_PER_SOCKET", "gpus-per-socket", "1", { gpusPerSocket: "1" }, "Invalid --gpus-per-socket"],
  ["GPUS_PER_TASK", "gpus-per-task", "1", { gpusPerTask: "1" }, "Invalid --gpus-per-task"],
  ["GRES", "gres", "gpu:1", { gres: "gpu:1" }, "Invalid generic resource (gres)"],
  ["GRES_FLAGS", "gres-flags", "enforce-binding", unused("gres-flags", "enforce-binding")],
  ["HINT", "hint", "nomultithread", unused("hint", "nomultithread")],
  ["JOB_NAME", "job-name", "mine", { name: "mine" }],
  ["JOB_NODELIST", "nodelist", "n[1-2]", { nodeList: ["n1", "n2"] }],
  ["JOB_NUM_NODES", "nodes", "1-2", { nodesMin: 1, nodesMax: 2 }, '"bad!" is not a valid node count'],
  ["MEM_BIND", "mem-bind", "local", unused("mem-bind", "local")],
  ["MEM_PER_CPU", "mem-per-cpu", "10M", { memPerCpuMib: 10 }, "Invalid --mem-per-cpu"],
  ["MEM_PER_GPU", "mem-per-gpu", "1G", { memPerGpuMib: 1024 }, "Invalid --mem-per-gpu"],
  ["MEM_PER_NODE", "mem", "64M", { memPerNodeMib: 64 }, "Invalid --mem "],
  ["NCORES_PER_SOCKET", "cores-per-socket", "2", unused("cores-per-socket", "2"), NUMBER],
  ["NETWORK", "network", "x", unused("network", "x")],
  ["NSOCKETS_PER_NODE", "sockets-per-node", "1", unused("sockets-per-node", "1"), NUMBER],
  ["NTASKS", "ntasks", "2", { tasks: 2 }, NUMBER],
  ["NTASKS_PER_CORE", "ntasks-per-core", "1", unused("ntasks-per-core", "1"), NUMBER],
  ["NTASKS_PER_GPU", "ntasks-per-gpu", "1", { tasksPerGpu: 1 }, NUMBER],
  ["NTASKS_PER_NODE", "ntasks-per-node", "2", { tasksPerNode: 2 }, NUMBER],
  ["NTASKS_PER_TRES", "ntasks-per-tres", "2", unused("ntasks-per-tres", "2"), NUMBER],
  ["OVERCOMMIT", "overcommit", "yes", { overcommit: true }],
  ["PARTITION", "partition", "long", { partition: "long" }],
  ["PROFILE", "profile", "task", unused("profile", "task")],
  ["QOS", "qos", "high", { qos: "high" }],
  ["REMOTE_CWD", "chdir", "/x", { workDir: "/x" }],
  ["WORKING_DIR", "chdir", "/x", { workDir: "/x" }],
  ["RESERVATION", "reservation", "r", { reservation: "r" }],
  ["SIGNAL", "signal", "USR1@30", { warnSignal: { signal: 10, seconds: 30, toBatch: false, atReservation: false } }, "Invalid --signal"],
  ["SPREAD_JOB", "spread-job", "1", unused("spread-job", "")],
  ["THREAD_SPEC", "thread-spec", "1", unused("thread-spec", "1"), NUMBER],
  ["THREADS_PER_CORE", "threads-per-core", "1", unused("threads-per-core", "1"), NUMBER],
  ["TIMELIMIT", "time", "1-0", { timeLimitMinutes: 1440 }, "Invalid --time "],
  ["TRES_BIND", "tres-bind", "gres/gpu:closest", unused("tres-bind", "gres/gpu:closest")],
  ["TRES_PER_TASK", "tres-per-task", "cpu:2", unused("tres-per-task", "cpu:2")],
  ["USE_MIN_NODES", "use-min-nodes", "YES", unused("use-min-nodes", "")],
  ["WCKEY", "wckey", "k", { wckey: "k" }],
];
const FLAGS = ["overcommit", "spread-job", "use-min-nodes"];

describe("every wish", () => {
  // An argument that a row lacks would be the test's callback.
  const rows = WISHES.map(([variable, option, value, wanted, refusal]) => [variable, option, value, wanted, refusal] as const);
  test.each(rows)("SCRUN_%s", (variable, option, value, wanted, refusal) => {
    const name = `SCRUN_${variable}`;
    expect(asked({ environment: { [name]: value } })).toEqual(wanted as never);
    expect(asked({ annotations: { [`slurm.${option}`]: value } })).toEqual(wanted as never);
    // What somebody had nothing to put in; a flag that is there is meant.
    const empty = FLAGS.includes(option) || option === "exclusive" ? wanted : {};
    expect(asked({ environment: { [name]: "" } })).toEqual(empty as never);
    expect(asked({ annotations: { [`slurm.${option}`]: "" } })).toEqual(empty as never);
    const bad = [{ environment: { [name]: "bad!" } }, { annotations: { [`slurm.${option}`]: "bad!" } }];
    if (refusal === undefined) return;
    for (const said of bad) expect(() => requestOf(said)).toThrow(refusal);
    expect(() => requestOf(bad[0] ?? {})).toThrow(`(from ${name}: "bad!")`);
    expect(() => requestOf(bad[1] ?? {})).toThrow(`(from annotation slurm.${option}: "bad!")`);
  });

  test("switches are two variables", () => {
    expect(asked({ environment: { SCRUN_REQ_SWITCH: "1", SCRUN_WAIT4SWITCH: "10" } })).toEqual(unused("switches", "1@10"));
    expect(asked({ environment: { SCRUN_REQ_SWITCH: "1", SCRUN_WAIT4SWITCH: "" } })).toEqual(unused("switches", "1"));
    expect(asked({ environment: { SCRUN_WAIT4SWITCH: "10" } })).toEqual({});
  });

  test("of the two working directories WORKING_DIR counts, when it says something", () => {
    expect(asked({ environment: { SCRUN_REMOTE_CWD: "/a", SCRUN_WORKING_DIR: "/b/c" } })).toEqual({ workDir: "/b/c" });
    expect(asked({ environment: { SCRUN_REMOTE_CWD: "/a", SCRUN_WORKING_DIR: "" } })).toEqual({ workDir: "/a" });
  });

  test.each(["0", "no", "NO", "bad!"])("a flag of a variable that is %s is not set, as with salloc's", (value) => {
    expect(asked({ environment: { SCRUN_OVERCOMMIT: value, SCRUN_SPREAD_JOB: value } })).toEqual({});
  });

  test("a flag of an annotation is yes or no, in words of YAML too", () => {
    for (const yes of ["", "yes", "True", "on", "1"]) expect(asked({ annotations: { "slurm.hold": yes } })).toEqual({ hold: true });
    for (const no of ["no", "False", "off", "0"]) expect(asked({ annotations: { "slurm.hold": no } })).toEqual({});
    expect(() => requestOf({ annotations: { "slurm.hold": "bad!" } })).toThrow('annotation slurm.hold: "bad!" is neither yes nor no');
    expect(asked({ annotations: { "slurm.exclusive": "true", "slurm.oversubscribe": "no" } })).toEqual({ exclusive: true });
  });

  test("short names, and underscores and capitals as they are typed", () => {
    const short = { "slurm.cpus": "2", "slurm.memory": "8M", "slurm.tasks": "1", "slurm.name": "n", "slurm.time-limit": "5" };
    expect(asked({ annotations: short })).toEqual({ cpusPerTask: 2, memPerNodeMib: 8, tasks: 1, name: "n", timeLimitMinutes: 5 });
    expect(asked({ annotations: { "slurm.CPUS_per_Task": "2" } })).toEqual({ cpusPerTask: 2 });
    expect(asked({ annotations: { "slurm.timelimit": "5" } })).toEqual({ timeLimitMinutes: 5 });
  });

  // What is about salloc's own command and terminal, or would read files or act for others.
  const REFUSED = ["bell", "no-bell", "container", "container-id", "get-user-env", "gid", "uid", "help", "usage", "version"].concat([
    "kill-command",
    "no-shell",
    "nodefile",
    "quiet",
    "verbose",
    "x11",
  ]);
  test.each(REFUSED)("annotation slurm.%s is refused", (name) => {
    expect(() => requestOf({ annotations: { [`slurm.${name}`]: "1" } })).toThrow(`Annotation slurm.${name} cannot be used here`);
  });

  test("no other option of salloc is forgotten: each is taken or refused by its value", () => {
    for (const { name } of SALLOC_ROWS) {
      if (REFUSED.includes(name)) continue;
      try {
        requestOf({ annotations: { [`slurm.${name}`]: "1" } });
      } catch (error) {
        expect(String(error)).toContain(`(from annotation slurm.${name}: "1")`);
      }
    }
  });

  test("options of srun alone have no variable: a container is one task, on the engine's streams", () => {
    const names = ["CPU_BIND", "EPILOG", "EXACT", "LABELIO", "MPI_TYPE", "OPEN_MODE", "OVERLAP", "POWER", "PROLOG", "SLURMD_DEBUG"];
    const others = ["TASK_EPILOG", "TASK_PROLOG", "THREADS", "UNBUFFEREDIO"];
    const environment = Object.fromEntries([...names, ...others].map((name) => [`SCRUN_${name}`, "/bin/evil"]));
    expect(asked({ environment })).toEqual({});
  });

  test("of several the first one counts: the container's limits, annotations, variables", () => {
    const annotations = { "slurm.cpus": "3", "slurm.mem": "30M", "slurm.time": "3" };
    const environment = { SCRUN_CPUS_PER_TASK: "4", SCRUN_MEM_PER_CPU: "40M", SCRUN_TIMELIMIT: "4", SCRUN_QOS: "q" };
    const resources = { cpu: { quota: 200_000, period: 100_000 } };
    expect(asked({ environment })).toEqual({ cpusPerTask: 4, memPerCpuMib: 40, timeLimitMinutes: 4, qos: "q" });
    const second = { memPerNodeMib: 30, timeLimitMinutes: 3, qos: "q" };
    expect(asked({ annotations, environment })).toEqual({ cpusPerTask: 3, ...second });
    expect(asked({ annotations, environment, resources })).toEqual({ cpusPerTask: 2, ...second });
  });

  test("the wrong one of several is named, also where another one's name is a part of its own", () => {
    const annotations = { "slurm.time": "5", "slurm.time-min": "bad!" };
    expect(() => requestOf({ annotations })).toThrow('(from annotation slurm.time-min: "bad!")');
    const environment = { SCRUN_GPUS_PER_NODE: "1", SCRUN_GRES: "gpu:x:y:z" };
    expect(() => requestOf({ environment })).toThrow('(from SCRUN_GRES: "gpu:x:y:z")');
  });
});
