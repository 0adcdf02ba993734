declare const brand: unique symbol;
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

export type JobId = Brand<number, "JobId">;
/** Milliseconds since 1970-01-01 UTC, of the wall clock; for records, never for deadlines. */
export type EpochMs = Brand<number, "EpochMs">;

export function nowMs(): EpochMs {
  return Date.now() as EpochMs;
}

/** "1234" → JobId; undefined unless an unsigned 32-bit number above 0 (slurm.conf(5), MaxJobId). */
export function parseJobId(text: string): JobId | undefined {
  const value = /^[1-9][0-9]{0,9}$/.test(text) ? Number(text) : Number.NaN;
  return value < 2 ** 32 ? (value as JobId) : undefined;
}

/** A step of a job: its number, or one of the steps that Slurm names instead (spec: lifecycle §1). */
export type StepKey = number | "batch" | "interactive" | "extern";

/** The numbers that stand for named steps in environments, JSON and oci.conf's %s. */
export const STEP_NUMBERS = {
  batch: 4294967291,
  extern: 4294967292,
  interactive: 4294967290,
} as const satisfies Record<Exclude<StepKey, number>, number>;

export function stepNumber(key: StepKey): number {
  return typeof key === "number" ? key : STEP_NUMBERS[key];
}

/** "0" → 0, "batch" → "batch"; undefined for anything else. */
export function parseStepKey(text: string): StepKey | undefined {
  if (text === "batch" || text === "interactive" || text === "extern") return text;
  return /^(0|[1-9][0-9]{0,8})$/.test(text) ? Number(text) : undefined;
}
