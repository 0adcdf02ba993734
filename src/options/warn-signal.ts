import type { WarnSignal } from "#job/request.ts";
import { parseSignal } from "./signals.ts";

const DEFAULT_SECONDS = 60;
const MAX_SECONDS = 65_535;

/** `[R][B:]SIG[@SECONDS]`; `B` (the batch script gets it) only where there is one (commands.md §1.4.10). */
export function parseWarnSignal(text: string, options: { readonly isBatch: boolean }): WarnSignal | undefined {
  const match = /^(?:([RB]{1,2}):)?([A-Z0-9]+)(?:@(\d{1,5}))?$/i.exec(text);
  if (match === null) return undefined;
  const flags = (match[1] ?? "").toUpperCase();
  const signal = parseSignal(match[2] ?? "");
  const seconds = Number(match[3] ?? DEFAULT_SECONDS);
  if (signal === undefined || seconds > MAX_SECONDS) return undefined;
  if (flags === "RR" || flags === "BB" || (flags.includes("B") && !options.isBatch)) return undefined;
  return { signal, seconds, toBatch: flags.includes("B"), atReservation: flags.includes("R") };
}
