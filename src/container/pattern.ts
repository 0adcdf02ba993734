/** The % patterns of oci.conf (oci.conf(5) 26.11, "OCI Pattern"; spec: oci-conf §6). */
import { BerthError } from "#job/errors.ts";

const FIELDS = {
  "@": "command",
  b: "bundle",
  e: "envFile",
  j: "jobId",
  m: "spoolDir",
  n: "nodeName",
  p: "pid",
  r: "rootfs",
  s: "stepId",
  t: "taskId",
  u: "userName",
  U: "userId",
  Z: "workDir",
} as const;
export type Field = (typeof FIELDS)[keyof typeof FIELDS];
export type Pattern = readonly (string | { readonly field: Field })[];
export type PatternValues = Readonly<Record<Field, string>>;

/**
 * Splits one value of oci.conf into literal text and fields.
 * Slurm fails the task on an unknown letter; on purpose we refuse it earlier, when the file is read.
 * @param where for the message only; `line` counts from 1
 * @throws BerthError OCI_CONF_PATTERN
 */
export function parsePattern(raw: string, where: { readonly file: string; readonly line: number }): Pattern {
  const parts: Pattern[number][] = [];
  let text = "";
  for (let i = 0; i < raw.length; i++) {
    const char = raw.charAt(i);
    if (char !== "%") {
      text += char;
      continue;
    }
    const letter = raw.charAt(++i);
    if (letter === "%") {
      text += "%";
      continue;
    }
    if (!isFieldLetter(letter)) {
      const reason = letter === "" ? 'single "%" at the end' : `unknown replacement ${JSON.stringify(`%${letter}`)}`;
      throw new BerthError("OCI_CONF_PATTERN", `Cannot read pattern at ${where.file}:${where.line}: ${reason}`, {
        hint: `write "%%" for a percent sign, or one of %${Object.keys(FIELDS).join(" %")}`,
      });
    }
    if (text !== "") {
      parts.push(text);
      text = "";
    }
    parts.push({ field: FIELDS[letter] });
  }
  if (text !== "") parts.push(text);
  return parts;
}

function isFieldLetter(letter: string): letter is keyof typeof FIELDS {
  return Object.hasOwn(FIELDS, letter);
}

/** Plain text replacement: nothing is quoted here, `values.command` comes quoted (quoteCommand). */
export function expandPattern(pattern: Pattern, values: PatternValues): string {
  let text = "";
  for (const part of pattern) text += typeof part === "string" ? part : values[part.field];
  return text;
}

export function usesField(pattern: Pattern, field: Field): boolean {
  return pattern.some((part) => typeof part !== "string" && part.field === field);
}

/**
 * What `%@` becomes: each argument in single quotes for sh(1), separated by one blank. Slurm doubles the embedded
 * quote, which no shell can read (oci-conf §6.1); this is what its manual promises.
 */
export function quoteCommand(args: readonly string[]): string {
  return args.map((arg) => `'${arg.replaceAll("'", `'"'"'`)}'`).join(" ");
}

/** Stand-ins for values that do not exist outside a task (oci-conf §6). */
export const NO_TASK = {
  command: '"/bin/false"',
  envFile: "(null)/environment",
  pid: "4294967295",
  taskId: "-1",
  workDir: "(null)",
} as const;

/** Builtins and keywords of sh(1), which exec cannot replace, or which matter to the shell that goes on. */
const NO_PROGRAMS = new Set([
  "alias",
  "bg",
  "break",
  "case",
  "cd",
  "command",
  "continue",
  "echo",
  "eval",
  "exec",
  "exit",
  "export",
  "false",
  "fg",
  "for",
  "getopts",
  "hash",
  "if",
  "jobs",
  "kill",
  "local",
  "printf",
  "pwd",
  "read",
  "readonly",
  "return",
  "set",
  "shift",
  "test",
  "time",
  "times",
  "trap",
  "true",
  "type",
  "ulimit",
  "umask",
  "unalias",
  "unset",
  "until",
  "wait",
  "while",
]);

/**
 * The same command with `exec` in front when it is one simple command. The runtime is the task's process then, as it is
 * with a shell that does this by itself (bash): %p names it, and a signal reaches it instead of ending a shell around
 * it. Left alone in every doubtful case.
 */
export function execSimple(command: string): string {
  const bare = command.replace(/'[^']*'|"'"/g, "q").replace(/\$\([\w ]+\)|\$\w+/g, "v");
  const [, word] = /^\s*([\w./+-]+)(?:\s|$)/.exec(bare) ?? [];
  if (
    word === undefined ||
    !command.trimStart().startsWith(word) ||
    word === "." ||
    NO_PROGRAMS.has(word) ||
    /[^\w\s./+:=@%,^-]|\n/.test(bare)
  )
    return command;
  return `exec ${command.trimStart()}`;
}
