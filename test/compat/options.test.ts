// Every option of Slurm 22.05 against our tables: each is there, under the same letter, with or without a value as in Slurm.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { COMMANDS, type HelpCommand, type HelpRow } from "../../src/options/command-tables.ts";
import { compatibilityPage } from "../../src/options/compatibility.ts";
import { findLong, getopt, indexOf } from "../../src/options/getopt.ts";
import { JOB_UPDATE_KEYS, SCONTROL_VERBS, SHOW_ENTITIES } from "../../src/options/scontrol-words.ts";

interface Recorded {
  readonly command: string;
  readonly option: string;
  readonly letter: string | undefined;
  readonly value: "0" | "1" | "2";
}

const RECORDED = readFileSync(join(import.meta.dir, "slurm-22.05-options.txt"), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line): Recorded => {
    const [command = "", option = "", letter, value] = line.split(" ");
    return { command, option, letter: letter === "-" ? undefined : letter, value: value as Recorded["value"] };
  });

/** Letters that 22.05's programs let pass and its manuals do not have. */
const UNDOCUMENTED = new Set(["squeue -U", "sacct -t"]);

/** What differs because it follows a later Slurm. */
const LATER = new Map([
  ["srun --pty", "may name a file descriptor since 23.11"],
  ...["squeue", "sinfo", "sacct"].flatMap((command) =>
    ["json", "yaml"].map((name) => [`${command} --${name}`, "may name a data parser since 23.02"] as const),
  ),
]);

/** Machine output of scontrol came with 22.05.0's successors; nothing else begins like it. */
const ADDED_ROWS: readonly string[] = ["scontrol --json", "scontrol --yaml"];

function takesOf({ takes, mayTake }: HelpRow): Recorded["value"] {
  return takes !== undefined ? "1" : mayTake !== undefined ? "2" : "0";
}

describe.each(Object.keys(COMMANDS) as HelpCommand[])("%s has the options of Slurm 22.05", (command) => {
  const rows: readonly HelpRow[] = COMMANDS[command].rows;
  const index = indexOf(rows);
  const recorded = RECORDED.filter((line) => line.command === command);

  test("they are all there", () => {
    expect(recorded.length).toBeGreaterThan(10);
    const wrong: string[] = [];
    for (const { option, letter, value } of recorded) {
      if (UNDOCUMENTED.has(`${command} ${option}`)) continue;
      const found = option.startsWith("--")
        ? findLong(index, option.slice(2)).map(({ row }) => row)
        : [index.byLetter.get(option.slice(1))];
      const [row] = found;
      if (row === undefined || found.length > 1) wrong.push(`${option} is missing`);
      else if (letter !== undefined && index.byLetter.get(letter) !== row && row.name !== "usage")
        wrong.push(`${option} is not -${letter}`);
      else if (takesOf(row) !== value && !LATER.has(`${command} ${option}`)) wrong.push(`${option} takes ${takesOf(row)}, not ${value}`);
    }
    expect(wrong).toEqual([]);
  });

  test("and no others but those of a later Slurm, which say so", () => {
    const slurms = new Set(recorded.flatMap(({ option }) => findLong(index, option.slice(2)).map(({ row }) => row.name)));
    for (const { name, isLater = false } of rows) {
      if (!ADDED_ROWS.includes(`${command} --${name}`)) expect([name, isLater]).toEqual([name, !slurms.has(name)]);
    }
  });

  test("every abbreviation means what it means in 22.05", () => {
    const names = recorded.flatMap(({ option, letter, value }) =>
      option.startsWith("--") ? [{ name: option.slice(2), letter, value }] : [],
    );
    const wrong: string[] = [];
    for (const prefix of new Set(names.flatMap(({ name }) => Array.from(name, (_, end) => name.slice(0, end + 1))))) {
      const exact = names.find(({ name }) => name === prefix);
      const meant = exact === undefined ? names.filter(({ name }) => name.startsWith(prefix)) : [exact];
      // getopt_long(3): two names of one option are no ambiguity.
      const rowsMeant = new Set(meant.map(({ name }) => findLong(index, name)[0]?.row));
      const found = findLong(index, prefix);
      // --extra is an option of its own since 23.11, and was short for --extra-node-info.
      if (prefix === "extra") continue;
      if (rowsMeant.size === 1 && (found.length !== 1 || !rowsMeant.has(found[0]?.row)))
        wrong.push(`--${prefix}: ${found.map(({ name }) => name)}`);
      if (rowsMeant.size > 1 && found.length < 2) wrong.push(`--${prefix} is not ambiguous`);
    }
    expect(wrong).toEqual([]);
  });

  test("each says why, when it is refused or without effect", () => {
    for (const row of rows) {
      const reasons = [row.idle, row.refused].filter((why) => why !== undefined);
      expect(reasons.length).toBeLessThan(2);
      for (const why of reasons) expect(why.length).toBeGreaterThan(10);
      if (row.group === "Accepted without effect") expect([row.name, row.idle]).toEqual([row.name, expect.any(String)]);
      if (row.group === "Refused") expect([row.name, row.refused]).toEqual([row.name, expect.any(String)]);
    }
  });
});

