/** `berth completion bash|zsh|fish`: the script; `--words -- WORD…`: what the script asks (options/completion-scripts.ts). */
import { basename } from "node:path";
import type { Engine } from "#engine/engine.ts";
import { COMMANDS, type HelpCommand } from "#options/command-tables.ts";
import { complete, type Candidate, type Completion, type ValueKind } from "#options/completion.ts";
import { completionScript, SHELLS, type Shell } from "#options/completion-scripts.ts";
import { OWN_COMMANDS } from "#options/own-commands.ts";
import { selfPath } from "#platform/self.ts";
import { LINK_NAMES } from "./dispatch.ts";
import { openRunningEngine } from "./engine.ts";
import { ANY_JOB, targetOf, targetText } from "./job-filter.ts";
import { complain, printLines } from "./terminal.ts";

const USAGE = `Usage: berth completion bash|zsh|fish
Prints what the shell has to source to complete the words of berth and of ${LINK_NAMES.join(" ")}.
  bash   in ~/.bashrc:  source <(berth completion bash)
  zsh    in ~/.zshrc, behind compinit:  source <(berth completion zsh)
  fish   berth completion fish > ~/.config/fish/conf.d/berth.fish`;

/** A key was pressed: who does not answer by then is not waited for. */
const PATIENCE_MS = 1500;

export async function completion(argv: readonly string[]): Promise<number> {
  const [word, separator, ...words] = argv;
  if (word === "--words" && separator === "--") return await answer(words);
  const shell = SHELLS.find((name) => name === word);
  if (shell === undefined || argv.length > 1) {
    const isHelp = word === "--help" || word === "-h";
    if (isHelp) printLines([USAGE]);
    else
      complain(
        "berth: error: completion wants the name of a shell: bash, zsh or fish",
        'Try "berth completion --help" for more information',
      );
    return isHelp ? 0 : 255;
  }
  printLines([scriptOf(shell)]);
  return 0;
}

function scriptOf(shell: Shell): string {
  return completionScript(shell, selfPath() ?? "berth", ["berth", ...LINK_NAMES]).trimEnd();
}

/** @param words the whole command line up to the cursor */
async function answer([called = "", ...words]: readonly string[]): Promise<number> {
  const current = words.at(-1) ?? "";
  const found = completionOf(basename(called), words.slice(0, -1), current);
  const { kind, prefix } = found;
  if (kind === "files" || kind === "dirs" || kind === "commands") {
    printLines([`${kind} ${prefix}`.trimEnd()]);
    return 0;
  }
  const command = commandOf(basename(called), words);
  const typed = current.slice(prefix.length).toLowerCase();
  const known = kind === null ? [] : (await valuesOf(kind, command)).filter(({ word }) => word.toLowerCase().startsWith(typed));
  const lines = [...found.candidates, ...known].map(({ word, help }) => (help === "" ? prefix + word : `${prefix}${word}\t${help}`));
  printLines(["words", ...lines]);
  return 0;
}

function isSlurms(name: string): name is HelpCommand {
  return Object.hasOwn(COMMANDS, name);
}

/** `berth srun …` is `srun …`. */
function commandOf(called: string, words: readonly string[]): HelpCommand | undefined {
  if (isSlurms(called)) return called;
  return words.find((word) => isSlurms(word)) as HelpCommand | undefined;
}

function completionOf(called: string, words: readonly string[], current: string): Completion {
  if (isSlurms(called)) return complete(called, words, current);
  if (called === "scrun") return { candidates: [], kind: "files", prefix: "" };
  const [first, ...rest] = words[0] === "--engine" ? words.slice(2) : words;
  if (words.length === 1 && words[0] === "--engine") return startingWith(current, ["embedded", "slurm", "auto"].map(plain));
  if (first === undefined) return startingWith(current, berthWords());
  if (isSlurms(first)) return complete(first, rest, current);
  const own = OWN_COMMANDS.find(({ name }) => name === first);
  if (own === undefined) return startingWith(current, []);
  if (current.startsWith("-")) return startingWith(current, [...(own.options ?? []), "--help"].map(plain));
  if (rest.length === 0 && own.words !== undefined) return startingWith(current, own.words.map(plain));
  return { candidates: [], kind: own.takes ?? null, prefix: "" };
}

function plain(word: string): Candidate {
  return { word, help: "" };
}

function berthWords(): Candidate[] {
  const slurms = Object.entries(COMMANDS).map(([word, { about }]) => ({ word, help: about }));
  return [...slurms, ...OWN_COMMANDS.map(({ name, help }) => ({ word: name, help })), ...["--engine", "--help", "--version"].map(plain)];
}

function startingWith(current: string, candidates: readonly Candidate[]): Completion {
  return { candidates: candidates.filter(({ word }) => word.startsWith(current)), kind: null, prefix: "" };
}

/** What only the engine knows; nothing when there is none that answers. */
async function valuesOf(kind: ValueKind, command: HelpCommand | undefined): Promise<readonly Candidate[]> {
  if (kind === "fields") return (await fieldsOf(command)).map(plain);
  try {
    await using engine = await openRunningEngine();
    return engine === undefined ? [] : await ask(engine, kind);
  } catch {
    return []; // a message in the middle of the command line would help nobody
  }
}

async function ask(engine: Engine, kind: ValueKind): Promise<readonly Candidate[]> {
  const options = { signal: AbortSignal.timeout(PATIENCE_MS) };
  switch (kind) {
    case "partitions":
      return (await engine.partitions(options)).map(({ name }) => plain(name));
    case "nodes":
      return (await engine.nodes(options)).map(({ name }) => plain(name));
    case "jobs": {
      const jobs = await engine.jobs(
        { jobIds: null, userIds: null, states: ["PENDING", "RUNNING", "SUSPENDED"], names: null, partitions: null },
        options,
      );
      return jobs.map((job) => ({ word: targetText(targetOf(job)), help: `${job.name} ${job.state}` }));
    }
    case "steps":
      return (await engine.steps({ jobId: null }, options)).map(({ jobId, stepKey, name }) => ({
        word: `${jobId}.${stepKey}`,
        help: name,
      }));
    case "users":
      return [...new Set((await engine.jobs(ANY_JOB, options)).map(({ userName }) => userName))].map(plain);
    default:
      return [];
  }
}

async function fieldsOf(command: HelpCommand | undefined): Promise<readonly string[]> {
  switch (command) {
    case "squeue":
      return Object.keys((await import("#format/squeue-job-fields.ts")).JOB_FIELDS);
    case "sinfo":
      return Object.keys((await import("#format/sinfo-fields.ts")).SINFO_FIELDS);
    case "sacct":
      return (await import("#format/sacct-fields.ts")).SACCT_FIELDS.map(({ name }) => name);
    case "sstat":
      return (await import("#format/sstat.ts")).SSTAT_FIELD_NAMES;
    default:
      return [];
  }
}
