/**
 * JSON that comes back as it went in. config.json carries 64-bit limits, fields that we do not know, and empty
 * objects; JSON.parse rounds the first and sorts keys that look like numbers. Objects are Maps (so a member named
 * `__proto__` is only a member), and a number that a double cannot hold keeps its text.
 */
export type Json = null | boolean | number | string | ExactNumber | Json[] | JsonObject;
export type JsonObject = Map<string, Json>;

export class ExactNumber {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** Position and reason, for the reader of the file to find. */
export class JsonSyntaxError extends Error {
  readonly line: number;
  constructor(reason: string, text: string, at: number) {
    super(reason);
    let line = 1;
    for (let i = text.indexOf("\n"); i !== -1 && i < at; i = text.indexOf("\n", i + 1)) line++;
    this.line = line;
  }
}

/** Deeper than any config.json; keeps hostile nesting away from the stack. */
const MAX_DEPTH = 100;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const BLANK = /[ \t\r\n]*/y;

/** What JSON.parse does not keep: fractions and exponents as they were written, -0, long numbers, numbers as names. */
const INEXACT = /(?:^|[:[,])\s*-?[0-9]+[.eE]|-0|[0-9]{16}|"[0-9]+"\s*:/;

/** RFC 8259. A member that comes twice keeps its first place and last value. @throws JsonSyntaxError */
export function parseJson(text: string): Json {
  if (!INEXACT.test(text)) {
    try {
      return toJson(JSON.parse(text));
    } catch (error) {
      if (!(error instanceof SyntaxError) && !(error instanceof RangeError)) throw error; // the exact parser knows the line
    }
  }
  return parseExactly(text);
}

function parseExactly(text: string): Json {
  let at = 0;
  const fail = (reason: string): never => {
    throw new JsonSyntaxError(reason, text, at);
  };
  const skipBlank = () => {
    const code = text.charCodeAt(at);
    if (code > 32) return;
    BLANK.lastIndex = at;
    BLANK.test(text);
    at = BLANK.lastIndex;
  };
  const string = (): string => {
    const start = at + 1;
    // Most strings have no escape and no control character: find the end and look inside once.
    const end = text.indexOf('"', start);
    if (end === -1) return fail("a string has no end");
    const plain = text.slice(start, end);
    if (!/[\\\u0000-\u001f]/.test(plain)) {
      at = end + 1;
      return plain;
    }
    STRING.lastIndex = at;
    if (!STRING.test(text)) return fail("a string is not well-formed");
    const raw = text.slice(at, STRING.lastIndex);
    at = STRING.lastIndex;
    return JSON.parse(raw) as string;
  };
  const number = (): Json => {
    NUMBER.lastIndex = at;
    if (!NUMBER.test(text))
      return fail(at >= text.length ? "the text ends too early" : `unexpected character ${JSON.stringify(text.charAt(at))}`);
    const raw = text.slice(at, NUMBER.lastIndex);
    at = NUMBER.lastIndex;
    const value = Number(raw);
    return Number.isSafeInteger(value) && String(value) === raw ? value : new ExactNumber(raw);
  };
  const word = (expected: string, value: Json): Json => {
    if (!text.startsWith(expected, at)) return fail("unexpected word");
    at += expected.length;
    return value;
  };
  const value = (depth: number): Json => {
    if (depth > MAX_DEPTH) return fail(`nested deeper than ${MAX_DEPTH}`);
    skipBlank();
    switch (text.charAt(at)) {
      case "{": {
        const object: JsonObject = new Map();
        at++;
        skipBlank();
        if (text.charAt(at) === "}") {
          at++;
          return object;
        }
        for (;;) {
          skipBlank();
          if (text.charAt(at) !== '"') return fail("a member's name is missing");
          const name = string();
          skipBlank();
          if (text.charAt(at) !== ":") return fail('":" is missing');
          at++;
          object.set(name, value(depth + 1));
          skipBlank();
          const next = text.charAt(at++);
          if (next === "}") return object;
          if (next !== ",") {
            at--;
            return fail('"," or "}" is missing');
          }
        }
      }
      case "[": {
        const list: Json[] = [];
        at++;
        skipBlank();
        if (text.charAt(at) === "]") {
          at++;
          return list;
        }
        for (;;) {
          list.push(value(depth + 1));
          skipBlank();
          const next = text.charAt(at++);
          if (next === "]") return list;
          if (next !== ",") {
            at--;
            return fail('"," or "]" is missing');
          }
        }
      }
      case '"':
        return string();
      case "t":
        return word("true", true);
      case "f":
        return word("false", false);
      case "n":
        return word("null", null);
      default:
        return number();
    }
  };
  const result = value(0);
  skipBlank();
  if (at < text.length) fail("text after the end");
  return result;
}

export function printJson(value: Json, indent = "\n"): string {
  if (value === null || typeof value === "boolean" || typeof value === "number") return String(value);
  if (typeof value === "string") return JSON.stringify(value);
  if (value instanceof ExactNumber) return value.text;
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    return value.length === 0 ? "[]" : `[${inner}${value.map((item) => printJson(item, inner)).join(`,${inner}`)}${indent}]`;
  }
  if (value.size === 0) return "{}";
  const members: string[] = [];
  for (const [name, member] of value) members.push(`${JSON.stringify(name)}: ${printJson(member, inner)}`);
  return `{${inner}${members.join(`,${inner}`)}${indent}}`;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return value instanceof Map;
}

/** The object at `name`; when it is missing or something else, a new empty one put there. */
export function openObject(parent: JsonObject, name: string): JsonObject {
  const found = parent.get(name);
  if (isObject(found)) return found;
  const made: JsonObject = new Map();
  parent.set(name, made);
  return made;
}

/** The list at `name`; when it is missing or something else, a new empty one put there. */
export function openList(parent: JsonObject, name: string): Json[] {
  const found = parent.get(name);
  if (Array.isArray(found)) return found;
  const made: Json[] = [];
  parent.set(name, made);
  return made;
}

/** Plain data → Json. @throws RangeError when nested too deep */
export function toJson(value: unknown, depth = 0): Json {
  if (typeof value !== "object" || value === null) return value as Json;
  if (depth > MAX_DEPTH) throw new RangeError("nested too deep");
  if (Array.isArray(value)) return value.map((item) => toJson(item, depth + 1));
  const object: JsonObject = new Map();
  for (const name of Object.keys(value)) object.set(name, toJson((value as Record<string, unknown>)[name], depth + 1));
  return object;
}
