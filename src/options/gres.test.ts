import { expect, test } from "bun:test";
import { parseGpus, parseGres } from "./gres.ts";

test.each([
  ["gpu", [{ name: "gpu", type: null, count: 1 }]],
  ["gpu:2", [{ name: "gpu", type: null, count: 2 }]],
  [
    "gres:gpu:a100:2,nic",
    [
      { name: "gpu", type: "a100", count: 2 },
      { name: "nic", type: null, count: 1 },
    ],
  ],
  ["none", []],
  ["gpu:a:b:1", undefined],
  ["", undefined],
  ["gpu:", undefined],
])("gres %p", (text, gres) => expect(parseGres(text)).toEqual(gres));

test.each([
  ["2", [{ name: "gpu", type: null, count: 2 }]],
  ["a100:2", [{ name: "gpu", type: "a100", count: 2 }]],
  ["a100", [{ name: "gpu", type: "a100", count: 1 }]],
  ["a:b:c", undefined],
  ["", undefined],
])("gpus %p", (text, gpus) => expect(parseGpus(text)).toEqual(gpus));
