/**
 * The spool directories of steps (`<job>.<step>`: plan, script, journal). One is made before its step is recorded, and goes when
 * the step has ended and its daemon needs it no more; what a crash left in between is swept at the next start.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { StepKey } from "#job/id.ts";
import { parseWaitStatus } from "#job/outcome.ts";
import { holdOutput } from "#step/held-output.ts";
import { appendToJournal, readJournal, type JournalEntry } from "#step/journal.ts";
import { readPlan, SCRIPT_FILE, writePlan, type StepPlan } from "#step/plan.ts";
import { stepName, stepSpool, type JobRun, type Paths } from "./paths.ts";

export class StepSpools {
  readonly #paths: Paths;
  /** Of the steps that have not ended. */
  readonly #needed = new Set<string>();
  /** Of steps that have lost a daemon. */
  readonly #heldOutput = new Map<string, Disposable>();

  constructor(paths: Paths) {
    this.#paths = paths;
  }

  of(run: JobRun, stepKey: StepKey): string {
    return stepSpool(this.#paths, run, stepKey);
  }

  /** With the plan in it, and the script of a batch step. */
  make(run: JobRun, stepKey: StepKey, contents: { readonly plan: StepPlan; readonly script?: string }): string {
    const spool = this.of(run, stepKey);
    rmSync(spool, { recursive: true, force: true }); // of a controller that was killed before it had recorded the step
    mkdirSync(spool, { mode: 0o700 });
    writePlan(spool, contents.plan);
    if (contents.script !== undefined) writeFileSync(join(spool, SCRIPT_FILE), contents.script, { mode: 0o700, flag: "wx" });
    return spool;
  }

  /** Its step lives. */
  keep(spool: string): void {
    this.#needed.add(spool);
  }

  /** Its step has ended; the daemon may still be at work there. */
  letGo(spool: string): void {
    this.#needed.delete(spool);
    this.#heldOutput.get(spool)?.[Symbol.dispose]();
    this.#heldOutput.delete(spool);
  }

  /** Its step has no daemon: what the tasks have written is kept for the next one, until the step ends. */
  holdOutput(spool: string): void {
    if (!this.#heldOutput.has(spool)) this.#heldOutput.set(spool, holdOutput(spool));
  }

  /** Unless a step lives there: the next run of a job has its steps at the same places. */
  remove(spool: string): void {
    if (!this.#needed.has(spool)) rmSync(spool, { recursive: true, force: true });
  }

  /** The plan of a step of before the restart; undefined when its spool is gone, and with it the step. */
  findPlan(run: JobRun, stepKey: StepKey): StepPlan | undefined {
    try {
      return readPlan(this.of(run, stepKey));
    } catch {
      return undefined;
    }
  }
}

/** Writes down how a process ended that a killed daemon may have started there: the daemon that takes over needs to know. */
export function noteReaped(spool: string, orphan: { readonly pid: number; readonly waitStatus: number }): void {
  const entries = readJournal(spool);
  const isTask = entries.some((entry) => (entry.kind === "started" || entry.kind === "created") && entry.process?.pid === orphan.pid);
  // A daemon that was killed while it launched may not have written the task's pid down: the next one finds the process, or not.
  if (isTask || isLaunching(entries))
    appendToJournal(spool, { kind: "reaped", pid: orphan.pid, status: parseWaitStatus(orphan.waitStatus) });
}

/** Whether a task's process may exist that is not written down. */
function isLaunching(entries: readonly JournalEntry[]): boolean {
  return entries.some(
    (entry) => entry.kind === "launching" && !entries.some((other) => other.kind === "started" && other.task === entry.task),
  );
}

/** Removes those that no step needs: a crash between making one and recording its step leaves such. */
export function sweepSpools(paths: Paths, running: Iterable<{ readonly run: JobRun; readonly stepKey: StepKey }>): void {
  const needed = new Set<string>();
  for (const { run, stepKey } of running) needed.add(stepName(run, stepKey));
  for (const dir of [paths.spool, paths.stepSockets]) {
    for (const name of readdirSync(dir)) if (!needed.has(name)) rmSync(join(dir, name), { recursive: true, force: true });
  }
}
