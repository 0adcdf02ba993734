import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CdiRegistry } from "#container/cdi.ts";
import { printJson, toJson, type JsonObject } from "#container/json.ts";
import { askedDevices, wishedDevices } from "../request/asked-devices.ts";
import { addDevices } from "./devices.ts";

const SPEC = {
  cdiVersion: "0.5.0",
  kind: "nvidia.com/gpu",
  devices: [
    { name: "0", containerEdits: { deviceNodes: [{ path: "/dev/null" }] } },
    { name: "1", containerEdits: { deviceNodes: [{ path: "/dev/zero" }] } },
  ],
  containerEdits: {
    env: ["NVIDIA_VISIBLE_DEVICES=void"],
    mounts: [{ hostPath: "/usr/lib/x.so", containerPath: "/usr/lib/x.so", options: ["ro"] }],
  },
};

function registryOf(): CdiRegistry {
  const dir = mkdtempSync(join(tmpdir(), "berth-cdi-"));
  try {
    writeFileSync(join(dir, "nvidia.json"), JSON.stringify(SPEC));
    return new CdiRegistry([dir]);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function given(gres: Record<string, readonly number[]>, config: unknown) {
  const dir = mkdtempSync(join(tmpdir(), "berth-cdi-"));
  try {
    writeFileSync(join(dir, "nvidia.json"), JSON.stringify(SPEC));
    const json = toJson(config) as JsonObject;
    addDevices(json, gres, { isConfined: true, dirs: [dir] });
    return JSON.parse(printJson(json)) as {
      mounts: { destination: string; options: string[] }[];
      process: { env: string[] };
      linux: unknown;
    };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

describe("devices of a job in its container", () => {
  test("only the granted ones, with what their specification adds", () => {
    const { mounts, process } = given({ gpu: [1] }, { process: { env: ["A=1"] }, mounts: [] });
    expect(mounts.map(({ destination }) => destination).sort()).toEqual(["/dev/zero", "/usr/lib/x.so"]);
    expect(mounts.find(({ destination }) => destination === "/usr/lib/x.so")?.options).toEqual(["bind", "ro"]);
    expect(process.env).toEqual(["A=1", "NVIDIA_VISIBLE_DEVICES=void"]);
  });

  test("what the engine has bound is not bound twice", () => {
    const { mounts } = given({ gpu: [0] }, { process: {}, mounts: [{ destination: "/dev/null" }, { destination: "/usr/lib/x.so" }] });
    expect(mounts).toHaveLength(2);
  });

  test("a device that nobody specified is refused", () => {
    expect(() => given({ gpu: [7] }, { process: {} })).toThrow("Cannot give device nvidia.com/gpu=7");
  });

  test("another device of the kind than the engine was asked for: that one goes", () => {
    const asked = { type: "c", major: 1, minor: 3 };
    const config = {
      process: {},
      mounts: [],
      linux: {
        devices: [{ path: "/dev/null", ...asked }, { path: "/dev/other" }],
        resources: { devices: [{ allow: false }, { allow: true, ...asked }] },
      },
    };
    const { mounts, linux } = given({ gpu: [1] }, config);
    expect(mounts.map(({ destination }) => destination)).toContain("/dev/zero");
    expect(linux).toEqual({ devices: [{ path: "/dev/other" }], resources: { devices: [{ allow: false }] } });
  });
});

test("which devices an engine was asked for is told by what became of them", () => {
  const registry = registryOf();
  const names = (config: unknown) => askedDevices(toJson(config) as JsonObject, registry).map(({ name }) => name);
  expect(names({ mounts: [{ destination: "/dev/shm" }] })).toEqual([]);
  expect(names({ linux: { devices: [{ path: "/dev/zero" }] } })).toEqual(["nvidia.com/gpu=1"]);
  expect(names({ mounts: [{ destination: "/dev/null" }], linux: { devices: [{ path: "/dev/zero" }] } })).toEqual([
    "nvidia.com/gpu=0",
    "nvidia.com/gpu=1",
  ]);
});

test("--privileged asks for none of the devices that it brings", () => {
  const registry = registryOf();
  const wished = (process: unknown, maskedPaths?: readonly string[]) =>
    wishedDevices(toJson({ process, linux: { devices: [{ path: "/dev/zero" }], maskedPaths: maskedPaths ?? [] } }) as JsonObject, registry);
  const all = { capabilities: { bounding: ["CAP_CHOWN", "CAP_SYS_MODULE"] } };
  expect(wished(all)).toEqual([]);
  expect(wished(all, ["/proc/kcore"])).toHaveLength(1);
  expect(wished({ capabilities: { bounding: ["CAP_CHOWN"] } })).toHaveLength(1);
  expect(wished({})).toHaveLength(1);
});
