/**
 * Takes some options out of a command line and leaves every other word as it was typed, for another program to
 * read. Options that the table does not know are left in; whether such an option takes the word behind it, `guess` says.
 */
import { findLong, indexOf, isFlag, type Index, type OptionRow } from "./getopt.ts";

export interface TakenOptions {
  /** All words of options that were left in. */
  readonly kept: readonly string[];
  /** The same one by one: the words, and the long names of the options that they say (none, when they are unknown). */
  readonly options: readonly KeptOption[];
  /** Long name → last value; "" for a flag. */
  readonly taken: ReadonlyMap<string, string>;
  /** Long names of the known options that were left in. */
  readonly given: ReadonlySet<string>;
  /** From the first operand on; a `--` before it is dropped. */
  readonly rest: readonly string[];
}

export interface KeptOption {
  readonly words: readonly string[];
  readonly names: readonly string[];
}

/** @param guess true when an option of this long name, or letter, takes a value of its own word */
export function takeOptions(
  rows: readonly OptionRow[],
  argv: readonly string[],
  options: {
    readonly take: readonly string[];
    readonly guess: (option: string) => boolean;
  },
): TakenOptions {
  const index = indexOf(rows);
  const kept: KeptOption[] = [];
  const taken = new Map<string, string>();
  const given = new Set<string>();
  let at = 0;
  for (; at < argv.length; at++) {
    const word = argv[at] ?? "";
    if (word === "--") {
      at++;
      break;
    }
    if (!word.startsWith("-") || word === "-") break;
    const read = word.startsWith("--") ? readLong(index, word.slice(2), options.guess) : readShort(index, word.slice(1), options.guess);
    const hasNext = read.usesNext && at + 1 < argv.length;
    const [only] = read.names;
    if (only !== undefined && options.take.includes(only) && (!read.usesNext || hasNext)) {
      taken.set(only, read.attached ?? (hasNext ? (argv[at + 1] ?? "") : ""));
    } else {
      kept.push({ words: [word, ...(hasNext ? [argv[at + 1] ?? ""] : [])], names: read.names });
      for (const name of read.names) given.add(name);
    }
    if (hasNext) at++;
  }
  return { kept: kept.flatMap(({ words }) => words), options: kept, taken, given, rest: argv.slice(at) };
}

interface WordRead {
  readonly names: readonly string[];
  readonly attached: string | null;
  readonly usesNext: boolean;
}

function readLong(index: Index<OptionRow>, text: string, guess: (option: string) => boolean): WordRead {
  const equals = text.indexOf("=");
  const typed = equals < 0 ? text : text.slice(0, equals);
  const attached = equals < 0 ? null : text.slice(equals + 1);
  const [match, ...more] = findLong(index, typed);
  if (match === undefined || more.length > 0)
    return { names: [], attached, usesNext: attached === null && match === undefined && guess(typed) };
  return { names: [match.row.name], attached, usesNext: attached === null && match.row.takes !== undefined };
}

function readShort(index: Index<OptionRow>, text: string, guess: (option: string) => boolean): WordRead {
  const names: string[] = [];
  for (let i = 0; i < text.length; i++) {
    const letter = text.charAt(i);
    const row = index.byLetter.get(letter);
    if (row !== undefined) names.push(row.name);
    const takes = row === undefined ? guess(letter) : row.takes !== undefined;
    if (takes) return { names, attached: null, usesNext: i === text.length - 1 };
    if (row !== undefined && !isFlag(row)) break; // an optional value, attached
  }
  return { names, attached: null, usesNext: false };
}
