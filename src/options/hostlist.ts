/**
 * Host lists: `n[1-3,07-09],login1` and back (commands.md §1.4.5). A name is a prefix and the digits at its end;
 * brackets may stand anywhere and more than once, `a[1-2]b[3-4]`.
 */
import { slurmError } from "#job/errors.ts";
import { isDigit } from "./digits.ts";

/** More names than any cluster has; keeps `n[0-999999999]` from filling memory. */
const MAX_HOSTS = 65_536;
/** Longer numbers do not survive arithmetic, so they count as text. */
const MAX_DIGITS = 15;

/**
 * The names in list order, duplicates kept. Empty elements are skipped.
 * @throws BerthError INVALID_NODE_NAME for unbalanced brackets, ranges that go down, or more than MAX_HOSTS names
 */
export function expandHostlist(text: string): string[] {
  const names: string[] = [];
  for (const element of splitOutsideBrackets(text)) {
    for (const name of expandElement(element)) {
      if (names.length >= MAX_HOSTS) throw malformed(text, `more than ${MAX_HOSTS} names`);
      names.push(name);
    }
  }
  return names;
}

/** Splits at commas and blanks that are not inside `[…]`; empty parts are dropped. */
export function splitOutsideBrackets(text: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let depth = 0;
  for (let i = 0; i <= text.length; i++) {
    const char = text.charAt(i);
    if (char === "[") depth++;
    else if (char === "]") depth--;
    else if (i === text.length || (depth <= 0 && (char === "," || char === " " || char === "\t" || char === "\n"))) {
      if (i > start) parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  return parts;
}

function expandElement(element: string): string[] {
  let names = [""];
  let rest = element;
  while (rest !== "") {
    const open = rest.indexOf("[");
    const literal = open < 0 ? rest : rest.slice(0, open);
    if (literal.includes("]")) throw malformed(element, "unbalanced brackets");
    if (open < 0) return names.map((name) => name + literal);
    const close = rest.indexOf("]", open);
    if (close < 0) throw malformed(element, "unbalanced brackets");
    const numbers = expandRanges(rest.slice(open + 1, close), element);
    if (names.length * numbers.length > MAX_HOSTS) throw malformed(element, `more than ${MAX_HOSTS} names`);
    names = names.flatMap((name) => numbers.map((number) => name + literal + number));
    rest = rest.slice(close + 1);
  }
  return names;
}

function expandRanges(text: string, element: string): string[] {
  const numbers: string[] = [];
  for (const range of text.split(",")) {
    const match = /^(\d{1,15})(?:-(\d{1,15}))?$/.exec(range);
    const low = match?.[1];
    if (low === undefined) throw malformed(element, `"${range}" is no range`);
    const first = Number(low);
    const last = Number(match?.[2] ?? low);
    if (last < first) throw malformed(element, `"${range}" goes down`);
    if (numbers.length + last - first >= MAX_HOSTS) throw malformed(element, `more than ${MAX_HOSTS} names`);
    for (let n = first; n <= last; n++) numbers.push(String(n).padStart(low.length, "0"));
  }
  return numbers;
}

function malformed(text: string, why: string) {
  return slurmError("INVALID_NODE_NAME", { hint: `cannot read host list "${text.slice(0, 80)}": ${why}` });
}

/**
 * Folds names that stand side by side and differ only in their last number, in list order: duplicates and disorder
 * stay visible (`n3,n1,n2,n1` → `n[3,1-2,1]`). `expandHostlist` gives the same names back.
 */
export function compressHostlist(names: readonly string[]): string {
  const parts: string[] = [];
  let group: Group | undefined;
  for (const name of names) {
    const host = splitName(name);
    if (group !== undefined && host !== undefined && joins(group, host)) continue;
    if (group !== undefined) parts.push(textOf(group));
    group = undefined;
    if (host === undefined) parts.push(name);
    else group = { prefix: host.prefix, ranges: [{ first: host, last: host }], ...widthsOf(host) };
  }
  if (group !== undefined) parts.push(textOf(group));
  return parts.join(",");
}

interface Host {
  readonly prefix: string;
  readonly digits: string;
  readonly value: number;
}

/** Names that share one bracket. Each width in minWidth…maxWidth, as padding, yields the digits of all of them. */
interface Group {
  readonly prefix: string;
  readonly ranges: { readonly first: Host; last: Host }[];
  minWidth: number;
  maxWidth: number;
}

function splitName(name: string): Host | undefined {
  let start = name.length;
  while (start > 0 && isDigit(name.charCodeAt(start - 1))) start--;
  const digits = name.slice(start);
  if (digits === "" || digits.length > MAX_DIGITS || start === 0) return undefined;
  return { prefix: name.slice(0, start), digits, value: Number(digits) };
}

function widthsOf(host: Host): { minWidth: number; maxWidth: number } {
  const isPadded = host.digits.length > 1 && host.digits.startsWith("0");
  return { minWidth: isPadded ? host.digits.length : 1, maxWidth: host.digits.length };
}

/** Adds the host to the group, when it belongs there. */
function joins(group: Group, host: Host): boolean {
  if (host.prefix !== group.prefix) return false;
  const widths = widthsOf(host);
  const minWidth = Math.max(group.minWidth, widths.minWidth);
  const maxWidth = Math.min(group.maxWidth, widths.maxWidth);
  if (minWidth > maxWidth) return false;
  group.minWidth = minWidth;
  group.maxWidth = maxWidth;
  const range = group.ranges.at(-1);
  if (range !== undefined && host.value === range.last.value + 1) range.last = host;
  else group.ranges.push({ first: host, last: host });
  return true;
}

function textOf(group: Group): string {
  const ranges = group.ranges.map(({ first, last }) => (first === last ? first.digits : `${first.digits}-${last.digits}`));
  const only = group.ranges.length === 1 ? group.ranges[0] : undefined;
  return only !== undefined && only.first === only.last ? group.prefix + only.first.digits : `${group.prefix}[${ranges.join(",")}]`;
}

/** A file of host names: any number per line, `#` starts a comment (commands.md §1.4.5). */
export function parseHostFile(text: string): string[] {
  return text.split("\n").flatMap((line) => expandHostlist(line.replace(/#.*/, "").trim()));
}
