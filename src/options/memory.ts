import { parseDigits } from "./digits.ts";

const KIB_PER_UNIT: ReadonlyMap<string, number> = new Map([
  ["K", 1],
  ["M", 1024],
  ["G", 1024 ** 2],
  ["T", 1024 ** 3],
]);

/**
 * `100`, `1G`, `10kb` in MiB, rounded up; M is the default unit. Zero means all memory of the node.
 * Undefined for fractions, exponents, unknown units and sizes beyond exact integers (commands.md §1.4.3).
 */
export function parseMemoryMib(text: string): number | undefined {
  const upper = text.toUpperCase();
  const letters = upper.endsWith("B") ? upper.slice(0, -1) : upper;
  const kibPerUnit = KIB_PER_UNIT.get(letters.slice(-1));
  if (kibPerUnit === undefined && letters !== upper) return undefined; // `100B`: B only follows a unit
  const number = parseDigits(kibPerUnit === undefined ? letters : letters.slice(0, -1), 15);
  const kib = number === undefined ? Number.NaN : number * (kibPerUnit ?? 1024);
  return Number.isSafeInteger(kib) ? Math.ceil(kib / 1024) : undefined;
}
