/** Values of slurmrestd's JSON. To v0.0.38 a number is a number or null; later `{ set, infinite, number }`. Pure. */
import type { EpochMs } from "#job/id.ts";

export type Json = Readonly<Record<string, unknown>>;

export function objectOf(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Null for what says "nothing". */
export function textOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" && value !== "N/A" && value !== "(null)" ? value : null;
}

/** Null when it is not set or infinite (-1 in the older form). */
export function numberOf(value: unknown): number | null {
  if (typeof value === "number") return value < 0 ? null : value;
  const { set, infinite, number } = objectOf(value);
  return set === true && infinite !== true && typeof number === "number" ? number : null;
}

/** Seconds since 1970; 0 is "never". */
export function timeOf(value: unknown): EpochMs | null {
  const seconds = numberOf(value);
  return seconds === null || seconds === 0 ? null : ((seconds * 1000) as EpochMs);
}

/** `RUNNING`, or `["RUNNING", "COMPLETING"]`, in capitals. */
export function wordsOf(...values: readonly unknown[]): readonly string[] {
  return values
    .flatMap((value) => (Array.isArray(value) ? value : [value]))
    .flatMap((word) => (typeof word === "string" ? [word.toUpperCase()] : []));
}

/** A wait status to v0.0.38; later `{ return_code, signal: { id } }`. */
export function exitOf(value: unknown): { readonly code: number; readonly signal: number } {
  if (typeof value === "number") return { code: (value >> 8) & 255, signal: value & 127 };
  const exit = objectOf(value);
  const signal = objectOf(exit["signal"]);
  return { code: numberOf(exit["return_code"]) ?? 0, signal: numberOf(signal["id"] ?? signal["signal_id"]) ?? 0 };
}
