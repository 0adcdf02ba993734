/**
 * The file of `srun --multi-prog`: which task runs what (srun(1), MULTIPLE PROGRAM CONFIGURATION; commands.md §2.8).
 *
 *   RANKS PROGRAM [ARGUMENTS]      RANKS: 0  1-3  0,4-5  *      %t is the task's rank, %o its place in RANKS
 *
 * Words are cut as Slurm's step daemon cuts them: `\` keeps the next character, single quotes keep all between them,
 * double quotes are letters, `%` with any other letter vanishes, a line that ends in `\` goes on in the next one.
 * Pure: text in, one command for each task out.
 */
import { parseDigits } from "./digits.ts";
import { UsageError } from "./usage-error.ts";

export interface MultiProg {
  readonly tasks: number;
  /** By rank. Empty: the line is broken, and its tasks cannot be started. */
  readonly commands: readonly (readonly string[])[];
}

export interface MultiProgOptions {
  /** As the user named it, for messages. */
  readonly file: string;
  /** Null: as many as the file has ranks for. */
  readonly tasks: number | null;
  /** Arguments after the file's name belong to every program. */
  readonly extraArgs: readonly string[];
  readonly errorExit: number;
}

interface Line {
  readonly number: number;
  readonly ranks: string;
  readonly program: string;
}

interface Slot {
  readonly program: string;
  readonly offset: number;
}

/** Slurm's own bound on ranks, so that a typing error does not make a list of millions. */
const MAX_TASKS = 512 * 1024;

/** @throws UsageError in Slurm's words */
export function parseMultiProg(text: string, options: MultiProgOptions): MultiProg {
  const fail = (...lines: string[]) => new UsageError(lines, options.errorExit);
  const slots = new Map<number, Slot>();
  let others: string | undefined;
  for (const line of linesOf(text)) {
    const failLine = (...why: string[]) =>
      fail(
        ...why.map((words) => `srun: error: ${words}`),
        `srun: error: Line ${line.number} of configuration file ${options.file} invalid`,
      );
    if (others !== undefined) throw failLine("Task range specification with asterisk must be last");
    if (line.program === "") throw failLine();
    if (line.ranks === "*") {
      others = line.program;
      continue;
    }
    for (const [offset, rank] of ranksOf(line.ranks, failLine).entries()) {
      if (rank >= (options.tasks ?? MAX_TASKS)) throw failLine(`Invalid task id, ${rank} >= ntasks`);
      if (slots.has(rank)) throw failLine(`Duplicate record for task ${rank}`);
      slots.set(rank, { program: line.program, offset });
    }
  }
  const tasks = options.tasks ?? Math.max(0, ...slots.keys()) + 1;
  const commands: (readonly string[])[] = [];
  for (let rank = 0; rank < tasks; rank++) {
    // Slurm counts the offset of a task that is in no range from rank 0.
    const slot = slots.get(rank) ?? (others === undefined ? undefined : { program: others, offset: rank });
    if (slot === undefined) throw fail(`srun: error: Configuration file ${options.file} invalid, no record for task id ${rank}`);
    const words = cutWords(slot.program, { rank, offset: slot.offset });
    commands.push(words === undefined ? [] : [...words, ...options.extraArgs]);
  }
  return { tasks, commands };
}

/** Lines that say something; one that goes on has the number of its last part. */
function* linesOf(text: string): Generator<Line> {
  let kept = "";
  for (const [index, raw] of text.split("\n").entries()) {
    if (kept === "" && /^\s*#/.test(raw)) continue;
    if (raw.endsWith("\\")) {
      kept += `${raw.slice(0, -1)} `;
      continue;
    }
    const line = kept + raw;
    kept = "";
    const match = /^\s*(\S+)\s*(.*)$/s.exec(line);
    if (match !== null) yield { number: index + 1, ranks: match[1] ?? "", program: match[2] ?? "" };
  }
}

function ranksOf(text: string, fail: (why: string) => UsageError): number[] {
  if (!/^[\d,-]+$/.test(text)) {
    throw fail(/^\d/.test(text) ? "Invalid task range specification" : `Invalid task range specification (${text})`);
  }
  return text.split(",").flatMap((part) => {
    const [from = "", to = from, ...more] = part.split("-");
    const first = parseDigits(from, 9);
    const last = parseDigits(to, 9);
    if (first === undefined || last === undefined || more.length > 0) throw fail("Invalid task range specification");
    if (first > last) throw fail(`Invalid task range, ${part}`);
    if (last >= MAX_TASKS) throw fail(`Invalid task id, ${last} >= ntasks`);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

/** Undefined when a quote is not closed. */
function cutWords(text: string, task: { readonly rank: number; readonly offset: number }): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let isQuoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text.charAt(i);
    if (isQuoted) {
      if (char === "'") isQuoted = false;
      else word += char;
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word ??= "";
      if (char === "'") isQuoted = true;
      else if (char === "\\") word += text.charAt(++i);
      else if (char !== "%") word += char;
      else {
        const letter = text.charAt(++i);
        word += letter === "t" ? task.rank : letter === "o" ? task.offset : "";
      }
    }
  }
  if (word !== undefined) words.push(word);
  return isQuoted ? undefined : words;
}
