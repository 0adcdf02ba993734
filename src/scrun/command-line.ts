/**
 * scrun's command line: global options, a command, its options, the container's id, arguments. Options stop at the first
 * word that is none, as with getopt(3) and POSIXLY_CORRECT; unambiguous beginnings of long names are enough. What runc 1.1 and crun 1.8
 * know is known here, so that no engine's call fails for an option that means nothing to us (spec: scrun §2).
 */
import { BerthError } from "#job/errors.ts";

/** "optional" takes a value only when it is attached, or is one of the words that the option is known to take. */
export interface OptionRule {
  readonly name: string;
  readonly letter?: string;
  readonly takes: "nothing" | "value" | "optional";
  /** For "optional": the next word is the value when it looks like this. */
  readonly next?: RegExp;
  /** The letter alone; `name` is how it is reported. */
  readonly hasNoLongName?: boolean;
  readonly mayRepeat?: boolean;
}

export interface Given {
  readonly name: string;
  readonly value: string | undefined;
}

export interface ReadOptions {
  readonly given: readonly Given[];
  readonly rest: readonly string[];
}

/** @throws BerthError USAGE */
export function readOptions(rules: readonly OptionRule[], words: readonly string[]): ReadOptions {
  const given: Given[] = [];
  let at = 0;
  for (; at < words.length; at++) {
    const word = words[at] ?? "";
    if (word === "--") {
      at++;
      break;
    }
    if (!word.startsWith("-") || word === "-") break;
    const isLong = word.startsWith("--");
    const equals = word.indexOf("=");
    const typed = word.slice(isLong ? 2 : 1, equals < 0 ? undefined : equals);
    const rule = isLong ? findLong(rules, typed) : rules.find(({ letter }) => letter === typed || letter === typed.charAt(0));
    if (rule === undefined)
      throw new BerthError("USAGE", `unrecognized option '${word}'`, { hint: 'Try "scrun --help" for more information' });
    let value = equals < 0 ? undefined : word.slice(equals + 1);
    if (!isLong && typed.length > 1) {
      if (rule.takes === "nothing") {
        // Letters in a row: -vvv
        for (const letter of typed) {
          const other = rules.find((found) => found.letter === letter && found.takes === "nothing");
          if (other === undefined)
            throw new BerthError("USAGE", `invalid option -- '${letter}'`, { hint: 'Try "scrun --help" for more information' });
          given.push({ name: other.name, value: undefined });
        }
        continue;
      }
      value = word.slice(2).replace(/^=/, "");
    }
    const next = words[at + 1];
    if (value === undefined && rule.takes === "value") {
      if (next === undefined) throw new BerthError("USAGE", `option '${word}' requires an argument`);
      value = next;
      at++;
    } else if (value === undefined && rule.next !== undefined && next !== undefined && rule.next.test(next)) {
      value = next;
      at++;
    }
    given.push({ name: rule.name, value });
  }
  return { given, rest: words.slice(at) };
}

function findLong(rules: readonly OptionRule[], typed: string): OptionRule | undefined {
  const long = rules.filter((rule) => rule.hasNoLongName !== true);
  const exact = long.find(({ name }) => name === typed);
  if (exact !== undefined || typed === "") return exact;
  const found = long.filter(({ name }) => name.startsWith(typed));
  if (found.length > 1) {
    throw new BerthError("USAGE", `option '--${typed}' is ambiguous; possibilities: ${found.map(({ name }) => `--${name}`).join(" ")}`);
  }
  return found[0];
}

export function lastValue(given: readonly Given[], name: string): string | undefined {
  return given.findLast((option) => option.name === name)?.value;
}

export function has(given: readonly Given[], name: string): boolean {
  return given.some((option) => option.name === name && option.value !== "false");
}

/** crun's, and what `podman run --cgroups=disabled` says; runc has none. */
export const WITHOUT_CGROUPS = ["--cgroup-manager", "disabled"] as const;

const FIRST_PRESERVED = 3;

/** More than any engine hands on, and few enough to be listed. */
const MAX_PRESERVED = 1024;

