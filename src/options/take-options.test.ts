import { describe, expect, test } from "bun:test";
import { SRUN_ROWS } from "./srun.ts";
import { takeOptions } from "./take-options.ts";

const take = ["container", "container-id"];
const rows: readonly (readonly [
  name: string,
  argv: readonly string[],
  kept: readonly string[],
  taken: Readonly<Record<string, string>>,
  rest: readonly string[],
])[] = [
  ["nothing to take", ["-n2", "true"], ["-n2"], {}, ["true"]],
  ["a value of its own word", ["--container", "/b", "true"], [], { container: "/b" }, ["true"]],
  ["an attached value", ["--container=/b=c", "true"], [], { container: "/b=c" }, ["true"]],
  ["the last one counts", ["--container=/a", "--container", "/b", "true"], [], { container: "/b" }, ["true"]],
  ["an empty value is one", ["--container=", "true"], [], { container: "" }, ["true"]],
  ["what looks like the option may be a value", ["-J", "--container", "/b", "true"], ["-J", "--container"], {}, ["/b", "true"]],
  ["behind the command nothing is an option", ["sh", "--container", "/b"], [], {}, ["sh", "--container", "/b"]],
  ["-- ends options and goes", ["--container", "/b", "--", "-x"], [], { container: "/b" }, ["-x"]],
  ["letters with and without values in one word", ["-ln2", "-N", "3", "true"], ["-ln2", "-N", "3"], {}, ["true"]],
  ["an optional value is attached or none", ["-K0", "-I", "true"], ["-K0", "-I"], {}, ["true"]],
  ["an abbreviation that is ambiguous is left to Slurm", ["--cont", "true"], ["--cont"], {}, ["true"]],
  ["an option nobody knows, with a value", ["--newer", "5", "true"], ["--newer", "5"], {}, ["true"]],
  ["an option nobody knows, without", ["--bare", "true"], ["--bare"], {}, ["true"]],
  ["a value that is missing is left to Slurm", ["--container"], ["--container"], {}, []],
];

describe("takeOptions", () => {
  test.each(rows)("%s", (_name, argv, kept, taken, rest) => {
    const found = takeOptions(SRUN_ROWS, argv, { take, guess: (option) => option === "newer" });
    expect([found.kept, Object.fromEntries(found.taken), found.rest]).toEqual([kept, taken, rest]);
  });
});
