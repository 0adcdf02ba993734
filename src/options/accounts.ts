/** Command lines of sacctmgr and sshare, as far as tools that look for an account use them (commands.md §13). */
import { parsableOf, QUIET_INFORMATION_ROWS, Said, type Parsable, type QueryAction, type QueryRow } from "./said.ts";
import { UsageError } from "./usage-error.ts";

/** Why what chooses among accounts changes nothing. */
const NONE_KEPT = "no accounts are kept here";
const NOTHING_CHANGES = "nothing can be changed here";

const TABLE_ROWS: readonly QueryRow[] = [
  { name: "noheader", short: "n", help: "no lines of titles" },
  { name: "parsable", short: "p", help: "columns with | behind each" },
  { name: "parsable2", short: "P", help: "columns with | between them" },
];

export const SACCTMGR_ROWS: readonly QueryRow[] = [
  { name: "associations", short: "s", help: "accounts and users with their associations" },
  { name: "immediate", short: "i", idle: NOTHING_CHANGES, help: "do not ask" },
  ...TABLE_ROWS,
  { name: "oneliner", short: "o", idle: "each entity has one line", help: "one line for each entity" },
  { name: "quiet", short: "Q", idle: "there is nothing less to say", help: "say less" },
  { name: "readonly", short: "r", idle: NOTHING_CHANGES, help: "change nothing" },
  ...QUIET_INFORMATION_ROWS.map((row) => (row.name === "help" ? { ...row, short: "h" } : row)),
];

export const SSHARE_ROWS: readonly QueryRow[] = [
  { name: "accounts", short: "A", takes: "LIST", idle: NONE_KEPT, help: "these accounts" },
  { name: "all", short: "a", idle: NONE_KEPT, help: "all users" },
  { name: "clusters", short: "M", aliases: ["cluster"], takes: "NAMES", idle: NONE_KEPT, help: "clusters to ask" },
  { name: "format", short: "o", takes: "LIST", help: "columns, NAME[%[-]WIDTH],…" },
  { name: "helpformat", short: "e", help: "list the columns" },
  { name: "long", short: "l", help: "more columns" },
  { name: "partition", short: "m", idle: NONE_KEPT, help: "the partitions of associations" },
  ...TABLE_ROWS,
  { name: "users", short: "u", takes: "LIST", idle: NONE_KEPT, help: "these users" },
  { name: "Users", short: "U", idle: NONE_KEPT, help: "users only" },
  ...QUIET_INFORMATION_ROWS,
];

export const ENTITIES = [
  "account",
  "association",
  "cluster",
  "configuration",
  "event",
  "federation",
  "problem",
  "qos",
  "resource",
  "reservation",
  "runawayjobs",
  "stats",
  "transaction",
  "tres",
  "user",
  "wckey",
] as const;
export type Entity = (typeof ENTITIES)[number];

interface TableLine {
  readonly action: QueryAction;
  readonly format: string | null;
  readonly noHeader: boolean;
  readonly parsable: Parsable;
}

export interface SacctmgrLine extends TableLine {
  /** Null when something other than a list was asked for. */
  readonly entity: Entity | null;
  readonly verb: string;
  readonly withAssociations: boolean;
}

export interface SshareLine extends TableLine {
  readonly isLong: boolean;
  readonly helpFormat: boolean;
}

/** @throws UsageError */
export function parseSacctmgr(argv: readonly string[]): SacctmgrLine {
  const said = new Said("sacctmgr", SACCTMGR_ROWS, argv);
  const [verb = "", noun = "", ...conditions] = said.operands;
  const isList = verb.length >= 2 && ["list", "show"].some((word) => word.startsWith(verb.toLowerCase()));
  const formats = conditions.map((word) => /^format\s*=\s*(.*)$/is.exec(word)?.[1]).filter((text) => text !== undefined);
  return {
    action: said.action,
    verb,
    entity: isList && said.action === "run" ? entityOf(noun) : null,
    withAssociations: said.has("associations") || conditions.some((word) => /^withassoc/i.test(word)),
    format: formats.length === 0 ? null : formats.join(","),
    noHeader: said.has("noheader"),
    parsable: parsableOf(said),
  };
}

/** A name, its plural, or a beginning of it. */
function entityOf(word: string): Entity {
  const lower = word.toLowerCase();
  const found = lower === "" ? undefined : ENTITIES.find((name) => name.startsWith(lower) || `${name}s` === lower);
  if (found !== undefined) return found;
  throw new UsageError(["No valid entity in list command", `hint: name one of ${ENTITIES.join(", ")}`], 1);
}

/** @throws UsageError */
export function parseSshare(argv: readonly string[]): SshareLine {
  const said = new Said("sshare", SSHARE_ROWS, argv);
  return {
    action: said.action,
    format: said.has("format") ? said.values("format").join(",") : null,
    noHeader: said.has("noheader"),
    parsable: parsableOf(said),
    isLong: said.has("long"),
    helpFormat: said.has("helpformat"),
  };
}
