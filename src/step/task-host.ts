/** What a task needs of its step, and tells it. */
import type { StepContainer } from "#container/step-container.ts";
import type { ReapedChild } from "#platform/libc.ts";
import type { ProcessIdentity } from "#platform/process-tree.ts";
import type { MpiStep } from "./mpi-step.ts";
import type { StepPlan } from "./plan.ts";
import type { StreamOpener } from "./stdio.ts";

export type OutputStream = "stdout" | "stderr";

export interface TaskHost {
  readonly plan: StepPlan;
  container(node: string): StepContainer | null;
  readonly mpi: MpiStep | null;
  readonly streams: StreamOpener;
  expand(pattern: string, rank: number): string;
  /** A promise means: wait, the client is slow. */
  output(rank: number, stream: OutputStream, bytes: Uint8Array): Promise<void> | undefined;
  /** The process is about to exist. */
  launching(rank: number): void;
  /** A prolog or epilog runs. */
  scriptStarted(pid: number): void;
  /** The process exists: to be journalled before anything else happens. */
  started(rank: number, pid: number): void;
  /** Create and start flow: the container exists; the same. */
  created(rank: number, process: ProcessIdentity | null): void;
  /** How an orphan that we inherited ends; undefined when it is not ours. */
  expectOrphan(identity: ProcessIdentity): Promise<ReapedChild> | undefined;
  readonly spoolDir: string;
  /** The step is killed: nothing is waited for that a signal did not reach. */
  readonly killed: AbortSignal;
  /** The step is being ended: nothing new is started. */
  readonly ending: AbortSignal;
}
