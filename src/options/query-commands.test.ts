/** The commands that only ask or signal, against the sessions in spec/transcripts. */
import { describe, expect, test } from "bun:test";
import type { EpochMs } from "#job/id.ts";
import { COMMANDS, type HelpCommand, type HelpRow } from "./command-tables.ts";
import { helpText, usageText } from "./help.ts";
import { parseSacct } from "./sacct.ts";
import { parseSattach } from "./sattach.ts";
import { parseSbcast } from "./sbcast.ts";
import { parseScancel } from "./scancel.ts";
import { parseScontrol } from "./scontrol.ts";
import { parseSinfo } from "./sinfo.ts";
import type { Env } from "./site.ts";
import { parseSqueue } from "./squeue.ts";
import { parseSstat } from "./sstat.ts";
import { UsageError } from "./usage-error.ts";

const now = new Date(2026, 10, 20, 12).getTime() as EpochMs;
const parsers: Readonly<Record<string, (argv: readonly string[], env: Env) => unknown>> = {
  scancel: parseScancel,
  squeue: parseSqueue,
  sinfo: parseSinfo,
  scontrol: parseScontrol,
  sbcast: parseSbcast,
  sacct: (argv, env) => parseSacct(argv, env, { now }),
  sattach: (argv) => parseSattach(argv),
  sstat: (argv) => parseSstat(argv),
};
function read(words: string, env: Env = {}): unknown {
  const [command = "", ...argv] = words.split(" ");
  return parsers[command]?.(argv, env);
}
const target = (jobId: number, more: object = {}) => ({ jobId, arrayTasks: null, stepKey: null, ...more });

test.each([
  [
    "scancel 12 --signal USR1 13,14_[1,2]",
    {
      signal: 10,
      targets: [target(12), target(13), target(14, { arrayTasks: [1, 2] })],
      hasFilter: false,
    },
  ],
  ["scancel -t pd -u alice", { states: ["PENDING"], user: "alice", hasFilter: true, targets: [] }],
  ["scancel --me -v", { me: true, hasFilter: true, verbose: 1 }],
  ["scancel 12.batch -b", { targets: [target(12, { stepKey: "batch" })], batch: true }],
  ["squeue -h -j 1 -o %T", { noHeader: true, jobs: [target(1)], format: { kind: "letters", text: "%T" } }],
  ["squeue --noheader --job 1,2", { jobs: [target(1), target(2)] }],
  ["squeue --jobs=1_3 -t pending,R", { jobs: [target(1, { arrayTasks: [3] })], states: ["PENDING", "RUNNING"] }],
  ["squeue -t all -O a -o b", { states: "all", format: { kind: "letters", text: "b" }, jobs: null, steps: null }],
  ["squeue -s -j 5", { steps: [], jobs: [target(5)] }],
  ["squeue -s 5.0", { steps: [target(5, { stepKey: 0 })], jobs: null }],
  ["squeue --json=v0.0.40 --me", { machine: { kind: "json", version: "v0.0.40" }, me: true }],
  ["sinfo -N -l -t idle,mix -p a,b", { byNode: true, long: true, states: ["idle", "mixed"], partitions: ["a", "b"] }],
  [
    "sacct -X -n -P -j 5 -j 6.batch -o JobID -o State",
    {
      jobs: [target(5), target(6, { stepKey: "batch" })],
      format: "JobID,State",
      parsable: "separating",
      from: 0,
      to: now,
    },
  ],
  ["sacct", { jobs: null, from: new Date(2026, 10, 20).getTime(), to: now, states: null }],
  ["sacct -s F", { states: ["FAILED"], from: now, to: now }],
  ["sacct -s CD -S now-1hour -E now --name=a,b", { from: now - 3_600_000, to: now, names: ["a", "b"] }],
  ["sacct -I 2-4 -i 3", { filters: { ncpus: { min: 2, max: 4 }, nnodes: { min: 3, max: 3 } } }],
  ["sacct -k 10 -K 1:00:00", { filters: { timeLimit: { min: 10, max: 60 } } }],
  [
    "sacct -k unlimited -C fast -F schedmain -R Resources,Priority",
    {
      filters: {
        timeLimit: { min: Infinity, max: Infinity },
        constraints: ["fast"],
        flags: ["SchedMain"],
        reasons: ["Resources", "Priority"],
      },
    },
  ],
  ["sacct --clusters all --starttime 2026-11-18T10:00", { clusters: "all", from: new Date(2026, 10, 18, 10).getTime() }],
  ["scontrol show job 1 -o", { words: ["show", "job", "1"], oneLine: true }],
  ["scontrol write batch_script 1 -", { words: ["write", "batch_script", "1", "-"] }],
  ["sattach -l 5.0", { target: target(5, { stepKey: 0 }), label: true }],
  ["sstat -a -j 5,6.0 -n -P", { jobs: [target(5), target(6, { stepKey: 0 })], allSteps: true, parsable: "separating" }],
  ["sbcast -f -j 5 a b", { source: "a", destination: "b", target: target(5), force: true }],
])("%s", (words, expected) => expect(read(words)).toMatchObject(expected as object));

