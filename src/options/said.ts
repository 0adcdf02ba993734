/** What the query commands share: options in any order among operands, lists, states, ids (commands.md §1.2). */
import type { JobTarget } from "#engine/engine.ts";
import { COMPACT_STATES, type AnyState } from "#job/state.ts";
import { getopt, type GivenOption, type OptionRow } from "./getopt.ts";
import { parseJobTargets } from "./job-target.ts";
import { refusal, UsageError } from "./usage-error.ts";

export interface QueryRow extends OptionRow {
  readonly help: string;
}

export type QueryAction = "run" | "help" | "usage" | "version";

/** The rows every query command ends with. */
export const INFORMATION_ROWS: readonly QueryRow[] = [
  { name: "help", isAction: true, help: "print this text and exit" },
  { name: "usage", isAction: true, help: "print a short summary and exit" },
  { name: "verbose", short: "v", help: "say more; may be repeated" },
  { name: "version", short: "V", isAction: true, help: "print the version and exit" },
];

/** The same for commands that have nothing more to say. */
export const QUIET_INFORMATION_ROWS: readonly QueryRow[] = INFORMATION_ROWS.map((row) =>
  row.name === "verbose" ? { ...row, idle: "there is nothing more to say" } : row,
);

export const PATTERN_IDLE = "file names are shown as Slurm 22.05 shows them";

/** An option of the query commands cannot be read: exit status 1, and all but sacct and sstat name their help. */
const EXIT_QUERY_USAGE = 1;

export class Said {
  readonly action: QueryAction;
  readonly operands: readonly string[];
  readonly #options: readonly GivenOption<QueryRow>[];

  /** @throws UsageError, unless help, usage or version was asked for before the error */
  constructor(command: string, rows: readonly QueryRow[], argv: readonly string[]) {
    const words = getopt(rows, argv, { command, order: "permute" });
    if (words.error !== null) {
      const help = `Try "${command} --help" for more information`;
      throw new UsageError(command === "sacct" || command === "sstat" ? [words.error] : [words.error, help], EXIT_QUERY_USAGE);
    }
    this.#options = words.options;
    this.operands = words.rest;
    const last = words.options.at(-1)?.row;
    this.action = last?.isAction === true ? (last.name as QueryAction) : "run";
    const refused = this.action === "run" ? words.options.find(({ row }) => row.refused !== undefined) : undefined;
    if (refused !== undefined) throw refusal(command, refused.row, EXIT_QUERY_USAGE);
  }

  has(name: string): boolean {
    return this.count(name) > 0;
  }

  count(name: string): number {
    return this.#options.filter(({ row }) => row.name === name).length;
  }

  /** The last value; "" when the option came without one; null when it was not said. */
  value(name: string): string | null {
    const option = this.#options.findLast(({ row }) => row.name === name);
    return option === undefined ? null : (option.value ?? "");
  }

  /** All values in order, for options that add up. */
  values(name: string): string[] {
    return this.#options.filter(({ row }) => row.name === name).map(({ value }) => value ?? "");
  }

  /** The one of these options that was said last. */
  lastOf(...names: readonly string[]): string | null {
    return this.#options.findLast(({ row }) => names.includes(row.name))?.row.name ?? null;
  }
}

/** Parts of a comma list; null stays null. */
export function listOf(text: string | null | undefined): string[] | null {
  return text === null || text === undefined ? null : text.split(",").filter((part) => part !== "");
}

/** State names, long or compact in any case; the first unknown word comes back as `bad`. */
export function parseStates(text: string): { readonly states: AnyState[] | "all" } | { readonly bad: string } {
  const states: AnyState[] = [];
  for (const word of text.split(",").filter((part) => part !== "")) {
    const upper = word.toUpperCase();
    if (upper === "ALL") return { states: "all" };
    const state = (Object.keys(COMPACT_STATES) as AnyState[]).find((name) => name === upper || COMPACT_STATES[name] === upper);
    if (state === undefined) return { bad: word };
    states.push(state);
  }
  return { states };
}

/** @throws UsageError with the line that `complain` makes of the first bad word */
export function targetsOf(text: string, complain: (bad: string) => string): readonly JobTarget[] {
  const parsed = parseJobTargets(text);
  if ("bad" in parsed) throw new UsageError([complain(parsed.bad)], EXIT_QUERY_USAGE);
  return parsed.targets;
}

/** "" and any text set a flag's variable in the query commands. */
export function isSet(value: string | undefined): boolean {
  return value !== undefined;
}

export interface MachineOutput {
  /** `--json[=VERSION]`, `--yaml[=VERSION]`; the one that was said last. */
  readonly kind: "json" | "yaml";
  readonly version: string | null;
}

export const MACHINE_ROWS: readonly QueryRow[] = [
  { name: "json", mayTake: "VERSION", help: "print JSON" },
  { name: "yaml", mayTake: "VERSION", help: "print YAML" },
];

export function machineOutputOf(said: Said): MachineOutput | null {
  const kind = said.lastOf("json", "yaml");
  if (kind !== "json" && kind !== "yaml") return null;
  const version = said.value(kind);
  return { kind, version: version === "" ? null : version };
}

/** Null is the padded table; `|` closes each column (-p) or only separates them (-P). */
export type Parsable = "closing" | "separating" | null;

export function parsableOf(said: Said): Parsable {
  const last = said.lastOf("parsable", "parsable2");
  return last === null ? null : last === "parsable" ? "closing" : "separating";
}

/** `-o` letters or `-O` fields; whichever was said last. */
export interface FormatText {
  readonly kind: "letters" | "fields";
  readonly text: string;
}

export function formatOf(said: Said, letters: string | undefined, fields: string | undefined): FormatText | null {
  const name = said.lastOf("format", "Format");
  if (name !== null) return { kind: name === "format" ? "letters" : "fields", text: said.value(name) ?? "" };
  if (letters !== undefined && letters !== "") return { kind: "letters", text: letters };
  return fields !== undefined && fields !== "" ? { kind: "fields", text: fields } : null;
}

/** `-i SECONDS`. @throws UsageError */
export function iterateOf(command: string, said: Said): number | null {
  const text = said.value("iterate");
  if (text === null) return null;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new UsageError([`${command}: error: --iterate=${text} is not valid`], EXIT_QUERY_USAGE);
}