const AMBIGUOUS = readFileSync(join(import.meta.dir, "slurm-22.05-ambiguous.txt"), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => [line.replace(/^(\w+): option '(\S+)' .*/, "$1 $2"), line] as const);

test.each(AMBIGUOUS)("%s may mean what it may mean in 22.05, in the same order", (words, said) => {
  const [command = "", option = ""] = words.split(" ");
  const rows: readonly HelpRow[] = COMMANDS[command as HelpCommand].rows;
  expect(getopt(rows, [option], { command, order: "stop" }).error).toBe(said);
});

test("scontrol knows the commands of scontrol(1)", () => {
  const manual =
    "abort all cancel_reboot cluster create completing delete details errnumstr exit fsdampeningfactor help hide hold notify oneliner pidinfo " +
    "listpids ping quiet quit reboot reconfigure release requeue requeuehold resume schedloglevel setdebug setdebugflags show shutdown " +
    "suspend takeover top token uhold update verbose version wait_job write";
  const names = SCONTROL_VERBS.map(({ name }) => name);
  expect(manual.split(" ").filter((name) => !names.includes(name))).toEqual([]);
  const entities =
    "aliases assoc_mgr bbstat burstbuffer config daemons dwstat federation frontend hostlist hostlistsorted hostnames jobs licenses nodes " +
    "partitions reservations slurmd steps topology";
  expect(SHOW_ENTITIES.join(" ")).toBe(entities);
});

test("scontrol update knows the keys of scontrol(1)", () => {
  const manual =
    "Account AdminComment ArrayTaskThrottle BurstBuffer Clusters ClusterFeatures Comment Contiguous CoreSpec CPUsPerTask Deadline DelayBoot " +
    "Dependency EligibleTime EndTime ExcNodeList Features Gres JobName Licenses MailType MailUser MinCPUsNode MinMemoryCPU MinMemoryNode " +
    "MinTmpDiskNode Name Nice NodeList NumCPUs NumNodes NumTasks OverSubscribe Partition Prefer Priority QOS Reboot ReqCores ReqNodeList ReqNodes " +
    "ReqProcs ReqSockets ReqThreads Requeue ReservationName ResetAccrueTime Shared SiteFactor StartTime StdOut Switches TasksPerNode ThreadSpec " +
    "TimeLimit TimeMin UserID WCKey WorkDir wait-for-switch";
  const names = JOB_UPDATE_KEYS.map(({ name }) => name);
  expect(manual.split(" ").filter((name) => !names.includes(name))).toEqual([]);
});

test("docs/compatibility.md is what scripts/compatibility writes", () => {
  expect(readFileSync(join(import.meta.dir, "..", "..", "docs", "compatibility.md"), "utf8")).toBe(compatibilityPage());
});
