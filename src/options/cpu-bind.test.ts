import { describe, expect, test } from "bun:test";
import type { BindRequest } from "#job/cpu-binding.ts";
import { parseCpuBind } from "./cpu-bind.ts";
import { UsageError } from "./usage-error.ts";

describe("parseCpuBind", () => {
  test.each<[text: string, bind: BindRequest]>([
    ["none", { isVerbose: false, type: "none", list: [] }],
    ["q", { isVerbose: false, type: null, list: [] }],
    ["verbose", { isVerbose: true, type: null, list: [] }],
    ["v,rank", { isVerbose: true, type: "rank", list: [] }],
    ["quiet,mask_cpu:0x1,0x2", { isVerbose: false, type: "mask_cpu", list: ["1", "2"] }],
    ["MAP_CPU:1,0", { isVerbose: false, type: "map_cpu", list: ["1", "0"] }],
    ["map_cpu:0*2,3", { isVerbose: false, type: "map_cpu", list: ["0", "0", "3"] }],
    ["socket", { isVerbose: false, type: "sockets", list: [] }],
    ["rank_ldom", { isVerbose: false, type: "rank_ldom", list: [] }],
  ])("%s", (text, bind) => expect(parseCpuBind(text, 1)).toEqual(bind));

  test.each([
    ["bogus", 'unrecognized --cpu-bind argument "bogus"'],
    ["", 'unrecognized --cpu-bind argument ""'],
    ["map_cpu", 'missing list for "--cpu-bind=map_cpu:<list>"'],
    ["map_cpu:0x1", "Failed to validate number: 0x1, the offending character is x"],
    ["mask_cpu:xyz", "Failed to validate number: xyz, the offending character is x"],
  ])("%s is refused", (text, why) => {
    expect(() => parseCpuBind(text, 1)).toThrow(
      new UsageError([`srun: error: ${why}`, "srun: fatal: Failed to parse --cpu-bind= values."], 1),
    );
  });
});
