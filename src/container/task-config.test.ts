import { describe, expect, test } from "bun:test";
import type { Bundle } from "./bundle.ts";
import { mergeEnvironment, excludeVariables, printEnvFile, runtimeEnvironment } from "./environment.ts";
import { parseJson, type JsonObject } from "./json.ts";
import { MountTable } from "./mount-flags.ts";
import { parseState } from "./runtime-calls.ts";
import { containerId, stateDirOf } from "./runtime.ts";
import { NO_TASK, type PatternValues } from "./pattern.ts";
import { spoolPath } from "./spool.ts";
import { StepConfig, type StepConfigOptions } from "./task-config.ts";

const PLAIN: StepConfigOptions = { batch: null, disableHooks: [], spoolMount: null, rootless: null, runtime: "crun" };
function rewrite(config: string, options: Partial<StepConfigOptions> = {}, hasTerminal = false): string {
  const bundle: Bundle = { path: "/b", rootfs: "/b/rootfs", env: [], config: parseJson(config) as JsonObject };
  return new StepConfig(bundle, { ...PLAIN, ...options }).print({ args: ["a b", '"'], env: { X: "1", Y: "" }, hasTerminal });
}

describe("config.json of a task", () => {
  test("only what the contract names is changed", () => {
    const text = rewrite(
      '{"x":{},"process":{"terminal":true,"args":["old"],"cwd":"/w","env":["A=1"]},"root":{"readonly":true,"path":"rootfs"},' +
        '"linux":{"resources":{"memory":{"limit":9223372036854775807}}},"hooks":{"prestart":[{"path":"/p"}],"poststop":[]}}',
      { disableHooks: ["prestart", "none"] },
    );
    expect(text).toContain("9223372036854775807");
    expect(JSON.parse(text)).toEqual({
      x: {},
      process: { terminal: false, args: ["a b", '"'], cwd: "/w", env: ["X=1", "Y="] },
      root: { readonly: true, path: "/b/rootfs" },
      linux: { resources: { memory: { limit: 2 ** 63 } } },
      hooks: { poststop: [] },
      mounts: [],
    });
    expect(Object.keys(JSON.parse(text).process)).toEqual(["terminal", "args", "cwd", "env"]);
  });
  test("a config with nothing in it gets what is needed", () => {
    expect(JSON.parse(rewrite("{}", {}, true))).toEqual({
      process: { terminal: true, env: ["X=1", "Y="], args: ["a b", '"'] },
      root: { path: "/b/rootfs" },
      mounts: [],
    });
  });
  test("mounts of another type become a list; the spool directory comes at the end", () => {
    expect(JSON.parse(rewrite('{"mounts":"x"}', { spoolMount: { source: "/s", destination: "/s" } })).mounts).toEqual([
      { destination: "/s", type: "none", source: "/s", options: ["bind"] },
    ]);
  });
  test("batch files are bound, /dev/null is not", () => {
    const batch = { scriptPath: "/spool/script", stdin: "/dev/null", stdout: "/etc/passwd", stderr: null };
    expect(JSON.parse(rewrite("{}", { batch })).mounts).toEqual([
      { destination: "/tmp/slurm/stdout", type: "none", source: "/etc/passwd", options: ["bind"] },
      { destination: "/tmp/slurm/startup", type: "none", source: "/spool/script", options: ["bind", "ro"] },
    ]);
  });
});

