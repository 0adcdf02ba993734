/** The tables of sacct and sstat: chosen fields with widths, cut with a `+`, or parsable (commands.md §9.2). */
import { BerthError } from "#job/errors.ts";

/** A field's name and width; negative is left aligned. */
export interface ReportField<V> {
  readonly name: string;
  readonly width: number;
  readonly value: V;
}
export interface ReportColumn<V> {
  readonly name: string;
  readonly width: number;
  readonly value: V;
}

export interface ReportStyle {
  readonly noHeader: boolean;
  /** `-P` separates with the delimiter, `-p` also ends each line with it. */
  readonly parsable: "none" | "separated" | "ended";
  readonly delimiter: string;
}

export interface ReportTable<V> {
  readonly fields: readonly ReportField<V>[];
  /** What "all" stands for: the fields that -e lists. Null where it is no name. */
  readonly all: readonly ReportField<V>[] | null;
}

/** A wider column has no use, and would fill memory. */
const MAX_WIDTH = 8192;

/**
 * `name[%[-]WIDTH],…` → columns. A name is found without regard to case, whole first, then by its beginning.
 * @throws BerthError INVALID_FIELD, with the text Slurm prints after `sacct: error: `
 */
export function parseReportFormat<V>(text: string, { fields, all }: ReportTable<V>): ReportColumn<V>[] {
  const columns: ReportColumn<V>[] = [];
  for (const piece of text.split(",")) {
    const [name = "", width] = piece.trim().split("%");
    if (name === "") continue;
    if (all !== null && name.toLowerCase() === "all") {
      columns.push(...all);
      continue;
    }
    const field = findField(name, fields);
    if (field === undefined) throw new BerthError("INVALID_FIELD", `Invalid field requested: "${name}"`);
    const wanted = width === undefined ? Number.NaN : Number.parseInt(width, 10);
    columns.push({
      name: field.name,
      value: field.value,
      width: Number.isNaN(wanted) || wanted === 0 ? field.width : Math.max(-MAX_WIDTH, Math.min(MAX_WIDTH, wanted)),
    });
  }
  return columns;
}

function findField<V>(name: string, fields: readonly ReportField<V>[]): ReportField<V> | undefined {
  const lower = name.toLowerCase();
  return fields.find((field) => field.name.toLowerCase() === lower) ?? fields.find((field) => field.name.toLowerCase().startsWith(lower));
}

export function reportHeader<V>(columns: readonly ReportColumn<V>[], style: ReportStyle): string[] {
  if (style.noHeader) return [];
  if (style.parsable !== "none")
    return [
      parsableLine(
        columns.map((column) => column.name),
        style,
      ),
    ];
  return [
    columns.map((column) => `${pad(column.name.slice(0, Math.abs(column.width)), column.width)} `).join(""),
    columns.map((column) => `${"-".repeat(Math.abs(column.width))} `).join(""),
  ];
}

export function reportLine<V>(columns: readonly ReportColumn<V>[], style: ReportStyle, cell: (value: V) => string): string {
  if (style.parsable !== "none")
    return parsableLine(
      columns.map((column) => cell(column.value)),
      style,
    );
  let line = "";
  for (const column of columns) line += `${pad(cut(cell(column.value), Math.abs(column.width)), column.width)} `;
  return line;
}

function parsableLine(cells: readonly string[], style: ReportStyle): string {
  return cells.join(style.delimiter) + (style.parsable === "ended" ? style.delimiter : "");
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}+`;
}

function pad(text: string, width: number): string {
  return width < 0 ? text.padEnd(-width) : text.padStart(width);
}

/** `-e`: the names, four in a line. */
export function helpFormat(names: readonly string[], width = 19): string[] {
  const lines: string[] = [];
  for (let i = 0; i < names.length; i += 4)
    lines.push(
      names
        .slice(i, i + 4)
        .map((name) => name.padEnd(width))
        .join(" "),
    );
  return lines;
}
