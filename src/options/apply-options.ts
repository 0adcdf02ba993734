/**
 * From options as they were said to a draft. A level is one of: #SBATCH lines, environment, command line; levels are
 * applied from the weakest to the strongest, and inside one the last occurrence wins (commands.md §1.3).
 */
import { getopt, type Getopt, type GivenOption } from "./getopt.ts";
import type { CommonDraft } from "./job-draft.ts";
import type { JobCommand, JobOptionRow } from "./job-option-row.ts";
import type { Flag, Setter } from "./job-setters.ts";
import { countOf, envFlag, errorExitOf, EXIT_USAGE, getoptError, type Env, type ParseContext, type Site } from "./site.ts";
import { refusal, UsageError } from "./usage-error.ts";

/** All that one command knows about its options. Later tables of setters replace earlier ones. */
export interface Grammar<Draft extends CommonDraft> {
  readonly command: JobCommand;
  readonly rows: readonly JobOptionRow[];
  readonly flags: readonly Readonly<Record<string, Flag<Draft>>>[];
  readonly setters: readonly Readonly<Record<string, Setter<Draft>>>[];
}

interface Conflict {
  readonly options: readonly string[];
  readonly clear: (draft: CommonDraft) => void;
  readonly message: string;
  readonly isFatalInEnvironment: boolean;
}

/** What each level must not combine; a stronger level clears the other members that a weaker one has set. */
const CONFLICTS: readonly Conflict[] = [
  {
    options: ["mem", "mem-per-cpu", "mem-per-gpu"],
    clear: ({ job }) => {
      job.memPerNodeMib = job.memPerCpuMib = job.memPerGpuMib = null;
    },
    message: "--mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive.",
    isFatalInEnvironment: true,
  },
  {
    options: ["cpus-per-task", "cpus-per-gpu"],
    clear: ({ job }) => {
      job.cpusPerTask = job.cpusPerGpu = null;
    },
    message: "--cpus-per-task and --cpus-per-gpu are mutually exclusive.",
    isFatalInEnvironment: false, // a job exports what it was asked for, and a task's srun may see both
  },
];

export function readWords<Draft extends CommonDraft>(grammar: Grammar<Draft>, argv: readonly string[]): Getopt<JobOptionRow> {
  return getopt(grammar.rows, argv, { command: grammar.command, order: "stop" });
}

/** Thrown after what came before the bad option has been applied, because that can be wrong too. */
export function throwGetoptError(command: string, { error }: Getopt<JobOptionRow>): void {
  if (error !== null) throw getoptError(command, error, EXIT_USAGE);
}

/** The options that variables stand for; `value` is the variable's. */
export function readEnvironment<Draft extends CommonDraft>(grammar: Grammar<Draft>, env: Env): GivenOption<JobOptionRow>[] {
  const given: GivenOption<JobOptionRow>[] = [];
  for (const row of grammar.rows) {
    const names = row.env?.[grammar.command];
    if (names === undefined) continue;
    for (const name of names) {
      const value = env[name];
      if (value === undefined) continue;
      if (value !== "" || row.takes === undefined) given.push({ row, value });
      break;
    }
  }
  return given;
}

/** @throws UsageError for the first value that is wrong */
export function applyLevel<Draft extends CommonDraft>(
  draft: Draft,
  grammar: Grammar<Draft>,
  given: readonly GivenOption<JobOptionRow>[],
  where: ParseContext & { readonly source: Site["source"]; readonly env: Env },
): void {
  if (given.length === 0) return;
  const names = new Set(given.map(({ row }) => row.name));
  const conflicts = CONFLICTS.filter(({ options }) => options.some((name) => names.has(name)));
  for (const { clear } of conflicts) clear(draft);
  const errorExit = errorExitOf(where.env);
  for (const option of given) {
    applyOne(draft, grammar, option, { ...where, command: grammar.command, option: option.row.name, errorExit });
    if (draft.action !== "run") return;
  }
  for (const { options, message, isFatalInEnvironment } of conflicts) {
    if (where.source === "environment" && !isFatalInEnvironment) continue;
    if (options.filter((name) => names.has(name)).length > 1) {
      throw new UsageError([`${grammar.command}: fatal: ${message}`], errorExit);
    }
  }
}

function applyOne<Draft extends CommonDraft>(
  draft: Draft,
  grammar: Grammar<Draft>,
  { row, value }: GivenOption<JobOptionRow>,
  site: Site,
): void {
  const isVariable = site.source === "environment";
  if (row.isAction === true) {
    draft.action = row.name as "help" | "usage" | "version";
    return;
  }
  if (row.name === "verbose" && isVariable) {
    draft.verbose = /^\d{1,2}$/.test(value ?? "") ? Number(value) : 0;
    return;
  }
  if (row.refused !== undefined) throw refusal(grammar.command, row, site.errorExit);
  const flag = findIn(grammar.flags, row.name);
  if (flag !== undefined) {
    flag(draft, !isVariable || envFlag(value ?? ""));
    return;
  }
  const setter = findIn(grammar.setters, row.name);
  if (setter !== undefined) setter(draft, value ?? "", site);
  else if (row.idle === undefined) throw new Error(`option --${row.name} of ${grammar.command} has no setter`);
  else record(draft, row, value ?? "", site);
}

/** An option without effect: a number must be one all the same. */
function record({ job }: CommonDraft, { name, takes, mayTake }: JobOptionRow, value: string, site: Site): void {
  if (takes === undefined && site.source === "environment" && !envFlag(value)) return;
  if (takes === undefined && mayTake === undefined) {
    job.unused[name] = "";
    return;
  }
  if (takes === "N") countOf(value, site, 0);
  job.unused[name] = value;
}

function findIn<T>(tables: readonly Readonly<Record<string, T>>[], name: string): T | undefined {
  for (let i = tables.length - 1; i >= 0; i--) {
    const found = tables[i]?.[name];
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * Refuses what would need several components in one job; everything after `:` belongs to the next one. To srun a lone `:` is
 * that wherever it stands, to the others only in front of the script or command.
 */
export function refuseComponents(command: string, rest: readonly string[], env: Env): void {
  if (command === "srun" ? !rest.includes(":") : rest[0] !== ":") return;
  throw new UsageError([`${command}: error: Heterogeneous jobs are not supported`], errorExitOf(env));
}

/**
 * Fewer tasks than nodes cannot be: the nodes give way, as in Slurm.
 * @returns the lines to print about it
 */
export function fitNodesToTasks(command: string, { job }: CommonDraft): string[] {
  const { tasks, nodesMin } = job;
  const dropped = dropNodes(command, job);
  if (tasks === null || nodesMin === null || tasks >= nodesMin) return dropped;
  job.nodesMin = tasks;
  job.nodesMax = tasks;
  return [...dropped, `${command}: Warning: can't run ${tasks} processes on ${nodesMin} nodes, setting nnodes to ${tasks}`];
}

/** More nodes by name than by number: srun takes the first ones, the others refuse. @throws UsageError */
function dropNodes(command: string, job: CommonDraft["job"]): string[] {
  const most = job.nodesMax ?? job.nodesMin;
  if (job.nodeList === null || most === null || most === 0 || job.distribution === "arbitrary") return [];
  const names = [...new Set(job.nodeList)];
  if (names.length <= most) return [];
  if (command !== "srun") throw new UsageError([`${command}: error: invalid number of nodes (-N ${names.length}-${most})`], 1);
  job.nodeList = names.slice(0, most);
  return [
    `srun: error: Required nodelist includes more nodes than permitted by max-node count (${names.length} > ${most}). Eliminating nodes from the nodelist.`,
  ];
}
