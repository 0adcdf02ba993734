/**
 * POSIX extended regular expressions, as EnvExclude and RunTimeEnvExclude have them, made into RegExp.
 *
 * Known differences from regcomp(3) of glibc: ranges and classes go by code point, not by locale; equivalence
 * classes and collating elements hold one character; which of several matches is found may differ, which does not
 * matter here because only "does it match" is asked. GNU's \w \W \s \S \b \B \< \> \` \' and back-references work.
 */
const CLASSES: Readonly<Record<string, string>> = {
  alnum: "0-9A-Za-z",
  alpha: "A-Za-z",
  blank: " \\t",
  cntrl: "\\u0000-\\u001f\\u007f",
  digit: "0-9",
  graph: "!-~",
  lower: "a-z",
  print: " -~",
  punct: "!-\\/:-@\\[-`\\{-~",
  space: " \\t\\n\\v\\f\\r",
  upper: "A-Z",
  xdigit: "0-9A-Fa-f",
};
const GNU: Readonly<Record<string, string>> = {
  w: "[0-9A-Za-z_]",
  W: "[^0-9A-Za-z_]",
  s: "[ \\t\\n\\v\\f\\r]",
  S: "[^ \\t\\n\\v\\f\\r]",
  b: "\\b",
  B: "\\B",
  "<": "\\b(?=[0-9A-Za-z_])",
  ">": "\\b(?<=[0-9A-Za-z_])",
  "`": "^",
  "'": "$",
};
/** RE_DUP_MAX of Linux. */
const MAX_REPEAT = 32767;
const MAX_LENGTH = 4096;
const MAX_DEPTH = 100;

/** @throws SyntaxError with regcomp's kind of reason */
export function compileExtendedRegex(source: string): RegExp {
  if (source.length > MAX_LENGTH) throw new SyntaxError("regular expression too big");
  let out = "";
  /** Where the last atom starts in `out`; -1 when there is nothing to repeat. */
  let atom = -1;
  let groups = 0;
  const open: { at: number; number: number }[] = [];
  const closed = new Set<number>();
  const add = (text: string) => {
    atom = out.length;
    out += text;
  };
  const repeat = (suffix: string) => {
    if (atom === -1) throw new SyntaxError("invalid preceding regular expression");
    // Wrapped every time, because JavaScript reads the second of two repetitions as "lazy".
    out = `${out.slice(0, atom)}(?:${out.slice(atom)}${suffix})`;
  };
  for (let i = 0; i < source.length; i++) {
    const char = source.charAt(i);
    switch (char) {
      case "\\": {
        const next = source.charAt(++i);
        if (next === "") throw new SyntaxError("trailing backslash");
        if (/[1-9]/.test(next)) {
          if (!closed.has(Number(next))) throw new SyntaxError("invalid back reference");
          add(`(?:\\${next})`);
        } else if (Object.hasOwn(GNU, next)) add(`(?:${GNU[next]})`);
        else {
          const whole = String.fromCodePoint(source.codePointAt(i) as number);
          i += whole.length - 1;
          add(literal(whole));
        }
        break;
      }
      case "[": {
        const bracket = readBracket(source, i);
        add(bracket.text);
        i = bracket.end;
        break;
      }
      case "(":
        if (open.length >= MAX_DEPTH) throw new SyntaxError("regular expression too deep");
        open.push({ at: out.length, number: ++groups });
        out += "(";
        atom = -1;
        break;
      case ")": {
        const group = open.pop();
        if (group === undefined) {
          add("\\)");
          break;
        } // unmatched: an ordinary character, as in glibc
        out += ")";
        atom = group.at;
        closed.add(group.number);
        break;
      }
      case "|":
        out += "|";
        atom = -1;
        break;
      case "^":
      case "$":
        out += `(?:${char})`;
        atom = -1;
        break;
      case ".":
        add(".");
        break;
      case "*":
      case "+":
      case "?":
        repeat(char);
        break;
      case "{": {
        const interval = /^\{([0-9]*)(,?)([0-9]*)\}/.exec(source.slice(i, i + 16));
        if (interval === null) throw new SyntaxError("invalid content of \\{\\}");
        const [whole, from = "", comma = "", to = ""] = interval;
        if (from === "" && comma === "") throw new SyntaxError("invalid content of \\{\\}");
        const min = Number(from === "" ? "0" : from);
        if (min > MAX_REPEAT || Number(to) > MAX_REPEAT || (to !== "" && Number(to) < min))
          throw new SyntaxError("invalid content of \\{\\}");
        repeat(comma === "" ? `{${min}}` : `{${min},${to}}`);
        i += whole.length - 1;
        break;
      }
      default: {
        const whole = String.fromCodePoint(source.codePointAt(i) as number);
        i += whole.length - 1;
        add(literal(whole));
      }
    }
  }
  if (open.length > 0) throw new SyntaxError("unmatched ( or \\(");
  return new RegExp(out, "su");
}

function literal(char: string): string {
  return /[\^$\\.*+?()[\]{}|/]/.test(char) ? `\\${char}` : char;
}

/** `[...]` starting at `start`; `end` is the index of its closing bracket. */
function readBracket(source: string, start: number): { readonly text: string; readonly end: number } {
  let i = start + 1;
  let out = "[";
  if (source.charAt(i) === "^") {
    out += "^";
    i++;
  }
  let isFirst = true;
  const unmatched = () => new SyntaxError("unmatched [, [^, [:, [., or [=");
  /** One character or collating element; undefined after a class, which has been written out. */
  const element = (): string | undefined => {
    const kind = source.charAt(i) === "[" ? source.charAt(i + 1) : "";
    if (kind !== ":" && kind !== "." && kind !== "=") {
      const char = String.fromCodePoint(source.codePointAt(i) as number);
      i += char.length;
      return char;
    }
    const close = source.indexOf(`${kind}]`, i + 2);
    if (close === -1) throw unmatched();
    const name = source.slice(i + 2, close);
    i = close + 2;
    if (kind === ":") {
      if (!Object.hasOwn(CLASSES, name)) throw new SyntaxError("invalid character class name");
      out += CLASSES[name];
      return undefined;
    }
    if ([...name].length !== 1) throw new SyntaxError("invalid collation character");
    return name;
  };
  for (;;) {
    if (i >= source.length) throw unmatched();
    if (source.charAt(i) === "]" && !isFirst) return { text: `${out}]`, end: i };
    isFirst = false;
    const from = element();
    if (source.charAt(i) === "-" && i + 1 < source.length && source.charAt(i + 1) !== "]") {
      if (from === undefined) throw new SyntaxError("invalid range end");
      i++;
      const to = element();
      if (to === undefined || (to.codePointAt(0) as number) < (from.codePointAt(0) as number)) throw new SyntaxError("invalid range end");
      out += `${escapeInBracket(from)}-${escapeInBracket(to)}`;
    } else if (from !== undefined) out += escapeInBracket(from);
  }
}

function escapeInBracket(char: string): string {
  return /[\\\]^[\-/]/.test(char) ? `\\${char}` : char;
}
