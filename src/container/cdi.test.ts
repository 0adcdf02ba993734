import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { parseCdiSpec } from "./cdi-spec.ts";
import { cdiDirs, CdiRegistry } from "./cdi.ts";
import { applyCdiEdits } from "./cdi-edits.ts";
import { AMD_JSON, nvidiaYaml } from "./cdi-fixtures.ts";
import { parseJson, printJson, type JsonObject } from "./json.ts";
import { StepConfig } from "./task-config.ts";

const made = mkdtempSync(join(tmpdir(), "berth-cdi-"));
afterAll(() => rmSync(made, { recursive: true, force: true }));
let dirs = 0;
function directory(files: Record<string, string>): string {
  const dir = join(made, String(dirs++));
  mkdirSync(dir);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return dir;
}
const code = (body: () => unknown) => {
  try {
    body();
    return "fine";
  } catch (error) {
    return error instanceof BerthError ? `${error.code} ${error.message}` : `bug ${error}`;
  }
};

describe("documents", () => {
  test("nvidia-ctk's", () => {
    const spec = parseCdiSpec(nvidiaYaml(), "nvidia.yaml");
    expect(spec.kind).toBe("nvidia.com/gpu");
    expect([...spec.devices.keys()]).toEqual(["0", "1", "all"]);
    expect(spec.edits.env).toEqual(["NVIDIA_VISIBLE_DEVICES=void"]);
    expect(spec.edits.mounts[0]).toEqual({
      hostPath: "/usr/lib/x86_64-linux-gnu/libcuda.so.535.161.07",
      containerPath: "/usr/lib/x86_64-linux-gnu/libcuda.so.535.161.07",
      type: null,
      options: ["ro", "nosuid", "nodev", "bind"],
    });
    expect(spec.edits.hooks[1]).toMatchObject({ hookName: "createContainer", env: ["NVIDIA_CTK_DEBUG=false"], timeout: null });
    expect(spec.devices.get("1")?.deviceNodes.map(({ path, hostPath }) => [path, hostPath])).toEqual([
      ["/dev/nvidia1", "/dev/nvidia1"],
      ["/dev/dri/card2", "/dev/dri/card2"],
    ]);
  });
  const base = { cdiVersion: "0.5.0", kind: "v.com/gpu", devices: [] };
  test.each([
    ["[]", "not an object"],
    ["{", "not JSON"],
    [JSON.stringify({ ...base, cdiVersion: "9.0" }), "cdiVersion"],
    [JSON.stringify({ ...base, kind: "gpu" }), "vendor/class"],
    [JSON.stringify({ ...base, devices: {} }), "not a list"],
    [JSON.stringify({ ...base, devices: [{ name: "a b" }] }), "device name"],
    [JSON.stringify({ ...base, devices: [{ name: "a" }, { name: "a" }] }), "comes twice"],
    [JSON.stringify({ ...base, containerEdits: { env: ["X"] } }), "NAME=value"],
    [
      JSON.stringify({ ...base, containerEdits: { mounts: [{ hostPath: "a", containerPath: "/b" }] } }),
      "containerEdits.mounts[0]: hostPath",
    ],
    [JSON.stringify({ ...base, containerEdits: { hooks: [{ hookName: "x", path: "/y" }] } }), "hookName"],
    [JSON.stringify({ ...base, containerEdits: { deviceNodes: [{ path: "/dev/x", major: -1 }] } }), "major"],
    [JSON.stringify({ ...base, containerEdits: { deviceNodes: [{ path: "/dev/\0" }] } }), "path"],
  ])("%s is refused", (text, said) =>
    expect(code(() => parseCdiSpec(text, "/etc/cdi/x.json"))).toMatch(
      new RegExp(`^CDI_SPEC Cannot use /etc/cdi/x.json: .*${said.replace(/[[\]]/g, "\\$&")}`),
    ),
  );
  test("YAML that is none is refused", () =>
    expect(code(() => parseCdiSpec("a: [1", "x.yaml"))).toStartWith("CDI_SPEC Cannot use x.yaml: not YAML"));
});

