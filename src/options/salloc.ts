/** salloc's command line (commands.md §4). */
import type { JobOptions } from "#job/request.ts";
import {
  applyLevel,
  fitNodesToTasks,
  readEnvironment,
  readWords,
  refuseComponents,
  throwGetoptError,
  type Grammar,
} from "./apply-options.ts";
import { emptyCommon, type Action, type CommonDraft } from "./job-draft.ts";
import { rowsOf } from "./job-option-row.ts";
import { JOB_OPTIONS } from "./job-option-table.ts";
import { JOB_FLAGS, JOB_SETTERS, type Flag, type Setter } from "./job-setters.ts";
import { SALLOC_OPTIONS } from "./salloc-option-table.ts";
import { parseSignal } from "./signals.ts";
import { valid, type Env, type ParseContext } from "./site.ts";

export interface SallocLine {
  readonly action: Action;
  readonly job: JobOptions;
  /** Empty: the user's shell. */
  readonly command: readonly string[];
  readonly noShell: boolean;
  /** The signal for the command when the allocation ends first; null lets it run on. */
  readonly killCommand: number | null;
  /** "auto" rings when the wait was long enough to look away. */
  readonly bell: "always" | "never" | "auto";
  /** Absolute. */
  readonly chdir: string | null;
  readonly quiet: boolean;
  readonly verbose: number;
  readonly clusters: string | null;
  readonly uid: string | null;
  readonly gid: string | null;
  readonly getUserEnv: string | null;
  readonly given: ReadonlySet<string>;
  /** Lines for stderr, complete. */
  readonly warnings: readonly string[];
}

interface SallocDraft extends CommonDraft {
  noShell: boolean;
  killCommand: number | null;
  bell: SallocLine["bell"];
}

const SIGTERM = 15;

const FLAGS: Readonly<Record<string, Flag<SallocDraft>>> = {
  bell: (draft, isOn) => {
    if (isOn) draft.bell = "always";
  },
  "no-bell": (draft, isOn) => {
    if (isOn) draft.bell = "never";
  },
  "no-shell": (draft, isOn) => {
    draft.noShell = isOn;
  },
};

const SETTERS: Readonly<Record<string, Setter<SallocDraft>>> = {
  "kill-command": (draft, value, site) => {
    draft.killCommand = value === "" ? SIGTERM : valid(parseSignal(value), site);
  },
};

export const SALLOC_ROWS = [...rowsOf("salloc", JOB_OPTIONS), ...SALLOC_OPTIONS];

const GRAMMAR: Grammar<SallocDraft> = {
  command: "salloc",
  rows: SALLOC_ROWS,
  flags: [JOB_FLAGS, FLAGS],
  setters: [JOB_SETTERS, SETTERS],
};

/** @throws UsageError; BerthError INVALID_NODE_NAME for an unreadable host list */
export function parseSalloc(argv: readonly string[], env: Env, context: ParseContext): SallocLine {
  const draft: SallocDraft = { ...emptyCommon(), noShell: false, killCommand: null, bell: "auto" };
  const words = readWords(GRAMMAR, argv);
  applyLevel(draft, GRAMMAR, readEnvironment(GRAMMAR, env), { ...context, env, source: "environment" });
  applyLevel(draft, GRAMMAR, words.options, { ...context, env, source: "commandLine" });
  if (draft.action === "run") {
    throwGetoptError("salloc", words);
    refuseComponents("salloc", words.rest, env);
  }
  const given = new Set(words.options.map(({ row }) => row.name));
  const warnings = fitNodesToTasks("salloc", draft);
  draft.job.name ??= "interactive";
  const { action, job, noShell, killCommand, bell, chdir, quiet, verbose, clusters, uid, gid, getUserEnv } = draft;
  return {
    action,
    job,
    command: words.rest,
    noShell,
    killCommand,
    bell,
    chdir,
    quiet,
    verbose,
    clusters,
    uid,
    gid,
    getUserEnv,
    given,
    warnings,
  };
}
