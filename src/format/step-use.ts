/** What sstat shows of a running step, out of what its tasks use: greatest, least, average, and whose (sstat(1)). */
import type { StepUse, TaskUse } from "#job/record.ts";
import { sizeIn, type SizeStyle } from "./sizes.ts";
import { longDuration } from "./times.ts";

type Pick = (task: TaskUse) => number;
interface Quantity {
  readonly pick: Pick;
  readonly text: (value: number, style: SizeStyle) => string;
}

const kib = (value: number, { noConvert, unit }: SizeStyle): string =>
  noConvert ? `${value * 1024}` : value === 0 ? "0" : unit === null ? `${Math.round(value)}K` : sizeIn(value, "K", unit);
const plain = (value: number): string => `${Math.round(value)}`;

const QUANTITIES = {
  cpu: { pick: ({ cpuMs }) => cpuMs, text: (ms) => longDuration(Math.floor(ms / 1000)) },
  disk: { pick: ({ readBytes }) => readBytes, text: plain },
  written: { pick: ({ writtenBytes }) => writtenBytes, text: plain },
  mem: { pick: ({ rssKib }) => rssKib, text: kib },
  pages: { pick: ({ majorFaults }) => majorFaults, text: plain },
  vmem: { pick: ({ vmKib }) => vmKib, text: kib },
} as const satisfies Record<string, Quantity>;

const IN = [
  ["cpu", "cpu"],
  ["fs/disk", "disk"],
  ["mem", "mem"],
  ["pages", "pages"],
  ["vmem", "vmem"],
] as const;
const OUT = [["fs/disk", "written"]] as const;

type Named = readonly (readonly [string, keyof typeof QUANTITIES])[];

/** Values by column name; a step without a living task has none. */
export function useColumns(use: StepUse, style: SizeStyle): Record<string, string> {
  const { tasks } = use;
  if (tasks.length === 0) return {};
  const columns: Record<string, string> = {};
  const most = (pick: Pick) => tasks.reduce((best, task) => (pick(task) > pick(best) ? task : best));
  const least = (pick: Pick) => tasks.reduce((best, task) => (pick(task) < pick(best) ? task : best));
  const sum = (pick: Pick) => tasks.reduce((total, task) => total + pick(task), 0);
  const add = (name: string, { pick, text }: Quantity) => {
    const task = most(pick);
    columns[`Max${name}`] = text(pick(task), style);
    columns[`Max${name}Node`] = task.node;
    columns[`Max${name}Task`] = String(task.rank);
    columns[`Ave${name}`] = text(sum(pick) / tasks.length, style);
  };
  add("VMSize", QUANTITIES.vmem);
  add("RSS", QUANTITIES.mem);
  add("Pages", QUANTITIES.pages);
  add("DiskRead", QUANTITIES.disk);
  add("DiskWrite", QUANTITIES.written);
  const idlest = least(QUANTITIES.cpu.pick);
  columns["MinCPU"] = QUANTITIES.cpu.text(idlest.cpuMs);
  columns["MinCPUNode"] = idlest.node;
  columns["MinCPUTask"] = String(idlest.rank);
  columns["AveCPU"] = QUANTITIES.cpu.text(sum(QUANTITIES.cpu.pick) / tasks.length);
  const list = (named: Named, show: (quantity: Quantity) => string) =>
    named.map(([label, key]) => `${label}=${show(QUANTITIES[key])}`).join(",");
  for (const [column, named] of [
    ["TRESUsageIn", IN],
    ["TRESUsageOut", OUT],
  ] as const) {
    columns[`${column}Ave`] = list(named, ({ pick, text }) => text(sum(pick) / tasks.length, style));
    columns[`${column}Tot`] = list(named, ({ pick, text }) => text(sum(pick), style));
    for (const [word, choose] of [
      ["Max", most],
      ["Min", least],
    ] as const) {
      columns[`${column}${word}`] = list(named, ({ pick, text }) => text(pick(choose(pick)), style));
      columns[`${column}${word}Node`] = list(named, ({ pick }) => choose(pick).node);
      columns[`${column}${word}Task`] = list(named, ({ pick }) => String(choose(pick).rank));
    }
  }
  return columns;
}
