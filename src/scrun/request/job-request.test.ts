import { describe, expect, test } from "bun:test";
import { toJson, type JsonObject } from "#container/json.ts";
import { BerthError } from "#job/errors.ts";
import type { EpochMs } from "#job/id.ts";
import { jobRequestOf, wishesOf } from "./job-request.ts";

interface Said {
  readonly resources?: unknown;
  readonly annotations?: Record<string, string>;
  readonly environment?: Record<string, string>;
}

const bundleOf = ({ resources = {}, annotations = {} }: Said) => ({
  config: toJson({ linux: { resources } }) as JsonObject,
  annotations,
});

function asked(said: Said): Record<string, string> {
  return Object.fromEntries(wishesOf(bundleOf(said), said.environment ?? {}).map(({ option, value }) => [option, value]));
}

const submit = { submitDir: "/", workDir: "/b", host: "h", sid: 1, submitLine: "scrun", umask: 0o22, rlimits: {}, environment: {} };
function requestOf(said: Said) {
  return jobRequestOf(bundleOf(said), {
    environment: said.environment ?? {},
    context: { cwd: "/", now: 0 as EpochMs, isRoot: false, readFile: () => undefined },
    submit,
    name: "web",
    bundle: "/b",
    containerId: "c1",
    command: "alpine",
    comment: "alpine",
  });
}

const cases: readonly (readonly [name: string, said: Said, wanted: Record<string, string>])[] = [
  ["nothing is asked for by itself", {}, {}],
  ["one and a half CPUs need two", { resources: { cpu: { quota: 150_000, period: 100_000 } } }, { "cpus-per-task": "2" }],
  ["a quota without a period is of 100 ms", { resources: { cpu: { quota: 50_000 } } }, { "cpus-per-task": "1" }],
  ["no quota is no wish", { resources: { cpu: { quota: -1, shares: 1024 } } }, {}],
  ["shares above one CPU's", { resources: { cpu: { shares: 2048 } } }, { "cpus-per-task": "2" }],
  ["memory is rounded up to MiB", { resources: { memory: { limit: 1048577 } } }, { mem: "2M" }],
  ["unlimited memory is no wish", { resources: { memory: { limit: -1 } } }, {}],
  [
    "annotations have salloc's names",
    { annotations: { "slurm.partition": "p", "slurm.cpus-per-task": "3", other: "x" } },
    { partition: "p", "cpus-per-task": "3" },
  ],
  [
    "and short ones",
    { annotations: { "slurm.cpus": "3", "slurm.time": "5", "slurm.mem_per_cpu": "1G" } },
    { "cpus-per-task": "3", time: "5", "mem-per-cpu": "1G" },
  ],
  [
    "SCRUN_ variables have salloc's too",
    { environment: { SCRUN_TIMELIMIT: "7", SCRUN_JOB_NUM_NODES: "1", SCRUN_OVERCOMMIT: "yes" } },
    { time: "7", nodes: "1", overcommit: "yes" },
  ],
  ["a flag that says no is left out", { environment: { SCRUN_OVERCOMMIT: "0" } }, {}],
  [
    "the container's limit counts before an annotation, that before a variable",
    {
      resources: { cpu: { quota: 200_000, period: 100_000 } },
      annotations: { "slurm.cpus": "3", "slurm.partition": "a" },
      environment: { SCRUN_CPUS_PER_TASK: "4", SCRUN_PARTITION: "b", SCRUN_QOS: "q" },
    },
    { "cpus-per-task": "2", partition: "a", qos: "q" },
  ],
  ["memory is said once", { resources: { memory: { limit: 1 << 30 } }, environment: { SCRUN_MEM_PER_CPU: "5G" } }, { mem: "1024M" }],
];

describe("what a container asks for", () => {
  test.each(cases)("%s", (_name, said, wanted) => expect(asked(said)).toEqual(wanted));

  test("becomes a job of its own name, bundle and id", () => {
    const request = requestOf({ resources: { memory: { limit: 1 << 20 } } });
    expect(request.options).toMatchObject({ name: "web", container: "/b", containerId: "c1", memPerNodeMib: 1, comment: "alpine" });
    expect(request.kind).toBe("srun");
  });

  test("SCRUN_JOB_NAME names it", () => {
    expect(requestOf({ environment: { SCRUN_JOB_NAME: "mine" } }).options.name).toBe("mine");
  });

  test.each([
    [
      "a value that cannot be read names who said it",
      { annotations: { "slurm.time": "soon" } },
      'Invalid --time specification (from annotation slurm.time: "soon")',
    ],
    ["an annotation that is no option", { annotations: { "slurm.nonsense": "1" } }, "nonsense"],
    [
      "an annotation may not read files",
      { annotations: { "slurm.nodefile": "/etc/passwd" } },
      "Annotation slurm.nodefile cannot be used here",
    ],
    [
      "nor under a shorter name",
      { annotations: { "slurm.nodefil": "/etc/passwd" } },
      'unrecognized option "nodefil" (from annotation slurm.nodefil)',
    ],
    ["nor another user's right", { annotations: { "slurm.ui": "0" } }, 'unrecognized option "ui"'],
    ["an annotation without a name", { annotations: { "slurm.": "1" } }, 'unrecognized option ""'],
    [
      "an image's words may not forge lines of squeue",
      { environment: { SCRUN_JOB_NAME: "a\n99 debug b" } },
      "SCRUN_JOB_NAME has a control character (code 10) in it",
    ],
    ["nor write to its terminal", { annotations: { "slurm.comment": "\u001b[2J" } }, "annotation slurm.comment has a control character"],
  ])("%s", (_name, said, message) => {
    expect(() => requestOf(said)).toThrow(BerthError);
    expect(() => requestOf(said)).toThrow(message);
  });
});
