// Every input variable of Slurm 22.05's manuals: it does what its option does, is read by what it is about, or is listed as idle.
import { describe, expect, test } from "bun:test";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Site } from "../e2e/site.ts";
import type { EpochMs } from "../../src/job/id.ts";
import { COMMANDS, type HelpCommand } from "../../src/options/command-tables.ts";
import { IDLE_VARIABLES } from "../../src/options/idle-variables.ts";
import type { JobCommand, JobOptionRow } from "../../src/options/job-option-row.ts";
import { parseSacct } from "../../src/options/sacct.ts";
import { parseSalloc } from "../../src/options/salloc.ts";
import { mergeSbatch, parseSbatch } from "../../src/options/sbatch.ts";
import { parseSbcast } from "../../src/options/sbcast.ts";
import { parseScancel } from "../../src/options/scancel.ts";
import { parseScontrol } from "../../src/options/scontrol.ts";
import { parseSinfo } from "../../src/options/sinfo.ts";
import type { Env, ParseContext } from "../../src/options/site.ts";
import { parseSqueue } from "../../src/options/squeue.ts";
import { parseSrun } from "../../src/options/srun.ts";
import { UsageError } from "../../src/options/usage-error.ts";

const now = Date.UTC(2026, 10, 20) as EpochMs;
const context: ParseContext = { cwd: "/w", now, isRoot: false, readFile: () => "n1" };
const NONE = { argv: [], hasComponents: false, warnings: [] };

type Parse = (argv: readonly string[], env: Env) => object;
const PARSERS: Readonly<Record<string, Parse>> = {
  srun: (argv, env) => parseSrun([...argv, "true"], env, context),
  sbatch: (argv, env) => mergeSbatch({ line: parseSbatch([...argv, "--wrap", "true"], env), env, context, directives: NONE }),
  salloc: (argv, env) => parseSalloc([...argv, "true"], env, context),
  scancel: parseScancel,
  squeue: parseSqueue,
  sinfo: parseSinfo,
  sacct: (argv, env) => parseSacct(argv, env, { now }),
  scontrol: parseScontrol,
  sbcast: (argv, env) => parseSbcast(["-j1", "a", "b", ...argv], env),
};
const parse = (command: string, argv: readonly string[], env: Env) => {
  // Which words were typed is not what they mean.
  const { given: _given, ...line } = (PARSERS[command] as Parse)(argv, env) as { given?: unknown };
  return line;
};

/** Variable, its value, and the options that say the same. */
const SAME: readonly (readonly [command: string, variable: string, value: string, ...argv: readonly string[]])[] = [
  ["squeue", "SQUEUE_ACCOUNT", "a,b", "-A", "a,b"],
  ["squeue", "SQUEUE_ALL", "1", "-a"],
  ["squeue", "SQUEUE_ARRAY", "1", "-r"],
  ["squeue", "SQUEUE_ARRAY_UNIQUE", "1", "--array-unique"],
  ["squeue", "SQUEUE_FORMAT", "%i", "-o", "%i"],
  ["squeue", "SQUEUE_FORMAT2", "jobid:5", "-O", "jobid:5"],
  ["squeue", "SQUEUE_LICENSES", "l", "-L", "l"],
  ["squeue", "SQUEUE_NAMES", "n,m", "-n", "n,m"],
  ["squeue", "SQUEUE_PARTITION", "p", "-p", "p"],
  ["squeue", "SQUEUE_PRIORITY", "1", "-P"],
  ["squeue", "SQUEUE_QOS", "q", "-q", "q"],
  ["squeue", "SQUEUE_SORT", "-i", "-S", "-i"],
  ["squeue", "SQUEUE_STATES", "R,PD", "-t", "R,PD"],
  ["squeue", "SQUEUE_USERS", "u", "-u", "u"],
  ["squeue", "SLURM_CLUSTERS", "c", "-M", "c"],
  ["sinfo", "SINFO_ALL", "1", "-a"],
  ["sinfo", "SINFO_FORMAT", "%P", "-o", "%P"],
  ["sinfo", "SINFO_PARTITION", "p", "-p", "p"],
  ["sinfo", "SINFO_SORT", "P", "-S", "P"],
  ["sinfo", "SLURM_CLUSTERS", "c", "-M", "c"],
  ["sacct", "SACCT_FORMAT", "jobid,user", "-o", "jobid,user"],
  ["scontrol", "SCONTROL_ALL", "1", "-a"],
  ["scontrol", "SLURM_CLUSTERS", "c", "-M", "c"],
  ["scancel", "SCANCEL_ACCOUNT", "a", "-A", "a"],
  ["scancel", "SCANCEL_BATCH", "1", "-b"],
  ["scancel", "SCANCEL_CTLD", "1", "--ctld"],
  ["scancel", "SCANCEL_FULL", "1", "-f"],
  ["scancel", "SCANCEL_HURRY", "1", "-H"],
  ["scancel", "SCANCEL_INTERACTIVE", "1", "-i"],
  ["scancel", "SCANCEL_NAME", "n", "-n", "n"],
  ["scancel", "SCANCEL_PARTITION", "p", "-p", "p"],
  ["scancel", "SCANCEL_QOS", "q", "-q", "q"],
  ["scancel", "SCANCEL_STATE", "PENDING", "-t", "PENDING"],
  ["scancel", "SCANCEL_USER", "u", "-u", "u"],
  ["scancel", "SCANCEL_VERBOSE", "1", "-v"],
  ["scancel", "SCANCEL_WCKEY", "w", "--wckey", "w"],
  ["scancel", "SLURM_CLUSTERS", "c", "-M", "c"],
  ["sbcast", "SBCAST_FORCE", "1", "-f"],
  ["sbcast", "SBCAST_PRESERVE", "1", "-p"],
  ["sbcast", "SBCAST_SEND_LIBS", "yes", "--send-libs=yes"],
  ["sbcast", "SBCAST_EXCLUDE", "/opt", "--exclude=/opt"],
];

