/**
 * Long lists of records on the wire. Jobs that wait were mostly submitted alike, so their records differ in a few fields
 * only: what is the same in all records of a piece is sent once, the rest as columns. 5 000 pending jobs are a tenth of
 * the text that they would be one by one, and reading them is what squeue spends its time on.
 *
 *   { count, same: { userName: "ann", … }, columns: { jobId: [7, 8, …], … } }
 */
export interface PackedRecords {
  readonly count: number;
  readonly same: Readonly<Record<string, unknown>>;
  readonly columns: Readonly<Record<string, readonly unknown[]>>;
}

type Plain = Readonly<Record<string, unknown>>;

/** `records` is not empty. */
export function packRecords(records: readonly object[]): PackedRecords {
  const list = records as readonly Plain[];
  const same: Record<string, unknown> = {};
  const columns: Record<string, unknown[]> = {};
  for (const key of keysOf(list)) {
    const first = list[0]?.[key];
    if (list.every((record) => isEqual(record[key], first))) same[key] = first;
    else columns[key] = list.map((record) => record[key]);
  }
  return { count: list.length, same, columns };
}

/** A field that a record does not have (one of an older version in the store) comes back as null. */
export function unpackRecords({ count, same, columns }: PackedRecords): object[] {
  const entries = Object.entries(columns);
  const shape = { ...same, ...Object.fromEntries(entries.map(([key]) => [key, null as unknown])) };
  return Array.from({ length: count }, (_, index) => {
    const record: Record<string, unknown> = { ...shape };
    for (const [key, values] of entries) record[key] = values[index];
    return record;
  });
}

function keysOf(list: readonly Plain[]): readonly string[] {
  const keys = Object.keys(list[0] ?? {});
  if (list.every((record) => Object.keys(record).length === keys.length)) return keys;
  return [...new Set(list.flatMap((record) => Object.keys(record)))];
}

/** Plain data, compared by value. */
export function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  return JSON.stringify(a) === JSON.stringify(b);
}

/** The record with every value that equals the other's replaced by it, so that jobs submitted alike share their memory. */
export function sharingWith<T extends object>(record: T, other: T | undefined): T {
  if (other === undefined) return record;
  const shared = { ...record };
  for (const key of Object.keys(shared) as (keyof T)[]) if (isEqual(shared[key], other[key])) shared[key] = other[key];
  return shared;
}
