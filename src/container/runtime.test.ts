import { expect, test } from "bun:test";
import { chosenOperations, withPreservedFds } from "./runtime.ts";

const CASES: readonly (readonly [command: string, preserved: string])[] = [
  ["runc --root=/run/x/ run c1 -b /b", "runc --root=/run/x/ run --preserve-fds 1 c1 -b /b"],
  ["crun --root /run/x create --bundle /b c1", "crun --root /run/x create --preserve-fds 1 --bundle /b c1"],
  ["/usr/sbin/runc create c1", "/usr/sbin/runc create --preserve-fds 1 c1"],
  ["runc run --preserve-fds 3 c1", "runc run --preserve-fds 3 c1"],
  ["runc --root=/run/x/ start c1", "runc --root=/run/x/ start c1"],
  ["ch-run -w /b -- run me", "ch-run -w /b -- run me"],
  ["env A=1 runc run c1", "env A=1 runc run c1"],
];

test.each(CASES)("%s", (command, preserved) => expect(withPreservedFds(command, 1)).toBe(preserved));

test("without descriptors a command stays as it is", () => expect(withPreservedFds("runc run c1", 0)).toBe("runc run c1"));

test("the runtime that Berth chose gets them too", () => {
  const where = { root: "/r", bundle: "/b", id: "c1" };
  expect(chosenOperations({ path: "/usr/bin/crun" }, { ...where, preserveFds: 1 }).run).toEqual([
    "/usr/bin/crun",
    "--root",
    "/r",
    "run",
    "--preserve-fds",
    "1",
    "--bundle",
    "/b",
    "c1",
  ]);
  expect(chosenOperations({ path: "/usr/bin/crun" }, where).run).not.toContain("--preserve-fds");
});
