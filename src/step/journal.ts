/**
 * The journal of a step: one JSON line for each thing that happened, appended before anybody is told of it.
 * It survives the step daemon and the controller. A torn line (its writer was killed, or the disk was full) is ignored;
 * whoever opens the journal next closes it first, so that it does not swallow the line that follows.
 */
import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { EpochMs } from "#job/id.ts";
import type { ExitPair, ExitStatus } from "#job/outcome.ts";
import type { StepUsage } from "#job/record.ts";
import type { ProcessIdentity } from "#platform/process-tree.ts";

export interface StepResult {
  readonly exit: ExitPair;
  readonly usage: StepUsage;
  readonly endedAt: EpochMs;
  /** Set when no task ever ran: what failed, in words, and Linux's errno. */
  readonly launchFailure: { readonly message: string; readonly errno: number; readonly hint: string | null } | null;
  /** Why the engine ended it; null when it ended by itself. */
  readonly terminated: TerminateReason | null;
  /** Some task was killed by the kernel for want of memory. */
  readonly outOfMemory: boolean;
  /** Of the step's bundle. */
  readonly annotations?: Readonly<Record<string, string>>;
}

/** `badExit`: srun gives up on the step (-K, -W); `clientLost`: srun is gone. */
export type TerminateReason = "cancelled" | "timeLimit" | "nodeFailure" | "badExit" | "jobEnded" | "clientLost" | "requeued";

export type JournalEntry =
  | { readonly kind: "daemon"; readonly process: ProcessIdentity }
  /** The task's process is about to be made: from here to `started` it may exist without being written down. */
  | { readonly kind: "launching"; readonly task: number }
  | { readonly kind: "started"; readonly task: number; readonly process: ProcessIdentity }
  /** Create and start flow: the container exists and is about to be started. Null: its runtime names no process. */
  | { readonly kind: "created"; readonly task: number; readonly process: ProcessIdentity | null }
  /** A prolog or epilog of a task: not to be left running by whoever takes over. */
  | { readonly kind: "script"; readonly process: ProcessIdentity }
  | { readonly kind: "exited"; readonly task: number; readonly status: ExitStatus; readonly usage: TaskUsage | null }
  /** Written by the controller, which inherits the tasks of a step daemon that was killed. */
  | { readonly kind: "reaped"; readonly pid: number; readonly status: ExitStatus }
  | { readonly kind: "terminating"; readonly reason: TerminateReason }
  | { readonly kind: "ended"; readonly result: StepResult };

export interface TaskUsage {
  readonly userCpuMs: number;
  readonly systemCpuMs: number;
  /** Null: not known. */
  readonly maxRssKib: number | null;
}

function journalPath(spoolDir: string): string {
  return join(spoolDir, "journal");
}

export class Journal implements Disposable {
  readonly #fd: number;

  constructor(spoolDir: string) {
    this.#fd = openSync(journalPath(spoolDir), "a+", 0o600);
    if (isTorn(this.#fd)) writeSync(this.#fd, "\n");
  }

  append(entry: JournalEntry): void {
    try {
      writeSync(this.#fd, `${JSON.stringify(entry)}\n`);
    } catch (error) {
      // A full disk is no reason to end the step: as long as its daemon lives, nobody needs the journal.
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "ENOSPC" && code !== "EDQUOT") throw error;
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** Entries in order; none when the step has no journal yet. */
export function readJournal(spoolDir: string): JournalEntry[] {
  let text: string;
  try {
    text = readFileSync(journalPath(spoolDir), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
  const lines = text.split("\n");
  lines.pop(); // empty after the last newline, or torn
  return lines.flatMap((line) => parseLine(line) ?? []);
}

function parseLine(line: string): JournalEntry | undefined {
  try {
    return JSON.parse(line) as JournalEntry;
  } catch {
    return undefined; // torn
  }
}

/** Whether the last byte is something other than the end of a line. */
function isTorn(fd: number): boolean {
  const { size } = fstatSync(fd);
  const last = Buffer.alloc(1);
  return size > 0 && readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== 0x0a;
}

/** One line from somebody who is not the step's daemon. A spool that is gone needs none. */
export function appendToJournal(spoolDir: string, entry: JournalEntry): void {
  if (!existsSync(journalPath(spoolDir))) return;
  using journal = new Journal(spoolDir);
  journal.append(entry);
}

export function findResult(entries: readonly JournalEntry[]): StepResult | undefined {
  for (const entry of entries) if (entry.kind === "ended") return entry.result;
  return undefined;
}
