/**
 * What scrun says, to two places: stderr, as every command does, and the file of `--log`, where conmon, containerd-shim and
 * dockerd look for the reason of a failure. In JSON that is runc's line: level, msg, time (spec: scrun §13.3).
 */
import { appendFileSync, writeSync } from "node:fs";
import { BerthError } from "#job/errors.ts";
import { printable } from "#job/printable.ts";

export type LogFormat = "json" | "text";
export type Level = "error" | "warning" | "info" | "debug";

const LEVELS: Readonly<Record<string, number>> = { quiet: 0, fatal: 1, error: 2, warning: 2, info: 3, verbose: 4, debug: 5 };

/** Slurm's words or digits; `debug2` … `debug5` are `debug`. @throws BerthError USAGE */
export function parseLevel(text: string, name: string): number {
  const word = text.toLowerCase();
  if (/^\d+$/.test(word)) return Math.min(Number(word), 5);
  const found = LEVELS[/^debug[2-5]$/.test(word) ? "debug" : word];
  if (found === undefined)
    throw new BerthError("USAGE", `Invalid level "${text}" in ${name}`, { hint: "levels: quiet fatal error info verbose debug" });
  return found;
}

export class Log {
  readonly #file: string | undefined;
  readonly #format: LogFormat;
  readonly #stderrLevel: number;

  get level(): number {
    return this.#stderrLevel;
  }

  constructor(options: { readonly file: string | undefined; readonly format: LogFormat; readonly stderrLevel: number }) {
    this.#file = options.file;
    this.#format = options.format;
    this.#stderrLevel = options.stderrLevel;
  }

  error(message: string, hint?: string): void {
    this.#say("error", hint === undefined ? message : `${message} (${hint})`);
    if (this.#stderrLevel < 2) return;
    print(`scrun: error: ${message}`);
    if (hint !== undefined) print(`scrun: ${hint}`);
  }

  info(message: string): void {
    this.#say("info", message);
    if (this.#stderrLevel >= 3) print(`scrun: ${message}`);
  }

  verbose(message: string): void {
    if (this.#stderrLevel < 4) return;
    this.#say("info", message);
    print(`scrun: ${message}`);
  }

  debug(message: string): void {
    if (this.#stderrLevel < 5) return;
    this.#say("debug", message);
    print(`scrun: debug: ${message}`);
  }

  /** For what stderr has heard from somebody else. */
  fileOnly(level: Level, message: string): void {
    this.#say(level, message);
  }

  #say(level: Level, msg: string): void {
    if (this.#file === undefined || this.#file === "") return;
    const time = new Date().toISOString();
    const line =
      this.#format === "json" ? JSON.stringify({ level, msg, time }) : `time="${time}" level=${level} msg=${JSON.stringify(msg)}`;
    try {
      appendFileSync(this.#file, `${line}\n`, { mode: 0o600 });
    } catch {
      // The engine has taken the file's directory away: stderr is left.
    }
  }
}

function print(line: string): void {
  try {
    writeSync(2, `${printable(line)}\n`);
  } catch {
    // nobody reads any more
  }
}

/**
 * The last error of a runtime's JSON log, in runc's words where engines look for them: docker and podman make statuses 127 and
 * 126 out of "executable file not found" and "permission denied", spelt as Go spells them.
 */
export function lastError(text: string): string | undefined {
  return findLastError(text)
    ?.replace(/executable file `(.*?)` not found in \$PATH/, 'exec: "$1": executable file not found in $$PATH')
    .replace(/the path `(.*?)` exists but it is not executable: Operation not permitted/, 'exec: "$1": permission denied')
    .replace(/the path `(.*?)` is not a regular file: Operation not permitted/, 'exec: "$1": is a directory: permission denied')
    .replace(/\bNo such file or directory\b/g, "no such file or directory")
    .replace(/\bPermission denied\b/g, "permission denied");
}

/** Objects behind each other: each on a line of its own, or, by crun since 1.20 or so, over several. */
function findLastError(text: string): string | undefined {
  let found: string | undefined;
  let part = "";
  for (const line of text.split("\n")) {
    part = line.startsWith("{") ? line : `${part}\n${line}`;
    if (!line.trimEnd().endsWith("}")) continue;
    try {
      const { level, msg } = JSON.parse(part) as { level?: unknown; msg?: unknown };
      if (typeof msg === "string" && (level === "error" || level === "fatal")) found = msg;
    } catch {
      // torn, or not JSON after all
    }
  }
  return found;
}
