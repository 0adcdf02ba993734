/**
 * sbatch's options come from three places that become known one after the other: the command line names the script,
 * the script holds #SBATCH lines, and only then can everything be merged (commands.md §1.3, §3).
 *
 *   parseSbatch(argv) → script text → parseSbatchDirectives(text) → mergeSbatch(line, directives)
 */
import type { BatchRequest, JobOptions } from "#job/request.ts";
import {
  applyLevel,
  fitNodesToTasks,
  readEnvironment,
  readWords,
  refuseComponents,
  throwGetoptError,
  type Grammar,
} from "./apply-options.ts";
import type { Directives } from "./batch-script.ts";
import type { GivenOption } from "./getopt.ts";
import { emptyCommon, emptyStreams, type Action, type StreamDraft } from "./job-draft.ts";
import { rowsOf, type JobOptionRow } from "./job-option-row.ts";
import { JOB_OPTIONS } from "./job-option-table.ts";
import { JOB_FLAGS, JOB_SETTERS, STREAM_SETTERS, type Flag, type Setter } from "./job-setters.ts";
import { baseName } from "./path.ts";
import { SBATCH_OPTIONS } from "./sbatch-option-table.ts";
import { errorExitOf, EXIT_USAGE, type Env, type ParseContext } from "./site.ts";
import { UsageError } from "./usage-error.ts";

/** What the command line alone says: enough to find the script. */
export interface SbatchLine {
  /** help, usage and version need no script. */
  readonly action: Action;
  /** As typed; null for --wrap and for a script on standard input. */
  readonly script: string | null;
  readonly args: readonly string[];
  readonly wrap: string | null;
  readonly given: ReadonlySet<string>;
  /** For mergeSbatch. */
  readonly options: readonly GivenOption<JobOptionRow>[];
}

export interface SbatchRequest {
  readonly action: Action;
  readonly job: JobOptions;
  /** All of BatchRequest but the script's text and path. */
  readonly batch: Omit<BatchRequest, "script" | "scriptPath">;
  /** Absolute; null is the submit directory. */
  readonly chdir: string | null;
  readonly wait: boolean;
  readonly parsable: boolean;
  readonly testOnly: boolean;
  readonly quiet: boolean;
  readonly verbose: number;
  readonly clusters: string | null;
  readonly uid: string | null;
  readonly gid: string | null;
  readonly getUserEnv: string | null;
  /** A path or a descriptor's number, as typed. */
  readonly exportFile: string | null;
  /** Lines for stderr, complete. */
  readonly warnings: readonly string[];
}

interface SbatchDraft extends StreamDraft {
  array: string | null;
  exportFile: string | null;
  parsable: boolean;
  wait: boolean;
}

const FLAGS: Readonly<Record<string, Flag<SbatchDraft>>> = {
  "no-requeue": ({ job }, isOn) => {
    if (isOn) job.requeue = false;
  },
  parsable: (draft, isOn) => {
    draft.parsable = isOn;
  },
  requeue: ({ job }, isOn) => {
    if (isOn) job.requeue = true;
  },
  wait: (draft, isOn) => {
    draft.wait = isOn;
  },
};

const SETTERS: Readonly<Record<string, Setter<SbatchDraft>>> = {
  array: (draft, value) => {
    draft.array = value;
  },
  "export-file": (draft, value) => {
    draft.exportFile = value;
  },
  wrap: () => {
    /* parseSbatch has read it */
  },
};

export const SBATCH_ROWS = [...rowsOf("sbatch", JOB_OPTIONS), ...SBATCH_OPTIONS];

const GRAMMAR: Grammar<SbatchDraft> = {
  command: "sbatch",
  rows: SBATCH_ROWS,
  flags: [JOB_FLAGS, FLAGS],
  setters: [JOB_SETTERS, STREAM_SETTERS, SETTERS],
};

/**
 * Reads the words of the command line, not yet the values.
 * @throws UsageError
 */
export function parseSbatch(argv: readonly string[], env: Env): SbatchLine {
  const words = readWords(GRAMMAR, argv);
  const given = new Set(words.options.map(({ row }) => row.name));
  const wrap = words.options.findLast(({ row }) => row.name === "wrap")?.value ?? null;
  const action = actionOf(words.options);
  if (action === undefined) {
    throwGetoptError("sbatch", words);
    refuseComponents("sbatch", words.rest, env);
    if (wrap !== null && words.rest.length > 0) {
      throw new UsageError(["sbatch: error: Script arguments not permitted with --wrap option"], errorExitOf(env));
    }
  }
  const [script = null, ...args] = words.rest;
  return { action: action ?? "run", script, args, wrap, given, options: words.options };
}

/** What needs no script. */
function actionOf(options: readonly GivenOption<JobOptionRow>[]): Action | undefined {
  for (const { row, value } of options) {
    if (row.isAction === true) return row.name as "help" | "usage" | "version";
    if (row.name === "gres" && /^(help|list)$/i.test(value ?? "")) return "gresHelp";
  }
  return undefined;
}

/**
 * Everything that was said, strongest last: #SBATCH lines, SBATCH_* variables, command line.
 * @throws UsageError; BerthError INVALID_NODE_NAME for an unreadable host list
 */
export function mergeSbatch({
  line,
  directives,
  env,
  context,
}: {
  readonly line: SbatchLine;
  readonly directives: Directives;
  readonly env: Env;
  readonly context: ParseContext;
}): SbatchRequest {
  const draft: SbatchDraft = {
    ...emptyCommon(),
    ...emptyStreams(),
    array: null,
    exportFile: null,
    parsable: false,
    wait: false,
  };
  applyDirectives(draft, directives, env, context);
  applyLevel(draft, GRAMMAR, readEnvironment(GRAMMAR, env), { ...context, env, source: "environment" });
  applyLevel(draft, GRAMMAR, line.options, { ...context, env, source: "commandLine" });
  const warnings = [...directives.warnings, ...fitNodesToTasks("sbatch", draft)];
  const { action, job, chdir, wait, parsable, testOnly, quiet, verbose, clusters, uid, gid, getUserEnv } = draft;
  job.name ??= line.wrap !== null ? "wrap" : line.script === null ? "sbatch" : baseName(line.script);
  return {
    action,
    job,
    chdir,
    wait,
    parsable,
    testOnly,
    quiet,
    verbose,
    clusters,
    uid,
    gid,
    getUserEnv,
    warnings,
    exportFile: draft.exportFile,
    batch: {
      args: line.args,
      input: draft.input,
      output: draft.output,
      error: draft.error,
      openMode: draft.openMode,
      export: draft.export,
      array: draft.array,
    },
  };
}

function applyDirectives(draft: SbatchDraft, directives: Directives, env: Env, context: ParseContext): void {
  const words = readWords(GRAMMAR, directives.argv);
  applyLevel(draft, GRAMMAR, words.options, { ...context, env, source: "directive" });
  throwGetoptError("sbatch", words);
  const [stray] = words.rest;
  if (stray !== undefined) {
    throw new UsageError([`sbatch: error: Invalid directive found in batch script: ${stray}`], EXIT_USAGE);
  }
  if (directives.hasComponents) refuseComponents("sbatch", [":"], env);
}
