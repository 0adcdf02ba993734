import { describe, expect, test } from "bun:test";
import { getopt, type OptionRow } from "./getopt.ts";

const rows: readonly OptionRow[] = [
  { name: "mem", takes: "SIZE" },
  { name: "mem-bind", takes: "HOW" },
  { name: "exact" },
  { name: "cpu-bind", aliases: ["cpu_bind"], takes: "HOW" },
  { name: "immediate", short: "I", mayTake: "S" },
  { name: "ntasks", short: "n", takes: "N" },
  { name: "verbose", short: "v" },
  { name: "help", short: "h", isAction: true },
];
const read = (words: string, order: "stop" | "permute" = "stop") => {
  const { options, rest, error } = getopt(rows, words === "" ? [] : words.split(" "), { command: "srun", order });
  const shown = options.map(({ row, value }) => (value === null ? row.name : `${row.name}=${value}`));
  return [...shown, ...(error === null ? [] : [error]), "|", ...rest].join(" ");
};

describe("getopt", () => {
  test.each([
    ["--mem 5 cmd --mem 6", "mem=5 | cmd --mem 6"],
    ["--mem=5", "mem=5 |"],
    ["-n4 -n 5", "ntasks=4 ntasks=5 |"],
    ["-vvn4", "verbose verbose ntasks=4 |"],
    ["-I5 -I 5", "immediate=5 immediate | 5"],
    ["-vI", "verbose immediate |"],
    ["--imm=3 --imm 3", "immediate=3 immediate | 3"],
    ["--exa", "exact |"],
    ["--cpu=x", "cpu-bind=x |"],
    ["--cpu_bind=x", "cpu-bind=x |"],
    ["-v -- -v", "verbose | -v"],
    ["-v - -v", "verbose | - -v"],
    ["--mem= x", "mem= | x"],
    ["--help --bogus", "help |"],
    ["-vhz", "verbose help |"],
    ["", "|"],
    ["-n -v", "ntasks=-v |"],
  ])("%s", (words, shown) => expect(read(words)).toBe(shown));

  test.each([
    ["--bogus", "srun: unrecognized option '--bogus' |"],
    ["--bogus=3", "srun: unrecognized option '--bogus=3' |"],
    ["--mem", "srun: option '--mem' requires an argument |"],
    ["-n", "srun: option requires an argument -- 'n' |"],
    ["-vy", "verbose srun: invalid option -- 'y' |"],
    ["--exact=5", "srun: option '--exact' doesn't allow an argument |"],
    ["--me", "srun: option '--me' is ambiguous; possibilities: '--mem' '--mem-bind' |"],
  ])("%s fails as the C library says", (words, shown) => expect(read(words)).toBe(shown));

  test("permuting takes options from between operands", () => {
    expect(read("12 -v 13 --mem 5 -- -n", "permute")).toBe("verbose mem=5 | 12 13 -n");
  });
});
