/**
 * `srun --cpu-bind=[quiet,|verbose,]TYPE[:LIST]` (srun(1)). Lists name CPUs, masks or locality domains of a node, one for
 * each of its tasks, over again from the start when there are more tasks; `0*4` is `0,0,0,0`.
 */
import type { BindRequest, BindType } from "#job/cpu-binding.ts";
import { parseDigits } from "./digits.ts";
import { UsageError } from "./usage-error.ts";

const LISTS = ["map_cpu", "mask_cpu", "map_ldom", "mask_ldom"] as const;
const WORDS = ["none", "rank", "rank_ldom", "sockets", "cores", "threads", "ldoms"] as const;

const HELP = [
  "CPU bind options: --cpu-bind=[q[uiet],|v[erbose],]TYPE",
  "  none             no binding",
  "  rank             one CPU for each task, in order",
  "  map_cpu:LIST     CPU numbers, one for each task of a node",
  "  mask_cpu:LIST    hexadecimal masks of CPUs, one for each task of a node",
  "  cores, threads, sockets, ldoms    what the CPUs of a task belong to",
  "  rank_ldom, map_ldom:LIST, mask_ldom:LIST    the same as rank, map_cpu and mask_cpu, with locality domains",
  "  help             this text",
];
const MAX_TIMES = 65_536;

/** @throws UsageError in srun's words */
export function parseCpuBind(text: string, errorExit: number): BindRequest {
  let isVerbose = false;
  let type: BindType | null = null;
  let list: string[] = [];
  const fail = (why: string) => new UsageError([`srun: error: ${why}`, "srun: fatal: Failed to parse --cpu-bind= values."], errorExit);
  const words = text.split(/[,;]/);
  for (let i = 0; i < words.length; i++) {
    const word = (words[i] ?? "").toLowerCase();
    const [name = "", first] = word.split(/[:=](.*)/s);
    const kind = LISTS.find((other) => other === name);
    if (word === "help") throw new UsageError([], errorExit, HELP);
    if (word === "q" || word === "quiet") isVerbose = false;
    else if (word === "v" || word === "verbose") isVerbose = true;
    else if (kind !== undefined) {
      const items = [first ?? "", ...words.slice(i + 1)];
      if (items[0] === "") throw fail(`missing list for "--cpu-bind=${name}:<list>"`);
      [type, list] = [kind, items.flatMap((item) => expand(item, kind.startsWith("mask"), fail))];
      break;
    } else {
      const simple = WORDS.find((other) => other === word || other === `${word}s` || (other === "none" && (word === "n" || word === "no")));
      if (simple === undefined) throw fail(`unrecognized --cpu-bind argument "${words[i] ?? ""}"`);
      [type, list] = [simple, []];
    }
  }
  return { isVerbose, type, list };
}

function expand(item: string, isMask: boolean, fail: (why: string) => UsageError): string[] {
  const [value = "", times = "1"] = item.split("*");
  const digits = isMask ? value.replace(/^0x/i, "") : value;
  const bad = (isMask ? /[^0-9a-f]/i : /[^0-9]/).exec(digits)?.[0] ?? (digits === "" ? item.charAt(0) : undefined);
  if (bad !== undefined) throw fail(`Failed to validate number: ${value}, the offending character is ${bad}`);
  const count = parseDigits(times, 6);
  if (count === undefined || count < 1 || count > MAX_TIMES)
    throw fail(`Failed to validate number: ${times}, the offending character is ${times.charAt(0)}`);
  return Array.from({ length: count }, () => digits);
}
