/** Values as `scontrol -o show` prints them (scontrol(1)), and how its lines come apart. Pure. */
import type { EpochMs } from "#job/id.ts";
import type { Tres } from "#job/record.ts";
import { parseDuration } from "#options/duration.ts";

export type Fields = ReadonlyMap<string, string>;

/** `Key=value Key=value`; of a key that comes twice the first counts, so that free text at the end cannot replace it. */
export function parseFields(text: string): Fields {
  const fields = new Map<string, string>();
  const keys = [...text.matchAll(/(?:^|\s)([A-Z][\w/:]*)=/g)];
  for (const [index, match] of keys.entries()) {
    const start = match.index + match[0].length;
    const key = match[1] ?? "";
    if (!fields.has(key)) fields.set(key, text.slice(start, keys[index + 1]?.index ?? text.length).trim());
  }
  return fields;
}

/** Null for the words that say "nothing". */
export function textOf(value: string | undefined): string | null {
  return value === undefined || value === "" || value === "(null)" || value === "N/A" || value === "None" || value === "n/a" ? null : value;
}

export function numberOf(value: string | undefined, fallback = 0): number {
  const match = /^-?\d+(?:\.\d+)?/.exec(value ?? "");
  return match === null ? fallback : Number(match[0]);
}

export function countOrNull(value: string | undefined): number | null {
  const text = textOf(value);
  return text === null || !/^\d/.test(text) ? null : numberOf(text);
}

/** `2026-11-21T00:38:53` in the host's zone. */
export function timeOf(value: string | undefined): EpochMs | null {
  const text = textOf(value);
  if (text === null || !/^\d{4}-/.test(text)) return null;
  const at = new Date(text).getTime();
  return Number.isNaN(at) ? null : (at as EpochMs);
}

/** Minutes; null is unlimited, or not said. */
export function minutesOf(value: string | undefined): number | null {
  const text = textOf(value);
  if (text === null || text === "NONE" || text === "Partition_Limit") return null;
  const minutes = parseDuration(text);
  return typeof minutes === "number" ? minutes : null;
}

const UNITS: Readonly<Record<string, number>> = { K: 1 / 1024, M: 1, G: 1024, T: 1024 ** 2, P: 1024 ** 3 };

/** `3013M`, `1.5G`, `512` (MiB). */
export function mebibytesOf(value: string | undefined): number | null {
  const match = /^(\d+(?:\.\d+)?)([KMGTP]?)/.exec(value ?? "");
  return match === null ? null : Math.round(Number(match[1]) * (UNITS[match[2] ?? ""] ?? 1));
}

/** `cpu=2,mem=3013M,node=1,gres/gpu=1` */
export function tresOf(value: string | undefined): Tres {
  const gres: Record<string, number> = {};
  let cpus = 0;
  let nodes = 0;
  let memMib: number | null = null;
  for (const part of (textOf(value) ?? "").split(",")) {
    const equals = part.lastIndexOf("=");
    const [name, count] = [part.slice(0, equals), part.slice(equals + 1)];
    if (name === "cpu") cpus = numberOf(count);
    else if (name === "node") nodes = numberOf(count);
    else if (name === "mem") memMib = mebibytesOf(count);
    else if (name.startsWith("gres/")) gres[name.slice(5)] = numberOf(count);
  }
  return { cpus, memMib, nodes, gres };
}
