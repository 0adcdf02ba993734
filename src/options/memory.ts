const KIB_PER_UNIT = { K: 1, M: 1024, G: 1024 ** 2, T: 1024 ** 3 } as const;

/**
 * `100`, `1G`, `10kb` in MiB, rounded up; M is the default unit. Zero means all memory of the node.
 * Undefined for fractions, exponents, unknown units and sizes beyond exact integers (commands.md §1.4.3).
 */
export function parseMemoryMib(text: string): number | undefined {
  const match = /^(\d{1,15})(?:([KMGT])B?)?$/i.exec(text);
  if (match === null) return undefined;
  const unit = (match[2]?.toUpperCase() ?? "M") as keyof typeof KIB_PER_UNIT;
  const kib = Number(match[1]) * KIB_PER_UNIT[unit];
  return Number.isSafeInteger(kib) ? Math.ceil(kib / 1024) : undefined;
}
