/** `--gpu-bind=[verbose,]TYPE` (srun(1)). */
import type { GpuBind } from "#job/gpu-binding.ts";
import { parseDigits } from "./digits.ts";

/** Undefined when malformed. `0*4` in a list is `0,0,0,0`. */
export function parseGpuBind(text: string): GpuBind | undefined {
  const [kind = "", value] = text.replace(/^gpu:/, "").toLowerCase().split(/:(.*)/s);
  const number = parseDigits(value ?? "", 6);
  switch (kind) {
    case "closest":
    case "none":
      return value === undefined ? { kind } : undefined;
    case "single":
      return number === undefined || number < 1 ? undefined : { kind, tasks: number };
    case "per_task":
      return number === undefined || number < 1 ? undefined : { kind, gpus: number };
    case "map_gpu":
    case "map": {
      const list = expand(value ?? "", /^\d{1,6}$/);
      return list === undefined ? undefined : { kind: "map_gpu", list: list.map(Number) };
    }
    case "mask_gpu":
    case "mask": {
      const list = expand(value ?? "", /^(0x)?[0-9a-f]{1,64}$/);
      return list === undefined ? undefined : { kind: "mask_gpu", list: list.map((mask) => mask.replace(/^0x/, "")) };
    }
    default:
      return undefined;
  }
}

const MAX_TIMES = 65_536;

function expand(text: string, form: RegExp): string[] | undefined {
  const items = text.split(",").map((item) => {
    const [value = "", times = "1"] = item.split("*");
    const count = parseDigits(times, 5);
    return form.test(value) && count !== undefined && count >= 1 && count <= MAX_TIMES ? new Array<string>(count).fill(value) : undefined;
  });
  return items.every((item) => item !== undefined) ? items.flat() : undefined;
}
