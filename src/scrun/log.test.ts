import { expect, test } from "bun:test";
import { lastError } from "./log.ts";

const line = (level: string, msg: string) => JSON.stringify({ level, msg, time: "2026-01-01T00:00:00Z" });

test.each([
  ["nothing", "", undefined],
  ["plain text", "no JSON at all\n", undefined],
  ["the last error wins", `${line("error", "first")}\n${line("error", "second")}\n${line("info", "third")}\n`, "second"],
  ["a torn line is passed over", `${line("error", "whole")}\n{"level":"err`, "whole"],
  [
    "one object over several lines, as crun 1.28 writes it",
    `${line("warning", "first")}\n${JSON.stringify({ msg: "second }", level: "error", time: "x" }, null, 2)}\n`,
    "second }",
  ],
  ["runc's own words", line("error", 'exec: "x": executable file not found in $PATH'), 'exec: "x": executable file not found in $PATH'],
  [
    "crun's words for a missing command",
    line("error", "executable file `x y` not found in $PATH: No such file or directory"),
    'exec: "x y": executable file not found in $PATH: no such file or directory',
  ],
  ["crun's words for a file that is no program", line("error", "open executable: Permission denied"), "open executable: permission denied"],
  [
    "crun 1.28's words for it",
    line("error", "the path `/a b` exists but it is not executable: Operation not permitted"),
    'exec: "/a b": permission denied',
  ],
  [
    "crun 1.28's words for a directory",
    line("error", "the path `/etc` is not a regular file: Operation not permitted"),
    'exec: "/etc": is a directory: permission denied',
  ],
])("%s", (_title, text, expected) => {
  expect(lastError(text)).toBe(expected);
});