describe("rootless", () => {
  const rootless = { uid: 1000, gid: 1001 };
  const complete = (config: object) => JSON.parse(rewrite(JSON.stringify(config), { rootless }));
  test("a config with a user namespace is left as it is", () => {
    const linux = { namespaces: [{ type: "user" }], resources: { devices: [] }, uidMappings: [{ containerID: 0, hostID: 5, size: 1 }] };
    expect(complete({ linux }).linux).toEqual(linux);
  });
  test("one id is mapped, to the container's own user", () => {
    const config = complete({
      process: { user: { uid: 7, gid: 8, additionalGids: [9] }, oomScoreAdj: -1000 },
      linux: { namespaces: [{ type: "pid" }], resources: { x: 1 }, cgroupsPath: "/x" },
    });
    expect(config.linux).toEqual({
      namespaces: [{ type: "pid" }, { type: "mount" }, { type: "user" }],
      uidMappings: [{ containerID: 7, hostID: 1000, size: 1 }],
      gidMappings: [{ containerID: 8, hostID: 1001, size: 1 }],
    });
    expect(config.process.user).toEqual({ uid: 7, gid: 8 });
    expect(config.process).not.toHaveProperty("oomScoreAdj");
  });
  test("runc wants id 0 to be mapped", () => {
    const config = JSON.parse(rewrite('{"process":{"user":{"uid":7,"gid":8,"umask":18}}}', { rootless, runtime: "other" }));
    expect(config.linux.uidMappings).toEqual([{ containerID: 0, hostID: 1000, size: 1 }]);
    expect(config.process.user).toEqual({ uid: 0, gid: 0, umask: 18 });
  });
  test("devices are bound, because nobody but root makes them", () => {
    const config = complete({
      linux: { devices: [{ path: "/dev/null", type: "c", major: 1, minor: 3 }, { path: "/dev/nosuch", type: "c" }, 5] },
    });
    expect(config.linux).not.toHaveProperty("devices");
    expect(config.mounts).toEqual([{ destination: "/dev/null", type: "none", source: "/dev/null", options: ["bind", "nosuid", "noexec"] }]);
  });
  test("options with ids that do not exist inside are dropped, /sys is bound when the network is the host's", () => {
    const mounts = [
      { destination: "/dev/pts", type: "devpts", source: "devpts", options: ["mode=0620", "gid=5"] },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["ro"] },
    ];
    expect(complete({ mounts }).mounts).toEqual([
      { ...mounts[0], options: ["mode=0620"] },
      { destination: "/sys", type: "none", source: "/sys", options: ["rbind", "ro", "nosuid", "noexec", "nodev"] },
    ]);
    expect(complete({ mounts, linux: { namespaces: [{ type: "network" }] } }).mounts[1]).toEqual(mounts[1]);
  });
  test("limits above our own are lowered", () => {
    const { process } = complete({
      process: {
        rlimits: [
          { type: "RLIMIT_NOFILE", hard: 2 ** 40, soft: 16 },
          { type: "RLIMIT_WHAT", hard: 1, soft: 1 },
        ],
      },
    });
    expect(process.rlimits[0].hard).toBeLessThan(2 ** 40);
    expect(process.rlimits[0].soft).toBe(16);
    expect(process.rlimits[1]).toEqual({ type: "RLIMIT_WHAT", hard: 1, soft: 1 });
  });
});

test("flags that a bind may not lose are those of the mount that holds the path", () => {
  const table = new MountTable(
    "1 0 8:1 / / rw,relatime - ext4 x rw\n2 1 0:2 / /run rw,nosuid,nodev shared:1 - tmpfs t rw\n" +
      "3 2 0:3 / /run/a\\040b ro,noexec - tmpfs t rw\n4 1 0:4 / /usr ro,nodev - x x rw\n",
  );
  expect(table.flagsOf("/usr")).toEqual(["nodev"]);
  expect(table.flagsOf("/")).toEqual([]);
  expect(table.flagsOf("/nosuch/path")).toEqual([]);
  expect(new MountTable("3 2 0:3 / /us\\162 ro,noexec - t t rw").flagsOf("/usr")).toEqual(["noexec"]);
});

