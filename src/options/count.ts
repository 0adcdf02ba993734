const INT_MAX = 2 ** 31 - 1;

/** A decimal integer of at least `min` that fits 31 bits; undefined otherwise (commands.md §1.4.4). */
export function parseCount(text: string, min: number): number | undefined {
  if (!/^[+-]?\d{1,10}$/.test(text)) return undefined;
  const value = Number(text);
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
  const match = /^(\d{1,10})([km])?(?:-(\d{1,10})([km])?)?$/i.exec(text);
  if (match === null) return { kind: "invalid" };
  const min = scaled(match[1], match[2]);
  const max = match[3] === undefined ? min : scaled(match[3], match[4]);
  if (min > INT_MAX || max > INT_MAX) return { kind: "invalid" };
  return { kind: max < min ? "reversed" : "count", min, max };
}

function scaled(digits: string | undefined, unit: string | undefined): number {
  const factor = unit === undefined ? 1 : unit.toLowerCase() === "k" ? 1024 : 1024 ** 2;
  return Number(digits) * factor;
}
