/**
 * The two column languages of squeue and sinfo (commands.md §6.3, §6.4): `-o '%.18i text'` and `-O name:.18text`.
 * A format is parsed once into columns; each column then makes its piece of a row.
 */

/** Literal text, or a field with its width; width 0 is unpadded and uncut. */
export type FormatPart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "field"; readonly name: string; readonly width: number; readonly isRight: boolean; readonly suffix: string };

/** `%[.][WIDTH]LETTER`; several percent signs count as one; a width without a letter is a field without a name. */
export function parseLetters(format: string): FormatPart[] {
  const pieces = format.split("%");
  const parts: FormatPart[] = pieces[0] === undefined || pieces[0] === "" ? [] : [{ kind: "text", text: pieces[0] }];
  for (const piece of pieces.slice(1)) {
    const match = /^(\.?)([0-9]*)([^]?)([^]*)$/.exec(piece);
    if (match === null || match[3] === undefined || piece === "") continue;
    if (match[3] === "") {
      parts.push({ kind: "field", name: "", width: 0, isRight: false, suffix: piece });
      continue;
    }
    parts.push({ kind: "field", name: match[3], width: parseWidth(match[2]), isRight: match[1] === ".", suffix: match[4] ?? "" });
  }
  return parts;
}

/** `FIELD[:[.][WIDTH][SUFFIX]],…`; without a colon the width is 20. */
export function parseFields(format: string): FormatPart[] {
  const parts: FormatPart[] = [];
  for (const piece of format.split(",")) {
    const match = /^\s*([^:]*)(?::(\.?)([0-9]*)([^]*))?$/.exec(piece);
    if (match === null || match[1] === undefined || match[1] === "") continue;
    const hasSpec = match[2] !== undefined;
    parts.push({
      kind: "field",
      name: match[1],
      width: hasSpec ? parseWidth(match[3]) : DEFAULT_WIDTH,
      isRight: match[2] === ".",
      suffix: match[4] ?? "",
    });
  }
  return parts;
}

const DEFAULT_WIDTH = 20;
/** A wider column has no use, and would fill memory. */
const MAX_WIDTH = 8192;

function parseWidth(digits: string | undefined): number {
  return Math.min(MAX_WIDTH, Number(digits ?? ""));
}

/** The entry of a table by a name that a user typed; `constructor` is no entry. */
export function ownEntry<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** Cuts and pads to the width. */
export function fit(text: string, width: number, isRight: boolean): string {
  if (width === 0) return text;
  if (text.length >= width) return text.length === width ? text : text.slice(0, width);
  const missing = width - text.length;
  const blanks = missing <= BLANKS.length ? BLANKS.slice(0, missing) : " ".repeat(missing);
  return isRight ? blanks + text : text + blanks;
}
const BLANKS = " ".repeat(64);

/** A part whose name was found: `F` is the command's own description of a field. */
export type Column<F> =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "field"; readonly field: F; readonly width: number; readonly isRight: boolean; readonly suffix: string };

/** Looks the names up. What is unknown is given to `onUnknown`: -o prints it as text, -O drops it. */
export function resolveParts<F>(
  parts: readonly FormatPart[],
  find: (name: string) => F | undefined,
  onUnknown: (name: string) => void,
  keepUnknown: boolean,
): Column<F>[] {
  const columns: Column<F>[] = [];
  for (const part of parts) {
    if (part.kind === "text") {
      columns.push(part);
      continue;
    }
    const field = find(part.name);
    if (field !== undefined) {
      columns.push({ kind: "field", field, width: part.width, isRight: part.isRight, suffix: part.suffix });
      continue;
    }
    onUnknown(part.name);
    if (keepUnknown) columns.push({ kind: "text", text: `%${part.name}${part.suffix}` });
  }
  return columns;
}

/**
 * Texts that Slurm never cuts at the right side of a column: durations in digits, and names of nodes, which nobody could use
 * when cut. At the left side they are cut like all others.
 */
export type Whole = "duration" | "nodes";

export function isShownWhole(whole: Whole | undefined, text: string, isTitle: boolean): boolean {
  if (whole === undefined) return false;
  if (whole === "duration") return !isTitle && /^-?\d/.test(text);
  return isTitle || !text.startsWith("(") || text === "(null)"; // a reason stands in parentheses
}

/** One line: `cell` makes the text of a field, a header or a value. */
export function renderLine<F>(
  columns: readonly Column<F>[],
  cell: (field: F) => string,
  isWhole?: (field: F, text: string) => boolean,
): string {
  let line = "";
  for (const column of columns) {
    if (column.kind === "text") {
      line += column.text;
      continue;
    }
    const text = cell(column.field);
    const width = column.isRight && text.length > column.width && isWhole?.(column.field, text) === true ? 0 : column.width;
    line += fit(text, width, column.isRight) + column.suffix;
  }
  return line;
}

/** `(null)`, as C programs print a missing text. */
export function orNull(text: string | null): string {
  return text ?? "(null)";
}
