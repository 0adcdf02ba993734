/** How scontrol answers when there is little to say. */
import type { ScontrolSession } from "./scontrol-session.ts";
import { printRows } from "./terminal.ts";

export function say(...lines: readonly string[]): number {
  printRows(lines);
  return 0;
}

/** What is missing is told on stdout, as in 22.05 (§18.2). */
export function missing(text: string, session: ScontrolSession): number {
  if (!session.quiet) printRows([text]);
  return 1;
}
