import { describe, expect, test } from "bun:test";
import { BerthError } from "#job/errors.ts";
import { execSimple, expandPattern, NO_TASK, parsePattern, quoteCommand, usesField, type Pattern, type PatternValues } from "./pattern.ts";

const where = { file: "oci.conf", line: 3 };
const accepted: readonly (readonly [name: string, raw: string, parts: Pattern])[] = [
  ["text has no fields", "crun state", ["crun state"]],
  ["a field splits the text", "run -b %b x", ["run -b ", { field: "bundle" }, " x"]],
  ["two percent signs are one", "100%%", ["100%"]],
  ["a doubled percent sign hides a letter", "%%t", ["%t"]],
  ["fields may touch", "%j%s", [{ field: "jobId" }, { field: "stepId" }]],
  ["u and U differ", "%u %U", [{ field: "userName" }, " ", { field: "userId" }]],
  ["nothing is nothing", "", []],
];

const VALUES: PatternValues = {
  ...NO_TASK,
  bundle: "/images/alpine",
  jobId: "42",
  nodeName: "n1",
  rootfs: "/images/alpine/rootfs",
  spoolDir: "/spool/oci-job42-0",
  stepId: "0",
  taskId: "3",
  userName: "alice",
  userId: "1000",
  workDir: "/home/alice",
  command: quoteCommand(["/usr/bin/sh", "-c", "echo $HOME"]),
};
const expanded: readonly (readonly [raw: string, text: string])[] = [
  ["%n.%u.%j.%s.%t", "n1.alice.42.0.3"],
  ["%b|%r|%m|%Z|%U|%p", "/images/alpine|/images/alpine/rootfs|/spool/oci-job42-0|/home/alice|1000|4294967295"],
  ["%@", "'/usr/bin/sh' '-c' 'echo $HOME'"],
  ["$(whoami) %%", "$(whoami) %"],
];

describe("parsePattern", () => {
  test.each(accepted)("%s", (_name, raw, parts) => expect(parsePattern(raw, where)).toEqual(parts));
  test.each(["%q", "run %", "%B", "%%%"])("%s is refused", (raw) => {
    expect(() => parsePattern(raw, where)).toThrow(BerthError);
    expect(() => parsePattern(raw, where)).toThrow("oci.conf:3");
  });
});

test.each(expanded)("%s becomes %s", (raw, text) => expect(expandPattern(parsePattern(raw, where), VALUES)).toBe(text));

test("usesField sees a field and not its text", () => {
  expect(usesField(parsePattern("kill %p", where), "pid")).toBe(true);
  expect(usesField(parsePattern("kill %%p", where), "pid")).toBe(false);
});

describe("quoteCommand", () => {
  test.each([
    ["an empty list is empty", [], ""],
    ["an empty argument stays one", [""], "''"],
    ["a quote is put between double quotes", ["it's"], `'it'"'"'s'`],
  ] as const)("%s", (_name, args, text) => expect(quoteCommand(args)).toBe(text));

  test("arguments come through a real shell as they went in", () => {
    const pick = "'\"\\$`!*?[]{}()<>|&;#~ \t\n%-=aé😀\u007f\u0001".match(/./gsu) as string[];
    const random = lcg(20261120);
    for (let round = 0; round < 60; round++) {
      const args = Array.from({ length: 1 + random(6) }, () =>
        Array.from({ length: random(12) }, () => pick[random(pick.length)]).join(""),
      );
      const { stdout, exitCode } = Bun.spawnSync(["/bin/sh", "-c", `printf '%s\\0' ${quoteCommand(args)}`]);
      expect(exitCode).toBe(0);
      expect(stdout.toString().split("\0").slice(0, -1)).toEqual(args);
    }
  });
});

/** A generator with a printed seed: the same numbers in each run. */
function lcg(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test.each([
  ["runc --root=/run/user/5/ run a.b.1.0.0 -b /spool/task-0", true],
  ["  crun run --bundle /b id", true],
  ["env -i A=b USER=$(whoami) ch-run -w /img -- 'a b' 'it'\"'\"'s;' '$(id)'", true],
  ["x '$HOME' $HOME", true],
  ["A=b runc run", false],
  ["runc run; echo", false],
  ["runc run && x", false],
  ["runc run > f", false],
  ["runc run\nx", false],
  ["(runc run)", false],
  ["if true", false],
  ["exec runc", false],
  ["kill -s TERM 5", false],
  [". /etc/x", false],
  ["", false],
  ["'runc' run", false],
  ["runc `x`", false],
  ['a "b"', false],
  ["a $(b; c)", false],
])("%j gets exec: %p", (command, isSimple) => expect(execSimple(command)).toBe(isSimple ? `exec ${command.trim()}` : command));
