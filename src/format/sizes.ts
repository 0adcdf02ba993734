/** Memory and trackable resources as text (commands.md §1.4.3, §6.3, §9.4). */
import type { Tres } from "#job/record.ts";

const UNITS = ["K", "M", "G", "T", "P"] as const;
export type Unit = "K" | "M" | "G" | "T";

/** The largest unit that loses nothing: 1024 → `1G`, 1500 → `1500M`, 0 → `0`. */
export function exactSize(value: number, unit: "K" | "M"): string {
  if (value === 0) return "0";
  let index = UNITS.indexOf(unit);
  let rest = value;
  while (rest % 1024 === 0 && index < UNITS.length - 1) {
    rest /= 1024;
    index++;
  }
  return `${rest}${UNITS[index]}`;
}

/** One given unit, two decimals when it does not come out even: 12800 K in M → `12.50M`. */
export function sizeIn(value: number, unit: "K" | "M", wanted: Unit): string {
  if (value === 0) return "0";
  const scaled = value * 1024 ** (UNITS.indexOf(unit) - UNITS.indexOf(wanted));
  return `${Number.isInteger(scaled) ? scaled : scaled.toFixed(2)}${wanted}`;
}

export interface SizeStyle {
  /** `--units`. */
  readonly unit: Unit | null;
  /** `--noconvert`. */
  readonly noConvert: boolean;
}
export const EXACT: SizeStyle = { unit: null, noConvert: false };

export function sizeText(mib: number, style: SizeStyle = EXACT): string {
  if (style.noConvert) return mib === 0 ? "0" : `${mib}M`;
  return style.unit === null ? exactSize(mib, "M") : sizeIn(mib, "M", style.unit);
}

/** The parts of a job's or node's TRES in Slurm's order: `cpu`, `mem`, `node`, `billing`, `gres/…`. */
function tresParts(tres: Tres, style: SizeStyle = EXACT): string[] {
  const parts = [`cpu=${tres.cpus}`];
  if (tres.memMib !== null && tres.memMib > 0) parts.push(`mem=${sizeText(tres.memMib, style)}`);
  parts.push(`node=${tres.nodes}`, `billing=${tres.cpus}`);
  for (const [name, count] of Object.entries(tres.gres)) parts.push(`gres/${name}=${count}`);
  return parts;
}

/** squeue, scontrol: `cpu=2,mem=100M,node=1,billing=2`. */
export function tresText(tres: Tres, style: SizeStyle = EXACT): string {
  return tresParts(tres, style).join(",");
}

/** sacct: the same, sorted by name. */
export function sortedTresText(tres: Tres, style: SizeStyle = EXACT): string {
  return tresParts(tres, style).sort(byName).join(",");
}

function byName(a: string, b: string): number {
  const left = a.slice(0, a.indexOf("="));
  const right = b.slice(0, b.indexOf("="));
  return left < right ? -1 : left > right ? 1 : 0;
}

/** A step's: no billing, and memory is there even when it is 0. Order as scontrol's; sacct sorts it. */
function stepTresParts(tres: Tres, style: SizeStyle = EXACT): string[] {
  const gres = Object.entries(tres.gres).map(([name, count]) => `gres/${name}=${count}`);
  return [`cpu=${tres.cpus}`, `mem=${sizeText(tres.memMib ?? 0, style)}`, `node=${tres.nodes}`, ...gres];
}

export function stepTresText(tres: Tres, style: SizeStyle = EXACT): string {
  return stepTresParts(tres, style).join(",");
}

export function sortedStepTresText(tres: Tres, style: SizeStyle = EXACT): string {
  return stepTresParts(tres, style).sort(byName).join(",");
}

/** `gpu:1,shard:2` → `gres:gpu:1,gres:shard:2`; null stays null. */
export function gresText(gres: string | null): string | null {
  return gres === null || gres === ""
    ? null
    : gres
        .split(",")
        .map((part) => `gres:${part}`)
        .join(",");
}

/** The text of --gpus (`2`, `a100:2`, `gpu:2`) as `gres:gpu:…`. */
export function gpusText(gpus: string | null): string | null {
  if (gpus === null || gpus === "") return null;
  return gpus
    .split(",")
    .map((part) => `gres:${/^gpu(:|$)/.test(part) ? part : `gpu:${part}`}`)
    .join(",");
}
