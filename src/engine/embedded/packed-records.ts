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
  const { keys, rows } = rowsOf(records as readonly Plain[]);
  const same: Record<string, unknown> = {};
  const columns: Record<string, unknown[]> = {};
  const varies = varyingColumns(rows, keys.length);
  for (const [index, key] of keys.entries()) {
    if (varies[index] === true) columns[key] = rows.map((row) => row[index]);
    else same[key] = rows[0]?.[index];
  }
  return { count: rows.length, same, columns };
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

/** Values by position: reading fields by name, a different one each time, would take ten times as long. */
function rowsOf(list: readonly Plain[]): { readonly keys: readonly string[]; readonly rows: readonly (readonly unknown[])[] } {
  const keys = Object.keys(list[0] ?? {});
  if (list.every((record) => isSameList(Object.keys(record), keys))) return { keys, rows: list.map((record) => Object.values(record)) };
  const all = [...new Set(list.flatMap((record) => Object.keys(record)))];
  return { keys: all, rows: list.map((record) => all.map((key) => record[key])) };
}

/** The hot loop of a long squeue: mostly values that are the same one. */
function varyingColumns(rows: readonly (readonly unknown[])[], count: number): boolean[] {
  const varies = new Array<boolean>(count).fill(false);
  const first = rows[0] ?? [];
  for (const row of rows) {
    for (let index = 0; index < count; index++) {
      if (row[index] !== first[index] && varies[index] === false && !isEqual(row[index], first[index])) varies[index] = true;
    }
  }
  return varies;
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
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
