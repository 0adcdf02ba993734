/** Fields may exceed 59, but not what keeps the sum an exact integer. */
const DURATION = /^(?:(\d{1,9})-(\d{1,9})(?::(\d{1,9})(?::(\d{1,9}))?)?|(\d{1,9})(?::(\d{1,9})(?::(\d{1,9}))?)?)$/;

/**
 * `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M`, `D-H:M:S` in seconds; `-1`, `INFINITE` and `UNLIMITED` have no limit.
 * Undefined for anything else. Zero stays zero: only limits read it as "none".
 * Source: commands.md §1.4.1.
 */
export function parseDurationSeconds(text: string): number | "unlimited" | undefined {
  if (text === "-1") return "unlimited";
  const word = text.length <= 9 ? text.toUpperCase() : "";
  if (word === "INFINITE" || word === "UNLIMITED") return "unlimited";
  const match = DURATION.exec(text);
  if (match === null) return undefined;
  const field = (index: number) => Number(match[index] ?? 0);
  if (match[1] !== undefined) return field(1) * 86_400 + field(2) * 3600 + field(3) * 60 + field(4);
  return match[7] === undefined ? field(5) * 60 + field(6) : field(5) * 3600 + field(6) * 60 + field(7);
}

/** A time limit in minutes, rounded up; zero is "unlimited" as well (commands.md §1.4.1). */
export function parseDuration(text: string): number | "unlimited" | undefined {
  const seconds = parseDurationSeconds(text);
  if (seconds === undefined || seconds === "unlimited") return seconds;
  return seconds === 0 ? "unlimited" : Math.ceil(seconds / 60);
}