describe("environment", () => {
  test("the image wins, and keeps an entry without a value", () => {
    expect(mergeEnvironment({ PATH: "/host", A: "1" }, ["PATH=/image", "B", "C=x=y", "=z"])).toEqual({
      PATH: "/image",
      A: "1",
      B: "",
      C: "x=y",
    });
  });
  test("exclusion looks at the whole entry", () => expect(excludeVariables({ A: "x", B: "A=x" }, /^A=/su)).toEqual({ B: "A=x" }));
  test("an environment file holds what its format can", () => {
    expect(printEnvFile({ A: "1", B: "x\ny" }, "newline")).toBe("A=1\n");
    expect(printEnvFile({ A: "1", B: "x\ny" }, "null")).toBe("A=1\0B=x\ny\0");
  });
  test("the runtime sees the node's name and always a PATH", () => {
    expect(runtimeEnvironment({ X: "1", SLURM_CONF: "/c" }, "n1", /^SLURM_CONF=/su)).toMatchObject({
      X: "1",
      SLURMD_NODENAME: "n1",
      PATH: expect.any(String),
    });
    expect(runtimeEnvironment({ SLURM_CONF: "/c" }, "n1", /^SLURM_CONF=/su)).not.toHaveProperty("SLURM_CONF");
  });
});

describe("names", () => {
  const values: PatternValues = {
    ...NO_TASK,
    bundle: "b",
    jobId: "42",
    nodeName: "n1",
    rootfs: "r",
    spoolDir: "/var/spool",
    stepId: "0",
    taskId: "3",
    userName: "u",
    userId: "1",
  };
  test.each([
    ["/s", 0, "step", "/s/oci-job42-0"],
    ["/s", 0, "task", "/s/oci-job42-0/task-3"],
    ["/s", "batch", "step", "/s/oci-job42-batch"],
    ["%m/x/", 0, "step", "/var/spool/x/oci-job42-0"],
    ["/s/%n/a%t/b", 0, "step", "/s/n1"],
    ["/s/%n/a%t/b", 0, "task", "/s/n1/a3/b/oci-job42-0/task-3"],
    ["/s/%%t", 0, "step", "/s/%t/oci-job42-0"],
  ] as const)("%s of step %s: %s", (parent, key, level, path) => expect(spoolPath(parent, key, level, values)).toBe(path));
  test("a container id has only what runtimes take", () => {
    const of = (runtimeRoot: string) => ({ nodeName: "n1", userName: "alice", jobId: 42, stepId: 0, localId: 3, runtimeRoot });
    expect(containerId(of("/r"))).toMatch(/^n1\.alice\.42\.0\.3\.[0-9a-z]{6}$/);
    expect(containerId({ ...of("/r"), nodeName: "-x/..", userName: "DOM\\a b$" })).toStartWith("_-x-...DOM-a-b-.42.0.3.");
    expect(containerId(of("/other"))).not.toBe(containerId(of("/r"))); // another engine's
    expect(containerId(of("/r"))).toBe(containerId(of("/r")));
  });
  test.each([
    ["runc --rootless=true --root=/run/user/7/ state n1.a.1.0.0", "/run/user/7/n1.a.1.0.0"],
    ["crun --root /r state x", "/r/x"],
    ["sudo runc --root=/r state x", undefined],
    ["runc --root=/r state x; true", undefined],
    ["runc --root=/$X state x", undefined],
    ["runc state x", undefined],
    ["runc --root=/r state ..", undefined],
  ])("the record of %s is %s", (command, path) => expect(stateDirOf(command)).toBe(path));
});

test.each([
  ['{"status":"Running","pid":12}', { status: "running", pid: 12 }],
  ['{"status":"stopped","pid":0}', { status: "stopped", pid: null }],
  ['{"status":"created","pid":-1}', { status: "created", pid: null }],
  ["", undefined],
  ["null", undefined],
  ["[]", undefined],
  ['{"status":1}', undefined],
  ['{"status":"odd"}', undefined],
  ['warning\n{"status":"running"}', undefined],
])("state %p is %p", (text, state) => expect(parseState(text)).toEqual(state as never));