test("variables stand for options", () => {
  const env = { SQUEUE_STATES: "R", SQUEUE_FORMAT: "%j", SQUEUE_FORMAT2: "name", SQUEUE_SORT: "-i", SQUEUE_USERS: "a,b" };
  expect(read("squeue", env)).toMatchObject({
    states: ["RUNNING"],
    format: { kind: "letters", text: "%j" },
    sort: "-i",
    users: ["a", "b"],
  });
  expect(read("squeue -t PD -O state", env)).toMatchObject({ states: ["PENDING"], format: { kind: "fields", text: "state" } });
  expect(read("sbcast a b", { SLURM_JOB_ID: "7" })).toMatchObject({ target: target(7) });
});

const tryHelp = (command: string) => `Try "${command} --help" for more information`;
test.each([
  ["scancel", ["scancel: error: No job identification provided"]],
  ["scancel abc", ["scancel: error: Invalid job id abc"]],
  ["scancel -s NOSUCH 1", ["Unknown job signal: NOSUCH"]],
  ["scancel --bogus 1", ["scancel: unrecognized option '--bogus'", tryHelp("scancel")]],
  ["squeue -h --bogus", ["squeue: unrecognized option '--bogus'", tryHelp("squeue")]],
  ["squeue -h -j abc", ["squeue: error: Invalid job id: abc"]],
  [
    "squeue -t bogus",
    [
      "squeue: error: Invalid job state specified: bogus",
      "squeue: error: Valid job states include: PENDING,RUNNING,SUSPENDED,COMPLETED,CANCELLED,FAILED,TIMEOUT,NODE_FAIL," +
        "PREEMPTED,BOOT_FAIL,DEADLINE,OUT_OF_MEMORY,COMPLETING,CONFIGURING,RESIZING,RESV_DEL_HOLD,REQUEUED,REQUEUE_FED," +
        "REQUEUE_HOLD,REVOKED,SIGNALING,SPECIAL_EXIT,STAGE_OUT,STOPPED",
      "",
    ],
  ],
  ["sacct --bogus", ["sacct: unrecognized option '--bogus'"]],
  ["sacct -X -S nonsense", ["Invalid time specification (pos=0): nonsense"]],
  ["sacct -I 4-2", ["sacct: fatal: Invalid ncpus range: 4-2"]],
  ["sacct -K 10", ["sacct: fatal: timelimit-max requires timelimit-min"]],
  ["sacct -F Sideways", ["sacct: fatal: unrecognized job flag 'Sideways'"]],
  ["sacct -x 1", ["sacct: error: --associations is not supported: there are no associations"]],
  ["sacct -f records", ["sacct: error: --file is not supported: records are in the controller's store, not in files"]],
  ["scancel --sibling other 1", ["scancel: error: --sibling is not supported: there is no federation"]],
  ["sacct -s bogus", ["sacct: fatal: unrecognized job state value 'bogus'"]],
  ["sacct -j abc", ["sacct: fatal: Bad job/step specified: abc"]],
  ["sstat --bogus -j 1", ["sstat: unrecognized option '--bogus'"]],
  ["sstat -j", ["sstat: option requires an argument -- 'j'"]],
  ["scontrol -u bob ping", ["scontrol: error: --uid is not supported: all jobs of an engine are one user's"]],
  ["sstat", ["sstat: error: You didn't give me any jobs to stat."]],
  ["sattach", ["sattach: error: too many parameters"]],
  ["sbcast src.txt", ["Need two file names, have 1 names", tryHelp("sbcast")]],
  ["sbcast a b", ["sbcast: error: Need a job id to run this command.  Run from within a Slurm job or use the --jobid option."]],
])("%s fails", (words, lines) => {
  try {
    read(words);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    expect((error as UsageError).lines).toEqual(lines);
    expect((error as UsageError).exitStatus).toBe(1);
  }
});

describe("help", () => {
  const commands = ["srun", "sbatch", "salloc", ...Object.keys(parsers)] as HelpCommand[];
  test.each(commands)("%s fits 80 columns, each option on its line", (command) => {
    const lines = helpText(command).split("\n");
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(lines.filter((line) => / --\S/.test(line)).length).toBeGreaterThan(8);
    const usage = usageText(command);
    expect(usage).toStartWith(`Usage: ${command} [-`);
    expect(usage.split("\n").filter((line) => line.length > 80)).toEqual([]);
    for (const { name, short, refused } of COMMANDS[command].rows as readonly HelpRow[]) {
      if (refused === undefined) expect(usage).toContain(short === undefined ? `[--${name}` : `[-${short}`);
    }
  });
});
