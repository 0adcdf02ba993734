/**
 * The plan of a step: everything its step daemon needs, written by the engine into the step's spool directory
 * before the daemon is told, so that a daemon that takes over after a crash finds it there.
 *
 *   SPOOL/plan.json       this plan
 *   SPOOL/slurm_script    the batch script, when the step is one
 *   SPOOL/journal         what happened so far (journal.ts)
 *   SPOOL/*.fifo          streams of tasks (stdio.ts)
 *   SPOOL/oci-job…/       spool directories of containers (container/)
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { StepFacts } from "#job/environment.ts";

/** `client` streams pass through srun; the others are opened by the step daemon, per task. */
export type StreamPlan =
  | { readonly kind: "client" }
  | { readonly kind: "null" }
  | { readonly kind: "file"; readonly pattern: string; readonly append: boolean }
  /** Standard error that joins standard output's file. */
  | { readonly kind: "stdout" };

export interface StepPlan {
  readonly facts: StepFacts;
  readonly jobName: string;
  readonly user: { readonly name: string; readonly uid: number; readonly gid: number };
  readonly arrayJobId: number;
  readonly arrayTaskId: number | null;
  /** One command for all tasks, or one for each (--multi-prog). */
  readonly commands: readonly (readonly string[])[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workDir: string;
  readonly rlimits: Readonly<Record<string, number>>;
  readonly stdin: StreamPlan;
  readonly stdout: StreamPlan;
  readonly stderr: StreamPlan;
  /** Task 0 gets a terminal of this size. */
  readonly terminal: { readonly rows: number; readonly columns: number } | null;
  readonly container: {
    readonly bundle: string;
    /** Generic resources of the step by node: which devices its containers get. */
    readonly gres?: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;
  } | null;
  /** Why it cannot be launched, found out when it was too late to refuse it. */
  readonly refusal?: { readonly message: string; readonly errno: number; readonly hint: string } | null;
  /** Devices that no other step gets meanwhile, by node and pool. */
  readonly heldGres?: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>>;
  readonly isBatch: boolean;
  /** Run by its owner, not by a step daemon (engine/own-step.ts). */
  readonly isOwned?: boolean;
  readonly taskProlog: string | null;
  readonly taskEpilog: string | null;
  /** TaskProlog= and TaskEpilog= of berth.conf. */
  readonly siteTaskProlog?: string | null;
  readonly siteTaskEpilog?: string | null;
  readonly killWaitSeconds: number;
  readonly socketPath: string;
  readonly configDirs: readonly string[];
  readonly stateDir: string;
  readonly runtimeRoot: string;
}

export interface TaskScript {
  readonly path: string;
  readonly owner: "site" | "user";
}

export function prologsOf({ siteTaskProlog, taskProlog }: StepPlan): TaskScript[] {
  return [...scriptOf(siteTaskProlog, "site"), ...scriptOf(taskProlog, "user")];
}

export function epilogsOf({ siteTaskEpilog, taskEpilog }: StepPlan): TaskScript[] {
  return [...scriptOf(taskEpilog, "user"), ...scriptOf(siteTaskEpilog, "site")];
}

function scriptOf(path: string | null | undefined, owner: TaskScript["owner"]): TaskScript[] {
  return path == null ? [] : [{ path, owner }];
}

export const SCRIPT_FILE = "slurm_script";

function planPath(spoolDir: string): string {
  return join(spoolDir, "plan.json");
}

/** Not synced: after a power cut there is no step to take over. */
export function writePlan(spoolDir: string, plan: StepPlan): void {
  writeFileSync(planPath(spoolDir), JSON.stringify(plan), { mode: 0o600, flag: "wx" });
}

export function readPlan(spoolDir: string): StepPlan {
  return JSON.parse(readFileSync(planPath(spoolDir), "utf8")) as StepPlan; // our own file in our own 0700 directory
}
