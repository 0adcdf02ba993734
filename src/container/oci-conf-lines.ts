/**
 * The lexical layer of oci.conf: the slurm.conf-style grammar (oci-conf §5.1), from text to `key=value` pairs.
 * Order matters and is the file format: comments go first (quotes do not protect `#`), then continuations, then
 * every backslash escape, and only then is a line read.
 */
import { BerthError } from "#job/errors.ts";

export interface Where {
  readonly file: string;
  /** Of the first physical line; counts from 1. */
  readonly line: number;
}
export type ConfLine =
  | { readonly kind: "pair"; readonly key: string; readonly value: string; readonly where: Where }
  | { readonly kind: "include"; readonly path: string; readonly where: Where };

export const MAX_CONF_BYTES = 1 << 20;

const BLANK = "[ \\t\\n\\v\\f\\r]";
const PAIR = new RegExp(`^${BLANK}*([A-Za-z0-9_.]+)${BLANK}*[-*+/]?=${BLANK}*(?:"([^"]*)"(?=${BLANK}|$)|([^ \\t\\n\\v\\f\\r]+))(.*)$`, "s");
const INCLUDE = new RegExp(`^include${BLANK}+([^ \\t\\n\\v\\f\\r]+)`, "i");
const ONLY_BLANK = new RegExp(`^${BLANK}*$`);

/** @throws BerthError OCI_CONF_SYNTAX */
export function parseConfLines(text: string, file: string): readonly ConfLine[] {
  if (text.length > MAX_CONF_BYTES) throw new BerthError("OCI_CONF_SYNTAX", `Cannot read ${file}: larger than ${MAX_CONF_BYTES} bytes`);
  const lines: ConfLine[] = [];
  const physical = text.split("\n");
  for (let i = 0; i < physical.length; i++) {
    const where: Where = { file, line: i + 1 };
    let joined = "";
    for (;;) {
      const part = dropComment(physical[i] as string);
      const continued = continuation(part);
      joined += continued ?? part;
      if (continued === undefined || i + 1 >= physical.length) break;
      i++;
    }
    const line = joined.replace(/\\(.)/gs, "$1");
    if (!ONLY_BLANK.test(line)) lines.push(parseLine(line, where));
  }
  return lines;
}

/** Everything from the first `#` behind an even number of backslashes. */
function dropComment(line: string): string {
  let backslashes = 0;
  for (let i = 0; i < line.length; i++) {
    const char = line.charAt(i);
    if (char === "#" && backslashes % 2 === 0) return line.slice(0, i);
    backslashes = char === "\\" ? backslashes + 1 : 0;
  }
  return line;
}

/** The line without its last backslash when that one continues it; undefined when it does not. */
function continuation(line: string): string | undefined {
  let end = line.length;
  while (end > 0 && " \t\v\f\r".includes(line.charAt(end - 1))) end--;
  let backslashes = 0;
  while (backslashes < end && line.charAt(end - 1 - backslashes) === "\\") backslashes++;
  return backslashes % 2 === 1 ? line.slice(0, end - 1) : undefined;
}

function parseLine(line: string, where: Where): ConfLine {
  const include = INCLUDE.exec(line);
  if (include !== null) {
    const path = include[1] as string;
    if (path.includes("*"))
      throw syntaxError(where, `Include does not take patterns: ${JSON.stringify(path)}`, "name each file on a line of its own");
    return { kind: "include", path, where };
  }
  const pair = PAIR.exec(line);
  if (pair === null) {
    throw syntaxError(
      where,
      `expected Key=value, found ${shorten(line)}`,
      /=[ \t]*$/.test(line) ? 'write Key="" for an empty value' : "write one Key=value on each line",
    );
  }
  const [, key, quoted, bare, rest] = pair as unknown as [string, string, string | undefined, string | undefined, string];
  if (!ONLY_BLANK.test(rest)) {
    throw syntaxError(where, `text after the value of ${key}: ${shorten(rest.trim())}`, adviceFor(bare));
  }
  return { kind: "pair", key, value: quoted ?? (bare as string), where };
}

function adviceFor(bare: string | undefined): string {
  if (bare?.startsWith('"')) return "close the value with a double quote; it cannot hold one itself";
  if (bare?.startsWith("'")) return "single quotes have no meaning here: use double quotes";
  return bare === undefined ? "write one Key=value on each line" : "put a value with blanks in double quotes";
}

export function syntaxError(where: Where, reason: string, hint?: string): BerthError {
  return new BerthError("OCI_CONF_SYNTAX", `Cannot read ${where.file}:${where.line}: ${reason}`, hint === undefined ? {} : { hint });
}

function shorten(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
