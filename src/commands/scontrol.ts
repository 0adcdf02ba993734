/** scontrol (commands.md §8): its keywords, and the prompt that reads them. */
import { BerthError } from "#job/errors.ts";
import { SLURM_VERSION } from "#job/version.ts";
import { parseScontrol } from "#options/scontrol.ts";
import { SCONTROL_VERBS } from "#options/scontrol-words.ts";
import { informationAction } from "./information.ts";
import { findCluster } from "./query.ts";
import { ScontrolSession } from "./scontrol-session.ts";
import { stdinLines } from "./stdin-lines.ts";
import { printError, printLines, writeAll } from "./terminal.ts";

export async function scontrol(argv: readonly string[]): Promise<number> {
  const line = parseScontrol(argv, process.env);
  const status = await informationAction("scontrol", line.action);
  if (status !== undefined) return status;
  await using session = new ScontrolSession(line, argv);
  if (line.clusters !== null) {
    const cluster = await findCluster("scontrol", line.clusters, await session.engine());
    if (cluster === undefined) return 1;
  }
  return line.words.length > 0 ? await runWords(line.words, session) : await prompt(session);
}

type Run = (words: readonly string[], session: ScontrolSession, keyword: string) => Promise<number> | number;

const RUNS: Readonly<Record<string, Run>> = {
  all: (_words, session) =>
    set(() => {
      session.all = true;
    }),
  cluster: async ([name = ""], session) => ((await findCluster("scontrol", name, await session.engine())) === undefined ? 1 : 0),
  completing: async (_words, session) => (await import("./scontrol-show.ts")).showCompleting(session),
  details: (_words, session) =>
    set(() => {
      session.details = true;
    }),
  errnumstr: async (words) => (await import("./scontrol-pids.ts")).errorNumber(words),
  exit: () => 0,
  federation: () => 0,
  help,
  hide: (_words, session) =>
    set(() => {
      session.all = false;
    }),
  hold: change((module) => module.hold),
  listpids: async (words, session) => (await import("./scontrol-pids.ts")).listPids(words, session),
  local: () => 0,
  notify: change((module) => module.notify),
  oneliner: (_words, session) =>
    set(() => {
      session.oneLine = true;
    }),
  pidinfo: async (words, session) => (await import("./scontrol-pids.ts")).pidInfo(words, session),
  ping: async (_words, session) => (await import("./scontrol-show.ts")).ping(session),
  quiet: (_words, session) =>
    set(() => {
      session.quiet = true;
    }),
  quit: () => 0,
  release: change((module) => module.release),
  requeue: change((module) => module.requeue),
  requeuehold: change((module) => module.requeueHold),
  resume: change((module) => module.resume),
  show,
  sibling: () => 0,
  suspend: change((module) => module.suspend),
  top: change((module) => module.top),
  uhold: change((module) => module.hold),
  update: async (words, session) => (await import("./scontrol-update.ts")).update(words, session),
  verbose: () => 0,
  version: () => set(() => printLines([`slurm-wlm ${SLURM_VERSION}`])),
  wait_job: change((module) => module.waitJob),
  write: change((module) => module.write),
};

function set(effect: () => void): number {
  effect();
  return 0;
}

type ChangeModule = typeof import("./scontrol-change.ts");

function change(pick: (module: ChangeModule) => Run): Run {
  return async (words, session, name) => await pick(await import("./scontrol-change.ts"))(words, session, name);
}

async function show(words: readonly string[], session: ScontrolSession): Promise<number> {
  // Launchers call this in every task: without the engine, and without the modules that print records.
  const { showHostlist } = await import("./scontrol-hostlist.ts");
  return showHostlist(words, session) ?? (await (await import("./scontrol-show.ts")).show(words, session));
}

async function help(): Promise<number> {
  await informationAction("scontrol", "help");
  return 0;
}

function administrate(_words: readonly string[], session: ScontrolSession, name: string): number {
  // The embedded engine has no administrators, and reads its configuration when it starts.
  const hint = name === "reconfigure" ? ["scontrol: berth daemon restart reads berth.conf again; jobs that run go on"] : [];
  return session.fail(`slurm_${name} error: Requested operation not supported on this system`, ...hint);
}

/** One command of the command line or of the prompt. */
async function runWords([word = "", ...rest]: readonly string[], session: ScontrolSession): Promise<number> {
  const lower = word.toLowerCase();
  const found = SCONTROL_VERBS.find(({ name, least }) => lower.length >= least && name.startsWith(lower));
  if (found === undefined) return session.fail(`invalid keyword: ${word}`);
  if (rest.length < found.min) {
    return session.fail(`too few arguments for ${found.name === "update" ? "update keyword" : `keyword:${word}`}`);
  }
  if (rest.length > found.max) return session.fail(`too many arguments for keyword:${word}`);
  return await (RUNS[found.name] ?? administrate)(rest, session, found.name);
}

/** Reads commands until "exit", "quit" or the end of the input. Any that failed makes the exit status 1, as in Slurm. */
async function prompt(session: ScontrolSession): Promise<number> {
  const lines = stdinLines();
  let status = 0;
  let last: readonly string[] = [];
  for (;;) {
    writeAll(1, "scontrol: ");
    const { value } = await lines.next();
    if (value === undefined) {
      writeAll(1, "\n");
      return status;
    }
    if (process.stdin.isTTY !== true) writeAll(1, `${value}\n`); // a terminal has shown it already
    let words: readonly string[] = splitWords(value);
    if (words[0] === "!!") words = last;
    const [first] = words;
    if (first === undefined || first.startsWith("#")) continue;
    if (/^(e|ex|exi|exit|quit)$/i.test(first)) return status;
    last = words;
    try {
      status = Math.max(status, await runWords(words, session));
    } catch (error) {
      if (!(error instanceof BerthError)) throw error;
      status = printError("scontrol", error, { exitStatus: 1 });
    }
  }
}

/** Words of a line; quotes keep blanks together, also inside a word (`Comment="two words"`). */
export function splitWords(line: string): string[] {
  const words: string[] = [];
  for (const [word] of line.matchAll(/(?:"[^"]*"?|'[^']*'?|[^\s"'])+/g)) words.push(word.replace(/"([^"]*)"?|'([^']*)'?/g, "$1$2"));
  return words;
}
