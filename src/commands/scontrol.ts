/** scontrol (commands.md §8): its keywords, and the prompt that reads them. */
import { BerthError } from "#job/errors.ts";
import { SLURM_VERSION } from "#job/version.ts";
import { parseScontrol } from "#options/scontrol.ts";
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

interface Keyword {
  readonly name: string;
  /** Letters that are enough to be understood. */
  readonly least: number;
  /** Words that may follow. */
  readonly min: number;
  readonly max: number;
  readonly run: Run;
}

/** In the order in which abbreviations are tried (scontrol(1), COMMANDS). */
const KEYWORDS: readonly Keyword[] = [
  keyword("all", 3, 0, 0, (_words, session) =>
    set(() => {
      session.all = true;
    }),
  ),
  keyword("completing", 2, 0, 0, async (_words, session) => (await import("./scontrol-show.ts")).showCompleting(session)),
  keyword("details", 1, 0, 0, (_words, session) =>
    set(() => {
      session.details = true;
    }),
  ),
  keyword("exit", 1, 0, 0, () => 0),
  keyword("help", 2, 0, 0, help),
  keyword("hide", 2, 0, 0, (_words, session) =>
    set(() => {
      session.all = false;
    }),
  ),
  keyword(
    "hold",
    3,
    1,
    Infinity,
    change((module) => module.hold),
  ),
  keyword("listpids", 3, 0, 2, (_words, session) =>
    session.fail("scontrol: error: listpids: Requested operation not supported on this system"),
  ),
  keyword(
    "notify",
    1,
    2,
    Infinity,
    change((module) => module.notify),
  ),
  keyword("oneliner", 1, 0, 0, (_words, session) =>
    set(() => {
      session.oneLine = true;
    }),
  ),
  keyword("ping", 3, 0, 0, async (_words, session) => (await import("./scontrol-show.ts")).ping(session)),
  keyword("quiet", 4, 0, 0, (_words, session) =>
    set(() => {
      session.quiet = true;
    }),
  ),
  keyword("quit", 4, 0, 0, () => 0),
  keyword(
    "release",
    3,
    1,
    Infinity,
    change((module) => module.release),
  ),
  keyword(
    "requeue",
    3,
    1,
    Infinity,
    change((module) => module.requeue),
  ),
  keyword(
    "requeuehold",
    8,
    1,
    Infinity,
    change((module) => module.requeueHold),
  ),
  keyword(
    "resume",
    3,
    1,
    Infinity,
    change((module) => module.resume),
  ),
  keyword("show", 3, 1, 2, show),
  keyword(
    "suspend",
    2,
    1,
    Infinity,
    change((module) => module.suspend),
  ),
  keyword(
    "top",
    3,
    1,
    Infinity,
    change((module) => module.top),
  ),
  keyword(
    "uhold",
    3,
    1,
    Infinity,
    change((module) => module.hold),
  ),
  keyword("update", 1, 1, Infinity, async (words, session) => (await import("./scontrol-update.ts")).update(words, session)),
  keyword("verbose", 4, 0, 0, () => 0),
  keyword("version", 4, 0, 0, () => set(() => printLines([`slurm-wlm ${SLURM_VERSION}`]))),
  keyword(
    "wait_job",
    2,
    1,
    1,
    change((module) => module.waitJob),
  ),
  keyword(
    "write",
    3,
    2,
    3,
    change((module) => module.write),
  ),
  // What only a cluster's administrator has a use for. The embedded engine reads its configuration when it starts.
  ...[
    "cancel_reboot",
    "create",
    "delete",
    "fsdampeningfactor",
    "power",
    "reboot",
    "reconfigure",
    "schedloglevel",
    "setdebug",
    "setdebugflags",
    "shutdown",
    "takeover",
    "token",
  ].map((name) => keyword(name, Math.min(name.length, 5), 0, Infinity, administrate)),
];

function keyword(name: string, least: number, min: number, max: number, run: Run): Keyword {
  return { name, least, min, max, run };
}

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
  const names = KEYWORDS.filter(({ run }) => run !== administrate).map(({ name }) => name);
  printLines([
    "",
    "Commands:",
    `  ${names.join(" ")}`,
    "Entities of show:",
    "  aliases config daemons hostlist hostlistsorted hostnames jobs licenses nodes partitions reservations steps",
  ]);
  return 0;
}

function administrate(_words: readonly string[], session: ScontrolSession, name: string): number {
  const hint = name === "reconfigure" ? ["scontrol: berth daemon restart reads berth.conf again; jobs that run go on"] : [];
  return session.fail(`slurm_${name} error: Requested operation not supported on this system`, ...hint);
}

/** One command of the command line or of the prompt. */
async function runWords([word = "", ...rest]: readonly string[], session: ScontrolSession): Promise<number> {
  const lower = word.toLowerCase();
  const found = KEYWORDS.find(({ name, least }) => lower.length >= least && name.startsWith(lower));
  if (found === undefined) return session.fail(`invalid keyword: ${word}`);
  if (rest.length < found.min) {
    return session.fail(`too few arguments for ${found.name === "update" ? "update keyword" : `keyword:${word}`}`);
  }
  if (rest.length > found.max) return session.fail(`too many arguments for keyword:${word}`);
  return await found.run(rest, session, found.name);
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
