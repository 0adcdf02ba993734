import { parseDigits } from "./digits.ts";

/** Fields may exceed 59, but not what keeps the sum an exact integer. */
const MAX_DIGITS = 9;

/**
 * `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M`, `D-H:M:S` in seconds; `-1`, `INFINITE` and `UNLIMITED` have no limit.
 * Undefined for anything else. Zero stays zero: only limits read it as "none".
 * Source: commands.md §1.4.1.
 */
export function parseDurationSeconds(text: string): number | "unlimited" | undefined {
  const word = text.toUpperCase();
  if (word === "-1" || word === "INFINITE" || word === "UNLIMITED") return "unlimited";
  const dash = text.indexOf("-");
  const fields = text
    .slice(dash + 1)
    .split(":")
    .map((field) => parseDigits(field, MAX_DIGITS));
  const days = dash < 0 ? 0 : parseDigits(text.slice(0, dash), MAX_DIGITS);
  if (days === undefined || fields.length > 3 || !fields.every((field) => field !== undefined)) return undefined;
  const [first = 0, second = 0, third = 0] = fields;
  // Without days, one or two fields begin with minutes.
  const startsWithHours = dash >= 0 || fields.length === 3;
  return days * 86_400 + (startsWithHours ? first * 3600 + second * 60 + third : first * 60 + second);
}

/** A time limit in minutes, rounded up; zero is "unlimited" as well (commands.md §1.4.1). */
export function parseDuration(text: string): number | "unlimited" | undefined {
  const seconds = parseDurationSeconds(text);
  if (seconds === undefined || seconds === "unlimited") return seconds;
  return seconds === 0 ? "unlimited" : Math.ceil(seconds / 60);
}