describe("devices", () => {
  test("of a step: what all need comes once, then each one's own", () => {
    const registry = new CdiRegistry([directory({ "nvidia.yaml": nvidiaYaml() })]);
    const edits = registry.editsFor("gpu", [0, 1]);
    expect(edits?.deviceNodes.map(({ path }) => path)).toEqual([
      "/dev/nvidia-modeset",
      "/dev/nvidia-uvm",
      "/dev/nvidia-uvm-tools",
      "/dev/nvidiactl",
      "/dev/nvidia0",
      "/dev/dri/card1",
      "/dev/nvidia1",
      "/dev/dri/card2",
    ]);
    expect(edits?.hooks).toHaveLength(4);
    expect(registry.editsFor("gpu:a100", [1])?.deviceNodes.map(({ path }) => path)).toContain("/dev/nvidia1");
    expect(registry.editsFor("fpga", [0])).toBeUndefined();
    expect(code(() => registry.editsFor("gpu", [0, 2]))).toBe("CDI_DEVICE Cannot give device nvidia.com/gpu=2: CDI knows 0, 1, all");
  });
  test("a later directory overrides, two files of one do not agree", () => {
    const one = (path: string) =>
      JSON.stringify({ cdiVersion: "0.3.0", kind: "v.com/fpga", devices: [{ name: "0", containerEdits: { deviceNodes: [{ path }] } }] });
    const registry = new CdiRegistry([
      directory({ "a.json": one("/dev/a") }),
      directory({ "b.json": one("/dev/b"), "notes.txt": "{" }),
      join(made, "none"),
    ]);
    expect(registry.editsFor("fpga", [0])?.deviceNodes[0]?.path).toBe("/dev/b");
    const both = new CdiRegistry([directory({ "a.json": one("/dev/a"), "b.json": one("/dev/b") })]);
    expect(code(() => both.editsFor("fpga", [0]))).toContain("two CDI specifications");
  });
  test("of two vendors the one that has them all", () => {
    const registry = new CdiRegistry([directory({ "nvidia.yaml": nvidiaYaml().replaceAll('"0"', '"7"'), "amd.json": AMD_JSON })]);
    expect(registry.editsFor("gpu", [0])?.deviceNodes[0]?.path).toBe("/dev/kfd");
  });
  test("directories may be named", () => {
    expect(cdiDirs({})).toEqual(["/etc/cdi", "/var/run/cdi"]);
    expect(cdiDirs({ BERTH_CDI_DIRS: "/a::relative:/b" })).toEqual(["/a", "/b"]);
  });
});

describe("config.json", () => {
  const read = (text: string) => parseJson(text) as JsonObject;
  const zero = nvidiaYaml((path) => (path.startsWith("/dev/") ? "/dev/zero" : path));
  test("root's container gets device nodes with the host's numbers, rules and hooks", () => {
    const edits = new CdiRegistry([directory({ "n.yaml": zero, "amd.json": AMD_JSON })]).editsFor("gpu", [1]);
    const config = read('{"hooks":{"createContainer":[{"path":"/own"}]},"linux":{"devices":[]}}');
    applyCdiEdits(config, edits as NonNullable<typeof edits>, { isRootless: false });
    const plain = JSON.parse(printJson(config));
    expect(plain.linux.devices).toContainEqual(expect.objectContaining({ path: "/dev/nvidia1", type: "c", major: 1, minor: 5 }));
    expect(plain.linux.resources.devices[0]).toEqual({ allow: true, type: "c", major: 1, minor: 5, access: "rwm" });
    expect(plain.hooks.createContainer.map((hook: { path: string }) => hook.path)).toEqual([
      "/own",
      "/usr/bin/nvidia-ctk",
      "/usr/bin/nvidia-ctk",
      "/usr/bin/nvidia-ctk",
    ]);
  });
  test("numbers, mode, owner and groups of the document win", () => {
    const edits = new CdiRegistry([directory({ "amd.json": AMD_JSON })]).editsFor("gpu", [0]);
    const config = read("{}");
    applyCdiEdits(config, edits as NonNullable<typeof edits>, { isRootless: false });
    const plain = JSON.parse(printJson(config));
    expect(plain.linux.devices[0]).toEqual({ path: "/dev/kfd", type: "c", major: 235, minor: 0, fileMode: 438, uid: 0, gid: 44 });
    expect(plain.process.user.additionalGids).toEqual([44]);
  });
  test("a user's container gets the host's own files bound, shallow places first", () => {
    const edits = new CdiRegistry([directory({ "n.yaml": zero })]).editsFor("gpu", [0]);
    const rootfs = directory({});
    const config = new StepConfig(
      { path: rootfs, rootfs, env: [], config: read('{"root":{"path":"r"},"mounts":[{"destination":"/dev","type":"tmpfs"}]}') },
      {
        batch: null,
        disableHooks: ["createContainer"],
        spoolMount: null,
        rootless: { uid: 5, gid: 5 },
        runtime: "crun",
        cdi: edits ?? null,
      },
    );
    const plain = JSON.parse(config.print({ args: [], env: {}, hasTerminal: false }));
    expect(plain.mounts).toContainEqual({
      destination: "/dev/nvidia0",
      type: "none",
      source: "/dev/zero",
      options: ["bind", "nosuid", "noexec"],
    });
    expect(plain.mounts).toContainEqual(expect.objectContaining({ destination: "/usr/lib/x86_64-linux-gnu/libcuda.so.535.161.07" }));
    expect(plain.linux.devices).toBeUndefined();
    expect(plain.hooks.createContainer).toBeUndefined();
  });
});
