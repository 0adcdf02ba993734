/** What must hold for the tables as a whole, and for any input at all. */
import { describe, expect, test } from "bun:test";
import { BerthError } from "#job/errors.ts";
import type { EpochMs } from "#job/id.ts";
import { foldArraySpec, parseArraySpec } from "./array.ts";
import { parseSbatchDirectives } from "./batch-script.ts";
import { compressHostlist, expandHostlist } from "./hostlist.ts";
import { SACCT_ROWS, parseSacct } from "./sacct.ts";
import { SALLOC_ROWS, parseSalloc } from "./salloc.ts";
import { SATTACH_ROWS, parseSattach } from "./sattach.ts";
import { SBATCH_ROWS, mergeSbatch, parseSbatch } from "./sbatch.ts";
import { SBCAST_ROWS, parseSbcast } from "./sbcast.ts";
import { SCANCEL_ROWS, parseScancel } from "./scancel.ts";
import { SCONTROL_ROWS, parseScontrol } from "./scontrol.ts";
import { SINFO_ROWS, parseSinfo } from "./sinfo.ts";
import type { Env, ParseContext } from "./site.ts";
import { SQUEUE_ROWS, parseSqueue } from "./squeue.ts";
import { SRUN_ROWS, parseSrun } from "./srun.ts";
import { SSTAT_ROWS, parseSstat } from "./sstat.ts";
import { UsageError } from "./usage-error.ts";

const now = Date.UTC(2026, 10, 20) as EpochMs;
const context: ParseContext = { cwd: "/w", now, isRoot: true, readFile: () => "n1" };
const sbatch = (argv: readonly string[], env: Env) =>
  mergeSbatch({ line: parseSbatch(argv, env), directives: parseSbatchDirectives(`#SBATCH ${argv.join(" ")}`), env, context });

const commands = [
  ["srun", SRUN_ROWS, (argv: readonly string[], env: Env) => parseSrun(argv, env, context)],
  ["sbatch", SBATCH_ROWS, sbatch],
  ["salloc", SALLOC_ROWS, (argv: readonly string[], env: Env) => parseSalloc(argv, env, context)],
  ["scancel", SCANCEL_ROWS, parseScancel],
  ["squeue", SQUEUE_ROWS, parseSqueue],
  ["sinfo", SINFO_ROWS, parseSinfo],
  ["sacct", SACCT_ROWS, (argv: readonly string[], env: Env) => parseSacct(argv, env, { now })],
  ["scontrol", SCONTROL_ROWS, parseScontrol],
  ["sattach", SATTACH_ROWS, (argv: readonly string[]) => parseSattach(argv)],
  ["sstat", SSTAT_ROWS, (argv: readonly string[]) => parseSstat(argv)],
  ["sbcast", SBCAST_ROWS, parseSbcast],
] as const;

/** Runs it; anything but the room's own errors is a bug. */
function survives(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof UsageError) && !(error instanceof BerthError)) throw error;
  }
}

describe.each(commands)("%s's table", (command, rows, parse) => {
  test("names and letters are unique", () => {
    const names = rows.flatMap((row) => [row.name, ...(row.aliases ?? [])]);
    const letters = rows.flatMap((row) => row.short ?? []);
    expect(new Set(names).size).toBe(names.length);
    expect(new Set(letters).size).toBe(letters.length);
  });

  test("each option can be said", () => {
    for (const row of rows) {
      const words = row.takes === undefined ? [`--${row.name}`] : [`--${row.name}`, "1"];
      survives(() => parse([...words, "1"], {}));
    }
  });

  test("each variable can be set", () => {
    for (const row of rows) {
      const variables = "env" in row ? Object.values(row.env ?? {}).flat() : [];
      for (const name of variables) for (const value of ["", "0", "1", "x,["]) survives(() => parse(["1"], { [name]: value }));
    }
  });

  test("nothing but usage errors comes out", () => {
    const random = randomFrom(command.length * 7919);
    const pieces = [
      "-",
      "--",
      "=",
      ":",
      "[",
      "]",
      ",",
      "1",
      "0",
      "99999999999999999999",
      "%",
      "@",
      "+",
      "x",
      "é",
      "\0",
      " ",
      "\n",
      "'",
      '"',
      "\\",
      "2030-13-01",
      "now+",
      "__proto__",
      "constructor",
      "toString",
      ...rows.map((row) => `--${row.name}`),
    ];
    for (let round = 0; round < 1500; round++) {
      const argv = Array.from({ length: random(6) }, () =>
        Array.from({ length: 1 + random(4) }, () => pieces[random(pieces.length)] ?? "").join(""),
      );
      survives(() => parse(argv, {}));
    }
  });
});

test("options without effect have a place in the record", () => {
  const idle = SRUN_ROWS.filter(({ group }) => group === "Accepted without effect");
  expect(idle.length).toBeGreaterThan(30);
  for (const row of idle) {
    const { job } = parseSrun([row.takes === undefined ? `--${row.name}` : `--${row.name}=1`, "true"], {}, context);
    expect(job.unused).toEqual({ [row.name]: row.takes === undefined ? "" : "1" });
  }
});

test("a folded host list expands to itself", () => {
  const random = randomFrom(42);
  const prefixes = ["n", "node-", "a1b", "x.y", ""];
  for (let round = 0; round < 2000; round++) {
    const names = Array.from({ length: 1 + random(12) }, () => {
      const prefix = prefixes[random(prefixes.length)] ?? "";
      const digits = String(random(120)).padStart(random(4), "0");
      return random(6) === 0 ? `login${prefix}` : `${prefix}${digits}`;
    });
    expect(expandHostlist(compressHostlist(names))).toEqual(names);
  }
});

test("a folded array expands to itself", () => {
  const random = randomFrom(7);
  for (let round = 0; round < 1000; round++) {
    const step = 1 + random(4);
    const drawn = Array.from({ length: 1 + random(20) }, (_, i) => (random(5) === 0 ? random(90) : i * step));
    const indices = [...new Set(drawn)].sort((a, b) => a - b);
    const spec = { indices, throttle: random(3) === 0 ? 1 + random(9) : null };
    expect(parseArraySpec(foldArraySpec(spec, 0))).toEqual(spec);
  }
});

/** A repeatable generator of integers below `limit` (xorshift32). */
function randomFrom(seed: number): (limit: number) => number {
  let state = seed | 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}
