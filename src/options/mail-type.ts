const MAIL_TYPES = [
  "NONE",
  "BEGIN",
  "END",
  "FAIL",
  "REQUEUE",
  "ALL",
  "INVALID_DEPEND",
  "STAGE_OUT",
  "TIME_LIMIT",
  "TIME_LIMIT_90",
  "TIME_LIMIT_80",
  "TIME_LIMIT_50",
  "ARRAY_TASKS",
];

/** A comma list of events in any case, each once; `NONE` anywhere empties it. Undefined for unknown words (§3.4). */
export function parseMailTypes(text: string): string[] | undefined {
  const types = new Set(text.toUpperCase().split(","));
  for (const type of types) if (!MAIL_TYPES.includes(type)) return undefined;
  return types.has("NONE") ? [] : [...types];
}
