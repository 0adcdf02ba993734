import { describe, expect, test } from "bun:test";
import { bindTasks, cpusOfMask, type BindPlace, type BindRequest } from "./cpu-binding.ts";

const two: BindPlace = {
  cpuIds: [0, 1],
  node: { cpus: 2, coresPerSocket: 2, threadsPerCore: 1 },
  tasks: 2,
  cpusPerTask: 1,
  isAutomatic: false,
};
const one: BindPlace = { ...two, cpuIds: [0], tasks: 1 };
/** Two sockets of two cores of two threads. */
const large: BindPlace = {
  cpuIds: [0, 1, 2, 3, 4, 5, 6, 7],
  node: { cpus: 8, coresPerSocket: 2, threadsPerCore: 2 },
  tasks: 4,
  cpusPerTask: 1,
  isAutomatic: false,
};
const ask = (type: BindRequest["type"], ...list: string[]): BindRequest => ({ isVerbose: false, type, list });

// The rows with `two` and `one` are what Slurm 22.05 with task/affinity did on a node of two cores.
describe("bindTasks", () => {
  test.each<[name: string, request: BindRequest | null, place: BindPlace, masks: string[] | null, variable: string]>([
    ["one each, by itself", null, { ...two, isAutomatic: true }, ["1", "2"], "quiet,mask_cpu:0x1,0x2"],
    ["a task for each socket, by itself", null, { ...two, tasks: 1, isAutomatic: true }, ["3"], "quiet,mask_cpu:0x3"],
    ["a part of the node, by itself", null, { ...one, isAutomatic: true }, ["1"], "quiet,mask_cpu:0x1"],
    ["none, but only of what there is", ask("none"), { ...one, isAutomatic: true }, ["1"], "quiet,mask_cpu:0x1"],
    ["none", ask("none"), { ...two, isAutomatic: true }, null, "quiet,none"],
    ["none, where nobody binds by himself", ask("none"), one, null, "quiet,none"],
    ["by rank", ask("rank"), two, ["1", "2"], "quiet,rank"],
    ["numbers", ask("map_cpu", "1", "0"), two, ["2", "1"], "quiet,map_cpu:1,0"],
    ["numbers over again", ask("map_cpu", "1"), two, ["2", "2"], "quiet,map_cpu:1"],
    ["masks", ask("mask_cpu", "3", "2"), two, ["3", "2"], "quiet,mask_cpu:3,2"],
    ["cores", ask("cores"), two, ["1", "2"], "quiet,mask_cpu:0x1,0x2"],
    ["threads", ask("threads"), two, ["1", "2"], "quiet,mask_cpu:0x1,0x2"],
    ["sockets", ask("sockets"), two, ["3", "3"], "quiet,mask_cpu:0x3,0x3"],
    ["locality domains", ask("ldoms"), two, ["3", "3"], "quiet,mask_cpu:0x3,0x3"],
    ["locality domains by rank", ask("rank_ldom"), two, ["3", "3"], "quiet,rank_ldom"],
    ["a locality domain", ask("map_ldom", "0"), two, ["3", "3"], "quiet,map_ldom:0"],
    ["two CPUs for a task", ask("cores"), { ...two, tasks: 1, cpusPerTask: 2 }, ["3"], "quiet,mask_cpu:0x3"],
    ["whole cores", ask("cores"), large, ["3", "3", "C", "C"], "quiet,mask_cpu:0x3,0x3,0xC,0xC"],
    ["the sockets of each", ask("sockets"), { ...large, cpusPerTask: 2 }, ["F", "F", "F0", "F0"], "quiet,mask_cpu:0xF,0xF,0xF0,0xF0"],
    ["only CPUs of the step", ask("sockets"), { ...large, cpuIds: [1, 4], tasks: 2 }, ["2", "10"], "quiet,mask_cpu:0x2,0x10"],
    ["domains by mask", ask("mask_ldom", "2", "3"), large, ["F0", "FF", "F0", "FF"], "quiet,mask_ldom:2,3"],
    ["more tasks than CPUs", ask("rank"), { ...two, tasks: 3 }, ["1", "2", "1"], "quiet,rank"],
  ])("%s", (_name, request, place, masks, variable) => {
    const binding = bindTasks(request, place);
    if (binding === undefined || "refused" in binding) throw new Error(`no binding: ${JSON.stringify(binding)}`);
    expect({ masks: binding.masks, variable: binding.variables["SLURM_CPU_BIND"] }).toEqual({ masks, variable });
  });

  test("nothing asked and nothing done by itself", () => expect(bindTasks(null, two)).toBeUndefined());

  test.each([ask("map_cpu", "1"), ask("mask_cpu", "f"), ask("mask_cpu", "0")])("outside of the step: %j", (request) => {
    expect(bindTasks(request, one)).toEqual({ refused: "CPU binding outside of job step allocation, allocated CPUs are: 0x1." });
  });

  test.each([ask("rank"), ask("rank_ldom"), ask("map_ldom", "0")])("of a part of the node: %j", (request) => {
    expect(bindTasks(request, one)).toEqual({ refused: `Entire node must be allocated for ${request.type}` });
  });
});

test("CPUs of a mask", () => expect(cpusOfMask("10000000000000005")).toEqual([0, 2, 64]));
