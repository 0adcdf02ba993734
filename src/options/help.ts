/** Help and usage of every command; loads all tables, so commands import it only when asked for help. */
import { COMMANDS, type HelpCommand, type HelpRow } from "./command-tables.ts";
import { GROUPS } from "./job-option-row.ts";
import { SCONTROL_VERBS, SHOW_ENTITIES } from "./scontrol-words.ts";

/** Where the descriptions begin; the line ends before column 80. */
const HELP_COLUMN = 35;

/** All options, one line each, in groups where the command has many. Ends in a line end. */
export function helpText(command: HelpCommand): string {
  const { rows, about } = COMMANDS[command];
  const lines = [usageLine(command), "", about];
  const groups = new Map<string, HelpRow[]>();
  for (const row of rows as readonly HelpRow[]) {
    const group = row.group ?? (row.refused !== undefined ? "Refused" : row.idle !== undefined ? "Accepted without effect" : "Options");
    groups.set(group, [...(groups.get(group) ?? []), row]);
  }
  const order = groups.has("Options") ? ["Options", "Accepted without effect", "Refused"] : GROUPS;
  for (const group of order) {
    const members = groups.get(group) ?? [];
    if (members.length > 0) lines.push("", `${group}:`, ...members.toSorted(byName).map(lineOf));
  }
  if (command === "scontrol") lines.push("", ...scontrolHelp());
  return `${lines.join("\n")}\n`;
}

function scontrolHelp(): string[] {
  const line = ({ name, operands, help }: (typeof SCONTROL_VERBS)[number]) => `  ${`${name} ${operands}`.padEnd(HELP_COLUMN - 3)} ${help}`;
  return [
    "Commands:",
    ...SCONTROL_VERBS.filter(({ refused }) => refused === undefined).map(line),
    "",
    "Refused here:",
    ...wrapWords(SCONTROL_VERBS.filter(({ refused }) => refused !== undefined).map(({ name }) => name)),
    "",
    "Entities of show:",
    ...wrapWords(SHOW_ENTITIES),
  ];
}

const WIDTH = 79;

/** Words on lines that begin with `indent` spaces. */
function wrapWords(words: readonly string[], { indent = 2, first = " ".repeat(indent) } = {}): string[] {
  const lines = [first];
  for (const word of words) {
    const last = lines.at(-1) ?? "";
    const isEmpty = last.trim() === "";
    if (!isEmpty && last.length + 1 + word.length > WIDTH) lines.push(" ".repeat(indent) + word);
    else lines[lines.length - 1] = isEmpty || last.endsWith(" ") ? last + word : `${last} ${word}`;
  }
  return lines;
}

/** Every option in brackets, short where it has a letter, as Slurm's --usage has them. Ends in a line end. */
export function usageText(command: HelpCommand): string {
  const { rows, operands } = COMMANDS[command];
  const words = (rows as readonly HelpRow[]).filter(({ refused }) => refused === undefined).map(usageOf);
  const first = `Usage: ${command} `;
  return `${wrapWords([...words, ...(operands === "" ? [] : [operands])], { indent: first.length, first }).join("\n")}\n`;
}

function usageOf({ name, short, takes, mayTake }: HelpRow): string {
  if (takes !== undefined) return short === undefined ? `[--${name}=${takes}]` : `[-${short} ${takes}]`;
  if (mayTake !== undefined) return short === undefined ? `[--${name}[=${mayTake}]]` : `[-${short}[${mayTake}]]`;
  return short === undefined ? `[--${name}]` : `[-${short}]`;
}

function usageLine(command: HelpCommand): string {
  return `Usage: ${command} [options] ${COMMANDS[command].operands}`.trimEnd();
}

function byName(a: HelpRow, b: HelpRow): number {
  return a.name.localeCompare(b.name, "en");
}

function lineOf({ name, short, takes, mayTake, help }: HelpRow): string {
  const value = takes !== undefined ? `=${takes}` : mayTake !== undefined ? `[=${mayTake}]` : "";
  const left = `  ${short === undefined ? "   " : `-${short},`} --${name}${value}`;
  return `${left.padEnd(HELP_COLUMN - 1)} ${help}`;
}
