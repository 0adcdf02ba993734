/**
 * Command lines as GNU getopt_long(3) reads them, driven by a table: unique abbreviations of long options, clustered
 * short ones, optional values only when attached, `--`. Messages are the C library's, byte for byte.
 */
import { possibilities } from "./option-order.ts";

export interface OptionRow {
  readonly name: string;
  readonly short?: string;
  /** Other spellings of the long name. */
  readonly aliases?: readonly string[];
  /** What the value is called in help, when there must be one. */
  readonly takes?: string;
  /** The same, when the value may be left out. An option with neither is a flag. */
  readonly mayTake?: string;
  /** Reading stops here: what follows is not even looked at (`--help`, `--version`). */
  readonly isAction?: boolean;
  /** Accepted and without effect on the embedded engine: why nobody misses it (docs/compatibility.md). */
  readonly idle?: string;
  /** Refused by name on the embedded engine: why. */
  readonly refused?: string;
  /** Not in Slurm 22.05: no abbreviation that was unique there becomes ambiguous by it. */
  readonly isLater?: boolean;
  /** What differs on a site's own Slurm, which gets every option as it was typed otherwise. */
  readonly onSlurm?: string;
}

export interface GivenOption<Row extends OptionRow> {
  readonly row: Row;
  /** Null when there is none: a flag, or an optional value left out. */
  readonly value: string | null;
}

export interface Getopt<Row extends OptionRow> {
  readonly options: readonly GivenOption<Row>[];
  /** Operands: everything after the first one, or all of them when the table permutes. */
  readonly rest: readonly string[];
  /** getopt's message about the option at which reading stopped; what came before is in `options`. */
  readonly error: string | null;
}

export interface GetoptSettings {
  /** For messages. */
  readonly command: string;
  /** "stop" ends the options at the first operand (srun, sbatch, salloc); "permute" goes on behind it. */
  readonly order: "stop" | "permute";
}

export function getopt<Row extends OptionRow>(rows: readonly Row[], argv: readonly string[], settings: GetoptSettings): Getopt<Row> {
  const options: GivenOption<Row>[] = [];
  const rest: string[] = [];
  const index = indexOf(rows);
  const done = (error: string | null) => ({ options, rest, error: error === null ? null : `${settings.command}: ${error}` });

  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? "";
    if (word === "--") {
      rest.push(...argv.slice(i + 1));
      break;
    }
    if (!word.startsWith("-") || word === "-") {
      if (settings.order === "permute") {
        rest.push(word);
        continue;
      }
      rest.push(...argv.slice(i));
      break;
    }
    const read = word.startsWith("--")
      ? readLong(index, word.slice(2), { next: argv[i + 1], command: settings.command })
      : readShort(index, word.slice(1), argv[i + 1]);
    if (read.usesNext) i++;
    for (const option of read.options) {
      options.push(option);
      if (option.row.isAction === true) return done(null);
    }
    if (read.error !== null) return done(read.error);
  }
  return done(null);
}

/** What one word of the command line says. */
interface WordRead<Row extends OptionRow> {
  readonly options: readonly GivenOption<Row>[];
  /** The following word was a value. */
  readonly usesNext: boolean;
  readonly error: string | null;
}

function fail<Row extends OptionRow>(error: string, options: readonly GivenOption<Row>[] = []): WordRead<Row> {
  return { options, usesNext: false, error };
}

/** @param text without the two dashes; an `=` separates the value */
function readLong<Row extends OptionRow>(
  index: Index<Row>,
  text: string,
  { next, command }: { readonly next: string | undefined; readonly command: string },
): WordRead<Row> {
  const equals = text.indexOf("=");
  const typed = equals < 0 ? text : text.slice(0, equals);
  const found = findLong(index, typed);
  if (found.length === 0) return fail(`unrecognized option '--${text}'`);
  const [match] = found;
  if (match === undefined || found.length > 1) {
    const slurms = possibilities(command, typed, (name) => findLong(index, name)[0]?.row);
    const names = slurms.length > 1 ? slurms : found.map(({ name }) => name);
    return fail(`option '--${text}' is ambiguous; possibilities:${names.map((name) => ` '--${name}'`).join("")}`);
  }
  const { row, name } = match;
  const attached = equals < 0 ? null : text.slice(equals + 1);
  if (isFlag(row)) {
    if (attached !== null) return fail(`option '--${name}' doesn't allow an argument`);
    return { options: [{ row, value: null }], usesNext: false, error: null };
  }
  if (attached !== null || row.takes === undefined) {
    return { options: [{ row, value: attached }], usesNext: false, error: null };
  }
  if (next === undefined) return fail(`option '--${name}' requires an argument`);
  return { options: [{ row, value: next }], usesNext: true, error: null };
}

/** @param text the letters without the dash */
function readShort<Row extends OptionRow>(index: Index<Row>, text: string, next: string | undefined): WordRead<Row> {
  const options: GivenOption<Row>[] = [];
  for (let i = 0; i < text.length; i++) {
    const letter = text.charAt(i);
    const row = index.byLetter.get(letter);
    if (row === undefined) return fail(`invalid option -- '${letter}'`, options);
    if (isFlag(row)) {
      options.push({ row, value: null });
      continue;
    }
    const attached = text.slice(i + 1);
    if (attached === "" && row.takes !== undefined) {
      if (next === undefined) return fail(`option requires an argument -- '${letter}'`, options);
      return { options: [...options, { row, value: next }], usesNext: true, error: null };
    }
    return { options: [...options, { row, value: attached === "" ? null : attached }], usesNext: false, error: null };
  }
  return { options, usesNext: false, error: null };
}

export function isFlag(row: OptionRow): boolean {
  return row.takes === undefined && row.mayTake === undefined;
}

/** Rows by what selects them; long names in the order of the table. */
export interface Index<Row extends OptionRow> {
  readonly byName: ReadonlyMap<string, Row>;
  readonly byLetter: ReadonlyMap<string, Row>;
}

export function indexOf<Row extends OptionRow>(rows: readonly Row[]): Index<Row> {
  const byName = new Map<string, Row>();
  const byLetter = new Map<string, Row>();
  for (const row of rows) {
    byName.set(row.name, row);
    if (row.aliases !== undefined) for (const alias of row.aliases) byName.set(alias, row);
    if (row.short !== undefined) byLetter.set(row.short, row);
  }
  return { byName, byLetter };
}

export interface LongMatch<Row extends OptionRow> {
  readonly row: Row;
  readonly name: string;
}

/**
 * The exact match, or every option that begins with what was typed; two spellings of one option count once, and options of
 * later versions only when there is no other.
 */
export function findLong<Row extends OptionRow>({ byName }: Index<Row>, typed: string): LongMatch<Row>[] {
  const exact = byName.get(typed);
  if (exact !== undefined) return [{ row: exact, name: typed }];
  const found: LongMatch<Row>[] = [];
  for (const [name, row] of byName) {
    if (name.startsWith(typed) && !found.some((match) => match.row === row)) found.push({ row, name });
  }
  const older = found.length > 1 ? found.filter(({ row }) => row.isLater !== true) : [];
  return older.length > 0 ? older : found;
}
