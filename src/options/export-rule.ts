import type { ExportRule } from "#job/request.ts";

export const EXPORT_ALL: ExportRule = { kind: "all", set: {}, text: null };

/**
 * `--export`: ALL, NONE, NIL, or a comma list of `NAME` and `NAME=value`, with ALL among them to keep the rest too.
 * A value ends at a comma unless it stands in '…' or "…" (commands.md §3.6). Every text is a rule.
 */
export function parseExportRule(text: string): ExportRule {
  const word = text.toUpperCase();
  if (word === "ALL") return { kind: "all", set: {}, text };
  if (word === "NONE") return { kind: "none", text };
  if (word === "NIL") return { kind: "nil", text };
  const keep: string[] = [];
  // Null prototype: a variable may be called __proto__.
  const set: Record<string, string> = Object.create(null);
  let isAll = false;
  for (const item of splitOutsideQuotes(text)) {
    const equals = item.indexOf("=");
    if (item.toUpperCase() === "ALL") isAll = true;
    else if (equals > 0) set[item.slice(0, equals)] = item.slice(equals + 1);
    else if (equals < 0) keep.push(item);
  }
  return isAll ? { kind: "all", set, text } : { kind: "list", keep, set, text };
}

/** Parts between commas, quotes removed; empty parts are dropped. */
function splitOutsideQuotes(text: string): string[] {
  const parts: string[] = [];
  let part = "";
  let quote = "";
  for (const char of text) {
    if (quote !== "") {
      if (char === quote) quote = "";
      else part += char;
    } else if (char === "'" || char === '"') quote = char;
    else if (char === ",") {
      parts.push(part);
      part = "";
    } else part += char;
  }
  parts.push(part);
  return parts.filter((item) => item !== "");
}