/** Fds that are the container's, beside 0, 1 and 2. @throws BerthError USAGE */
export function preservedFds(given: readonly Given[]): number[] {
  const text = lastValue(given, "preserve-fds") || "0";
  const count = /^[0-9]{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (!(count <= MAX_PRESERVED))
    throw new BerthError("USAGE", `Invalid --preserve-fds "${text}"`, { hint: `a number, 0 to ${MAX_PRESERVED}` });
  return Array.from({ length: count }, (_, index) => FIRST_PRESERVED + index);
}

const flag = (name: string, letter?: string): OptionRule => ({ name, takes: "nothing", ...(letter === undefined ? {} : { letter }) });
const value = (name: string, letter?: string): OptionRule => ({ name, takes: "value", ...(letter === undefined ? {} : { letter }) });
const maybe = (name: string, next?: RegExp): OptionRule => ({ name, takes: "optional", ...(next === undefined ? {} : { next }) });

/** Of scrun and of each of its commands, as runc has them. */
export const HELP_OPTIONS: readonly OptionRule[] = [
  flag("help", "?"),
  { name: "help", letter: "h", takes: "nothing", hasNoLongName: true },
];

export const GLOBAL_OPTIONS: readonly OptionRule[] = [
  maybe("cgroup-manager", /^(cgroupfs|systemd|disabled)$/),
  value("criu"),
  flag("debug"),
  { name: "slurm-conf", letter: "f", takes: "value", hasNoLongName: true },
  ...HELP_OPTIONS,
  flag("usage"),
  value("log"),
  value("log-format"),
  value("root"),
  maybe("rootless", /^(true|false|auto)$/),
  flag("systemd-cgroup"),
  flag("verbose", "v"),
  flag("version", "V"),
];

/** Options of each command; of those that the real runtime does, what has to be known to find the id behind them. */
export const COMMAND_OPTIONS = {
  create: [
    value("bundle", "b"),
    value("config", "f"),
    value("console-socket"),
    value("pidfd-socket"),
    value("pid-file"),
    flag("no-pivot"),
    flag("no-new-keyring"),
    flag("no-subreaper"),
    maybe("preserve-fds", /^\d+$/),
  ],
  start: [],
  state: [],
  kill: [flag("all", "a"), flag("regex", "r")],
  delete: [flag("force", "f"), flag("regex", "r")],
  run: [
    value("bundle", "b"),
    value("config", "f"),
    value("console-socket"),
    value("pidfd-socket"),
    value("pid-file"),
    flag("no-pivot"),
    flag("no-new-keyring"),
    flag("no-subreaper"),
    maybe("preserve-fds", /^\d+$/),
    flag("detach", "d"),
    flag("keep"),
  ],
  exec: [
    value("console-socket"),
    value("pidfd-socket"),
    value("cwd"),
    value("env", "e"),
    flag("tty", "t"),
    value("user", "u"),
    value("additional-gids", "g"),
    value("process", "p"),
    flag("detach", "d"),
    value("pid-file"),
    value("process-label"),
    value("apparmor"),
    flag("no-new-privs"),
    value("cap", "c"),
    maybe("preserve-fds", /^\d+$/),
    value("cgroup"),
    flag("ignore-paused"),
  ],
  ps: [value("format", "f")],
  events: [value("interval"), flag("stats")],
  update: [
    value("resources", "r"),
    ...[
      ...["blkio-weight", "cpu-period", "cpu-quota", "cpu-burst", "cpu-share", "cpu-shares", "cpu-rt-period", "cpu-rt-runtime"],
      ...["cpuset-cpus", "cpuset-mems", "cpu-idle", "kernel-memory", "kernel-memory-tcp", "memory", "memory-reservation", "memory-swap"],
      ...["pids-limit", "l3-cache-schema", "mem-bw-schema"],
    ].map((name) => value(name)),
  ],
  pause: [],
  resume: [],
  list: [value("format", "f"), flag("quiet", "q")],
  features: [],
  spec: [value("bundle", "b"), flag("rootless")],
  version: [],
} as const satisfies Record<string, readonly OptionRule[]>;
export type CommandWord = keyof typeof COMMAND_OPTIONS;
