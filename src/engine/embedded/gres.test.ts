import { describe, expect, test } from "bun:test";
import { gpusByTask } from "#job/gpu-binding.ts";
import { countIn, numberPools, takeFrom } from "./gres-pools.ts";
import { gpusOf } from "#job/environment.ts";
import { chooseDevices } from "./step-gres.ts";

const pools = { "gpu:a100": 2, "gpu:v100": 2 };

describe("pools", () => {
  test("device numbers go on from type to type", () => {
    expect([...numberPools(pools)].map(([pool, ids]) => [pool, ...ids])).toEqual([
      ["gpu:a100", 0, 1],
      ["gpu:v100", 2, 3],
    ]);
  });

  test.each([
    [{ gpu: 1 }, { "gpu:a100": 1 }],
    [{ gpu: 3 }, { "gpu:a100": 2, "gpu:v100": 1 }],
    [{ "gpu:v100": 2 }, { "gpu:v100": 2 }],
    [
      { gpu: 2, "gpu:a100": 2 },
      { "gpu:a100": 2, "gpu:v100": 2 },
    ],
    [{ gpu: 5 }, undefined],
    [{ "gpu:h100": 1 }, undefined],
    [{}, {}],
  ])("%j is taken from the pools", (wish, taken) => {
    expect(takeFrom(pools, wish as Record<string, number>)).toEqual(taken as Record<string, number> | undefined);
  });

  test("counts", () => expect([countIn(pools, "gpu"), countIn(pools, "gpu:v100"), countIn(pools, "nic")]).toEqual([4, 2, 0]));
});

describe("a step's devices", () => {
  const none = { gres: null, gpus: null, gpusPerNode: null, gpusPerTask: null, tasksPerGpu: null, gpuBinding: null };
  const resources = (options: Partial<Record<keyof typeof none, string | number>>) =>
    ({ ...none, ...options }) as unknown as Parameters<typeof chooseDevices>[0];
  const share = { node: "n1", cpuIds: [0], memMib: 0, gres: { "gpu:a100": [0, 1], "gpu:v100": [2] } };
  const place = (tasks: number, busy = {}) => ({ share, tasks, busy });
  const chosen = (options: Parameters<typeof resources>[0], ...places: ReturnType<typeof place>[]) =>
    chooseDevices(resources(options), places)?.map((devices) => gpusOf(devices));

  test("are the first free ones that fit", () => {
    expect(chosen({ gres: "gpu:1" }, place(1))).toEqual([[0]]);
    expect(chosen({ gres: "gpu:1" }, place(1, { "gpu:a100": [0] }))).toEqual([[1]]);
    expect(chosen({ gres: "gpu:v100:1" }, place(1))).toEqual([[2]]);
    expect(chosen({ gres: "none" }, place(1))).toEqual([[]]);
    expect(chosen({ gpusPerTask: "1" }, place(2), place(1))).toEqual([[0, 1], [0]]);
    expect(chosen({ gpus: "4" }, place(1), place(1))).toEqual([[0, 1, 2], [0]]);
    expect(chosen({ tasksPerGpu: 2 }, place(3))).toEqual([[0, 1]]);
  });

  test("that others hold are waited for; that the job has not are refused", () => {
    expect(chosen({ gres: "gpu:3" }, place(1, { "gpu:a100": [0] }))).toBeUndefined();
    expect(() => chosen({ gres: "gpu:4" }, place(1))).toThrow("Invalid generic resource (gres) specification");
    expect(() => chosen({ gpus: "7" }, place(1), place(1))).toThrow("Invalid generic resource (gres) specification");
  });
});

// What 22.05 showed two tasks on a node with these GPUs.
test.each([
  [
    { kind: "per_task", gpus: 2 },
    [0, 1, 2, 3],
    [
      [0, 1],
      [2, 3],
    ],
  ],
  [{ kind: "single", tasks: 1 }, [0, 1], [[0], [1]]],
  [{ kind: "single", tasks: 2 }, [0, 1], [[0], [0]]],
  [{ kind: "map_gpu", list: [1, 0] }, [0, 1], [[1], [0]]],
  [{ kind: "mask_gpu", list: ["3", "1"] }, [0, 1], [[0, 1], [0]]],
  [
    { kind: "closest" },
    [0, 1],
    [
      [0, 1],
      [0, 1],
    ],
  ],
  [{ kind: "none" }, [0, 1], [[], []]],
] as const)("%j of %j", (bind, gpus, seen) => {
  expect(gpusByTask(bind, gpus, 2)).toEqual(seen as unknown as number[][]);
});
