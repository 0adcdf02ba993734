import { parseDigits } from "./digits.ts";

const INT_MAX = 2 ** 31 - 1;

/** A decimal integer of at least `min` that fits 31 bits; undefined otherwise (commands.md §1.4.4). */
export function parseCount(text: string, min: number): number | undefined {
  const isNegative = text.startsWith("-");
  const digits = parseDigits(isNegative || text.startsWith("+") ? text.slice(1) : text, 10);
  if (digits === undefined) return undefined;
  const value = isNegative ? -digits : digits;
  return value >= min && value <= INT_MAX ? value : undefined;
}

export type NodeCount =
  | { readonly kind: "count"; readonly min: number; readonly max: number }
  | { readonly kind: "invalid" }
  /** The maximum is below the minimum. */
  | { readonly kind: "reversed"; readonly min: number; readonly max: number };

/**
 * `-N`: `MIN[-MAX]`, each with an optional `k` (×1024) or `m` (×1024²). One number is both bounds.
 * Zero is read, because Slurm's controller is who refuses it (commands.md §1.4.4).
 */
export function parseNodeCount(text: string): NodeCount {
  const dash = text.indexOf("-");
  const min = parseScaled(dash < 0 ? text : text.slice(0, dash));
  const max = dash < 0 ? min : parseScaled(text.slice(dash + 1));
  if (min === undefined || max === undefined) return { kind: "invalid" };
  return { kind: max < min ? "reversed" : "count", min, max };
}

function parseScaled(text: string): number | undefined {
  const unit = text.at(-1)?.toLowerCase();
  const factor = unit === "k" ? 1024 : unit === "m" ? 1024 ** 2 : 1;
  const number = parseDigits(factor === 1 ? text : text.slice(0, -1), 10);
  return number === undefined || number * factor > INT_MAX ? undefined : number * factor;
}
