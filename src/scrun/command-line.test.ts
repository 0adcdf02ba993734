import { describe, expect, test } from "bun:test";
import { COMMAND_OPTIONS, GLOBAL_OPTIONS, has, lastValue, readOptions } from "./command-line.ts";

const globals = (words: string) => readOptions(GLOBAL_OPTIONS, words.split(" "));
const create = (words: string) => readOptions(COMMAND_OPTIONS.create, words.split(" "));

describe("global options", () => {
  test.each([
    ["conmon's call", "--log-format=json --log /l create --bundle /b id", "create"],
    ["containerd's call", "--root /r --log /l --log-format json create --bundle /b id", "create"],
    ["systemd's cgroups", "--systemd-cgroup create", "create"],
    ["a value that may be left out", "--rootless create", "create"],
    ["or be attached", "--rootless=true create", "create"],
    ["or follow", "--rootless true create", "create"],
    ["crun's cgroup manager", "--cgroup-manager cgroupfs create", "create"],
    ["the same, attached", "--cgroup-manager=disabled create", "create"],
    ["CRIU's path", "--criu /usr/sbin/criu create", "create"],
    ["letters in a row", "-vvv create", "create"],
    ["a letter's value attached", "-f/etc/slurm.conf create", "create"],
    ["an unambiguous beginning", "--syst create", "create"],
  ])("%s", (_name, words, command) => expect(globals(words).rest[0]).toBe(command));

  test.each(["--no-such create", "-Q create", "--ro create", "--root"])("%s is refused", (words) => {
    expect(() => globals(words)).toThrow();
  });

  test("letters are counted", () => expect(globals("-vv -v state").given).toHaveLength(3));
});

describe("create's options", () => {
  test("a number of fds is taken, a container's id is not", () => {
    expect(create("--preserve-fds 2 id")).toMatchObject({ rest: ["id"] });
    expect(lastValue(create("--preserve-fds=2 id").given, "preserve-fds")).toBe("2");
    expect(create("--preserve-fds id").rest).toEqual(["id"]);
  });

  test("options end at the id", () => expect(create("-b /b id --no-pivot").rest).toEqual(["id", "--no-pivot"]));

  test("what runc and crun know is known", () => {
    const { given, rest } = create(
      "--no-pivot --no-subreaper --no-new-keyring --pidfd-socket /s --config /c --console-socket /t --pid-file /p id",
    );
    expect(rest).toEqual(["id"]);
    expect(has(given, "no-pivot")).toBe(true);
    expect(has(given, "no-pivot") && has(given, "bundle")).toBe(false);
  });
});