test.each(SAME)("%s: %s=%s", (command, variable, value, ...argv) => {
  const operands = command === "scancel" ? ["1"] : [];
  const said = parse(command, [...argv, ...operands], {});
  expect(parse(command, operands, { [variable]: value })).toEqual(said);
  expect(parse(command, operands, {})).not.toEqual(said);
});

/** What only the option says, on purpose: the name of srun's own step, and that a step gets nothing but what it asks for. */
const DIFFERENT: Readonly<Record<string, object>> = {
  "job-name": { stepName: "" },
  exclusive: { step: null },
  "cpus-per-task": { step: null },
};

describe.each(["srun", "sbatch", "salloc"] as const)("%s's variables say what its options say", (command) => {
  const rows = (COMMANDS[command].rows as readonly JobOptionRow[]).filter((row) => row.env?.[command] !== undefined);
  /** The first one that is a value of the option. */
  const VALUES = ["2", "1", "yes", "a", "t", "0-1", "USR1@10", "block", "user", "NONE", "1G", "off"];

  test.each(rows.map((row) => [row.name, row] as const))("--%s", (_name, row) => {
    const isFlag = row.takes === undefined && row.mayTake === undefined;
    const value = isFlag ? "1" : VALUES.find((candidate) => isRead(() => parse(command, [`--${row.name}=${candidate}`], {})));
    expect(value).toBeDefined();
    const meaning = (line: object) => ({ ...line, ...DIFFERENT[row.name] });
    const said = parse(command, [isFlag ? `--${row.name}` : `--${row.name}=${value}`], {});
    for (const variable of row.env?.[command as JobCommand] ?? []) {
      const line = parse(command, [], { [variable]: value as string });
      expect({ variable, line: meaning(line) }).toEqual({ variable, line: meaning(said) });
    }
  });
});

function isRead(run: () => unknown): boolean {
  try {
    run();
    return true;
  } catch (error) {
    if (error instanceof UsageError) return false;
    throw error;
  }
}

/** Read where they are needed, by name; tests of that place are beside it. */
const READ_BY_NAME: readonly string[] = [
  "SLURM_BITSTR_LEN",
  "SLURM_DIST_PLANESIZE",
  "SLURM_EXIT_ERROR",
  "SLURM_EXIT_IMMEDIATE",
  "SLURM_NNODES",
  "SLURM_TIME_FORMAT",
  "SLURM_UMASK",
];

test("every variable of the manuals has its place, and none has two", () => {
  const idle = IDLE_VARIABLES.flatMap(({ names }) => names);
  const missing: string[] = [];
  for (const line of readFileSync(join(import.meta.dir, "slurm-22.05-variables.txt"), "utf8").split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const [command = "", ...variables] = line.split(" ");
    const rows = COMMANDS[command as HelpCommand].rows as readonly { readonly env?: JobOptionRow["env"] }[];
    const ofOptions = new Set(rows.flatMap((row) => row.env?.[command as JobCommand] ?? []));
    for (const variable of variables) {
      const places = [
        ofOptions.has(variable),
        SAME.some(([of, name]) => of === command && name === variable),
        idle.includes(variable),
        READ_BY_NAME.includes(variable),
      ].filter(Boolean);
      if (places.length !== 1) missing.push(`${command}: ${variable} has ${places.length} places`);
    }
  }
  expect(missing).toEqual([]);
});

test("SLURM_UMASK is a job's umask", async () => {
  await using site = new Site();
  const env = { SLURM_UMASK: "0077" };
  expect((await site.run(["srun", "sh", "-c", "umask; echo $SLURM_UMASK"], { env })).stdout).toBe("0077\n0077\n");
  const script = "#!/bin/sh\numask 027\nsrun sh -c umask\n";
  expect((await site.run(["sbatch", "-W", "-o", "private.out"], { env, stdin: script })).status).toBe(0);
  expect([site.read("private.out"), statSync(site.path("private.out")).mode & 0o777]).toEqual(["0027\n", 0o600]);
});

test("what is read by name is read", () => {
  const sources = [...new Bun.Glob("**/*.ts").scanSync({ cwd: join(import.meta.dir, "../../src"), absolute: true })]
    .filter((path) => !path.endsWith(".test.ts") && !path.endsWith("idle-variables.ts"))
    .map((path) => readFileSync(path, "utf8"));
  for (const name of READ_BY_NAME) expect([name, sources.some((text) => text.includes(`env["${name}"]`))]).toEqual([name, true]);
});
