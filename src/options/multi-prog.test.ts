import { describe, expect, test } from "bun:test";
import { parseMultiProg } from "./multi-prog.ts";
import { UsageError } from "./usage-error.ts";

const read = (text: string, tasks: number | null = null, extraArgs: readonly string[] = []) =>
  parseMultiProg(text, { file: "f", tasks, extraArgs, errorExit: 1 });
const shown = (text: string, tasks: number | null = null) => read(text, tasks).commands.map((words) => words.join("|"));

// Each of these is what Slurm 22.05's srun started for the same file.
describe("parseMultiProg", () => {
  test.each<[name: string, text: string, tasks: number | null, commands: string[]]>([
    ["ranges, the rest, and counts", "0 p %t\n1-2 m %t %o\n* r %t %o\n", 5, ["p|0", "m|1|0", "m|2|1", "r|3|3", "r|4|4"]],
    ["without -n the highest rank tells how many", "1 one\n* star\n", null, ["star", "one"]],
    ["offsets follow the order of the list", "2,0-1 x %t %o\n", 3, ["x|0|1", "x|1|2", "x|2|0"]],
    ["comments and empty lines", "#x\n  # y\n\n   \n0\tp\t a \n", null, ["p|a"]],
    ["a hash inside a line is a word", "0 p # a\n", null, ["p|#|a"]],
    ["a continued line", "0 p a\\\n  b\\\n\tc\n1 q\n", null, ["p|a|b|c", "q"]],
    ["what follows a backslash at the end is no comment", "0 p \\\n# a\n", null, ["p|#|a"]],
    ["single quotes", "0 p 'a b' un' 'quoted '%t' ''\n", null, ["p|a b|un quoted|%t|"]],
    ["double quotes are letters", '0 p "a b" "%t"\n', null, ['p|"a|b"|"0"']],
    ["a backslash keeps a character", "0 p a\\ b c\\d \\'q\n", null, ["p|a b|cd|'q"]],
    ["other letters after % vanish", "0 p %%t %%%t %q% x%t%oy %%\n", null, ["p|t|0|x00y|"]],
    ["an open quote: nothing can be started", "0 p 'a\n", null, [""]],
    ["no newline at the end", "0 p a", null, ["p|a"]],
  ])("%s", (_name, text, tasks, commands) => expect(shown(text, tasks)).toEqual(commands));

  test("arguments of srun belong to every program", () => {
    expect(read("* p a\n", 2, ["x y"]).commands).toEqual([
      ["p", "a", "x y"],
      ["p", "a", "x y"],
    ]);
  });

  test.each<[text: string, tasks: number | null, ...lines: string[]]>([
    ["0 p\n", 2, "Configuration file f invalid, no record for task id 1"],
    ["", null, "Configuration file f invalid, no record for task id 0"],
    ["0 p\n1 q\n", 1, "Invalid task id, 1 >= ntasks", "Line 2 of configuration file f invalid"],
    ["0,0 p\n", 1, "Duplicate record for task 0", "Line 1 of configuration file f invalid"],
    ["x p\n", 1, "Invalid task range specification (x)", "Line 1 of configuration file f invalid"],
    ["[0-1] p\n", 2, "Invalid task range specification ([0-1])", "Line 1 of configuration file f invalid"],
    ["0-7:2 p\n", 8, "Invalid task range specification", "Line 1 of configuration file f invalid"],
    ["1-0 p\n", 2, "Invalid task range, 1-0", "Line 1 of configuration file f invalid"],
    ["0\n", 1, "Line 1 of configuration file f invalid"],
    ["* p\n0 q\n", 2, "Task range specification with asterisk must be last", "Line 2 of configuration file f invalid"],
    ["0-999999999 p\n", null, "Invalid task id, 999999999 >= ntasks", "Line 1 of configuration file f invalid"],
  ])("%j for %p tasks is refused", (text, tasks, ...lines) => {
    expect(() => read(text, tasks)).toThrow(
      new UsageError(
        lines.map((line) => `srun: error: ${line}`),
        1,
      ),
    );
  });
});
