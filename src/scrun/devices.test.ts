import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { printJson, toJson, type JsonObject } from "#container/json.ts";
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

function given(gres: Record<string, readonly number[]>, config: unknown) {
  const dir = mkdtempSync(join(tmpdir(), "berth-cdi-"));
  try {
    writeFileSync(join(dir, "nvidia.json"), JSON.stringify(SPEC));
    const json = toJson(config) as JsonObject;
    addDevices(json, gres, { isConfined: true, dirs: [dir] });
    return JSON.parse(printJson(json)) as { mounts: { destination: string; options: string[] }[]; process: { env: string[] } };
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
});
