/**
 * What may stand at the end of a command line, out of the option tables; pure. Words that only the engine knows (jobs,
 * partitions, …) come back as a kind, for the caller to ask.
 */
import { ENTITIES } from "./accounts.ts";
import { COMMANDS, type HelpCommand, type HelpRow } from "./command-tables.ts";
import { findLong, indexOf, isFlag, type Index } from "./getopt.ts";
import { JOB_UPDATE_KEYS, SCONTROL_VERBS, SHOW_ENTITIES } from "./scontrol-words.ts";

export interface Candidate {
  readonly word: string;
  readonly help: string;
}

export type ValueKind =
  | "files"
  | "dirs"
  /** A program, or its arguments. */
  | "commands"
  | "partitions"
  | "nodes"
  | "jobs"
  | "steps"
  | "users"
  | "fields";

export interface Completion {
  readonly candidates: readonly Candidate[];
  readonly kind: ValueKind | null;
  /** Of the word being typed: what stands before the part that is completed (`--partition=`, `a,b,`). */
  readonly prefix: string;
}

const NOTHING: Completion = { candidates: [], kind: null, prefix: "" };

/** What an option's value is, by its long name. */
const KINDS: Readonly<Record<string, ValueKind>> = {
  bbf: "files",
  bcast: "files",
  chdir: "dirs",
  container: "dirs",
  epilog: "files",
  error: "files",
  exclude: "nodes",
  "export-file": "files",
  input: "files",
  jobid: "jobs",
  jobs: "jobs",
  nodefile: "files",
  nodelist: "nodes",
  nodes: "nodes",
  output: "files",
  partition: "partitions",
  prolog: "files",
  steps: "steps",
  "task-epilog": "files",
  "task-prolog": "files",
  uid: "users",
  user: "users",
};

const JOB_STATES = "PENDING RUNNING SUSPENDED COMPLETED CANCELLED FAILED TIMEOUT NODE_FAIL PREEMPTED BOOT_FAIL DEADLINE OUT_OF_MEMORY";
const SIGNALS = "HUP INT QUIT ABRT KILL ALRM TERM USR1 USR2 URG CONT STOP TSTP TTIN TTOU";

/** Values that are words of their own. */
const WORDS: Readonly<Record<string, string>> = {
  dependency: "after: afterany: aftercorr: afternotok: afterok: singleton",
  distribution: "block cyclic arbitrary plane=",
  export: "ALL NONE NIL",
  flags: "SchedSubmit SchedMain SchedBackfill StartReceived",
  "kill-on-invalid-dep": "yes no",
  "mail-type": "NONE BEGIN END FAIL REQUEUE ALL INVALID_DEPEND STAGE_OUT TIME_LIMIT TIME_LIMIT_90 TIME_LIMIT_80 TIME_LIMIT_50 ARRAY_TASKS",
  mpi: "list none pmi2 pmix openmpi",
  "open-mode": "append truncate",
  signal: SIGNALS,
  state: JOB_STATES,
  units: "K M G T",
};
const NODE_STATES =
  "alloc comp down drain drained draining fail failing future idle maint mixed planned power_down power_up reserved unknown";

/** @param words what stands before `current`, without the command's own name */
export function complete(command: HelpCommand, words: readonly string[], current: string): Completion {
  const rows: readonly HelpRow[] = COMMANDS[command].rows;
  const place = placeOf(indexOf(rows), words, { stops: command === "srun" || command === "sbatch" || command === "salloc" });
  if (place.kind === "value") return value(command, place.row, current, "");
  if (place.kind === "operand" && !(current.startsWith("-") && place.mayBeOption)) return operand(command, place.before, current);
  return option(command, rows, current);
}

type Place =
  | { readonly kind: "value"; readonly row: HelpRow }
  | { readonly kind: "operand"; readonly before: readonly string[]; readonly mayBeOption: boolean };

/** Where the words before the cursor lead. */
function placeOf(index: Index<HelpRow>, words: readonly string[], { stops }: { readonly stops: boolean }): Place {
  const before: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    if (word === "--") return { kind: "operand", before: [...before, ...words.slice(i + 1)], mayBeOption: false };
    if (!word.startsWith("-") || word === "-") {
      if (stops) return { kind: "operand", before: words.slice(i), mayBeOption: false };
      before.push(word);
      continue;
    }
    const row = valueBehind(index, word);
    if (row === undefined) continue;
    if (i === words.length - 1) return { kind: "value", row };
    i++;
  }
  return { kind: "operand", before, mayBeOption: true };
}

/** The option of this word that takes the next one. */
function valueBehind(index: Index<HelpRow>, word: string): HelpRow | undefined {
  if (word.startsWith("--")) {
    if (word.includes("=")) return undefined;
    const [match, ...more] = findLong(index, word.slice(2));
    return match !== undefined && more.length === 0 && match.row.takes !== undefined ? match.row : undefined;
  }
  for (let i = 1; i < word.length; i++) {
    const row = index.byLetter.get(word.charAt(i));
    if (row === undefined || isFlag(row)) continue;
    // squeue's -j and -s take the next word too, though getopt does not know.
    const isOwn = row.takes !== undefined || row.name === "jobs" || row.name === "steps";
    return i === word.length - 1 && isOwn ? row : undefined;
  }
  return undefined;
}

function option(command: HelpCommand, rows: readonly HelpRow[], current: string): Completion {
  const equals = current.indexOf("=");
  if (current.startsWith("--") && equals > 0) {
    const [match] = findLong(indexOf(rows), current.slice(2, equals));
    return match === undefined ? NOTHING : value(command, match.row, current.slice(equals + 1), current.slice(0, equals + 1));
  }
  const candidates: Candidate[] = [];
  for (const row of rows) {
    if (row.refused !== undefined) continue;
    if (current === "-" && row.short !== undefined) candidates.push({ word: `-${row.short}`, help: row.help });
    const long = `--${row.name}${row.takes === undefined ? "" : "="}`;
    if (long.startsWith(current)) candidates.push({ word: long, help: row.help });
  }
  return { candidates, kind: null, prefix: "" };
}

/** @param before what stands in the same word before the value */
function value(command: HelpCommand, row: HelpRow, typed: string, before: string): Completion {
  const isNodeCount = row.name === "nodes" && row.short === "N";
  const kind = isNodeCount ? undefined : row.name.toLowerCase() === "format" ? "fields" : KINDS[row.name];
  if (kind === "files" || kind === "dirs" || kind === "commands") return { candidates: [], kind, prefix: before };
  // The last of a list.
  const comma = typed.lastIndexOf(",") + 1;
  const prefix = before + typed.slice(0, comma);
  if (kind !== undefined)
    return row.name === "format" && command.startsWith("s") && hasLetters(command) ? NOTHING : { candidates: [], kind, prefix };
  const words = wordsOf(command, row);
  const candidates = words
    .filter((word) => word.toLowerCase().startsWith(typed.slice(comma).toLowerCase()))
    .map((word) => ({ word, help: "" }));
  return { candidates, kind: null, prefix };
}

/** squeue's and sinfo's -o wants letters, which nobody completes. */
function hasLetters(command: HelpCommand): boolean {
  return command === "squeue" || command === "sinfo";
}

function wordsOf(command: HelpCommand, row: HelpRow): readonly string[] {
  if (row.name === "states" || row.name === "state")
    return (command === "sinfo" ? NODE_STATES : command === "squeue" ? `all ${JOB_STATES}` : JOB_STATES).split(" ");
  const words = WORDS[row.name];
  if (words !== undefined) return words.split(" ");
  // "yes|no" in the table says it all.
  const shown = row.takes ?? row.mayTake ?? "";
  return /^[a-z0-9]+(\|[a-z0-9]+)+$/.test(shown) ? shown.split("|") : [];
}

function operand(command: HelpCommand, before: readonly string[], current: string): Completion {
  switch (command) {
    case "srun":
    case "salloc":
      // The program itself, or its arguments.
      return { candidates: [], kind: "commands", prefix: before.length === 0 ? "first" : "" };
    case "sbatch":
    case "sbcast":
      return { candidates: [], kind: "files", prefix: "" };
    case "scancel":
    case "sstat":
      return { candidates: [], kind: "jobs", prefix: "" };
    case "sattach":
      return { candidates: [], kind: "steps", prefix: "" };
    case "sacctmgr":
      return {
        ...NOTHING,
        candidates: sacctmgrWords(before)
          .filter((word) => word.startsWith(current))
          .map((word) => ({ word, help: "" })),
      };
    case "scontrol":
      return scontrolOperand(before, current);
    default:
      return NOTHING;
  }
}

function sacctmgrWords(before: readonly string[]): readonly string[] {
  return before.length === 0 ? ["list", "show"] : before.length === 1 ? ENTITIES : [];
}

const OF_JOBS = new Set("hold uhold release requeue requeuehold suspend resume top notify wait_job".split(" "));
const ENTITY_KINDS: Readonly<Record<string, ValueKind>> = {
  job: "jobs",
  jobs: "jobs",
  step: "steps",
  steps: "steps",
  node: "nodes",
  nodes: "nodes",
  partition: "partitions",
  partitions: "partitions",
};
const SINGULAR: Readonly<Record<string, string>> = {
  jobs: "job",
  nodes: "node",
  partitions: "partition",
  reservations: "reservation",
  steps: "step",
};

function scontrolOperand(before: readonly string[], current: string): Completion {
  const [verb = "", entity] = before;
  const starting = (candidates: readonly Candidate[]) => ({
    candidates: candidates.filter(({ word }) => word.startsWith(current)),
    kind: null,
    prefix: "",
  });
  if (before.length === 0)
    return starting(SCONTROL_VERBS.filter(({ refused }) => refused === undefined).map(({ name, help }) => ({ word: name, help })));
  if (verb === "show" && entity === undefined) return starting(SHOW_ENTITIES.map((name) => ({ word: SINGULAR[name] ?? name, help: "" })));
  const kind = verb === "show" ? ENTITY_KINDS[entity ?? ""] : OF_JOBS.has(verb) ? "jobs" : verb === "listpids" ? "steps" : undefined;
  if (kind !== undefined) return { candidates: [], kind, prefix: current.slice(0, current.lastIndexOf(",") + 1) };
  if (verb === "update") return updateKey(current);
  if (verb === "write")
    return entity === undefined
      ? starting([{ word: "batch_script", help: "" }])
      : { candidates: [], kind: before.length === 2 ? "jobs" : "files", prefix: "" };
  return NOTHING;
}

function updateKey(current: string): Completion {
  const [, key = ""] = /^([^=]+)=/.exec(current) ?? [];
  const kinds: Readonly<Record<string, ValueKind>> = { jobid: "jobs", nodename: "nodes", partitionname: "partitions" };
  const kind = kinds[key.toLowerCase()];
  if (kind !== undefined) return { candidates: [], kind, prefix: current.slice(0, key.length + 1) };
  if (key !== "") return NOTHING;
  const words = ["JobId=", "NodeName=", "PartitionName=", ...UPDATE_WORDS];
  return {
    candidates: words.filter((word) => word.toLowerCase().startsWith(current.toLowerCase())).map((word) => ({ word, help: "" })),
    kind: null,
    prefix: "",
  };
}

const UPDATE_WORDS = JOB_UPDATE_KEYS.filter(({ when }) => when !== null).map(({ name }) => `${name}=`);
