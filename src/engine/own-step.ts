/**
 * A step whose one process its caller starts and watches, because no step daemon could: a container that has to be made
 * inside the namespaces of podman or dockerd. The engine records it, tells its owner what it wants, and ends it when the
 * owner is gone.
 */
import type { JobId } from "#job/id.ts";
import type { ExitStatus } from "#job/outcome.ts";
import type { JobRecord, StepRecord } from "#job/record.ts";
import type { SubmitContext } from "#job/request.ts";
import type { AbortReason } from "./engine.ts";

export interface OwnStepRequest {
  readonly jobId: JobId;
  readonly name: string;
  readonly submit: SubmitContext;
  readonly container: string | null;
  readonly containerId: string | null;
  readonly annotations: Readonly<Record<string, string>>;
}

export type OwnStepOrder =
  | { readonly kind: "terminate"; readonly reason: AbortReason; readonly hard: boolean }
  | { readonly kind: "signal"; readonly signal: number }
  | { readonly kind: "message"; readonly text: string };

export interface OwnStepEnd {
  readonly status: ExitStatus;
  readonly userCpuMs: number;
  readonly systemCpuMs: number;
  readonly maxRssKib: number | null;
  readonly outOfMemory: boolean;
}

export interface OwnStep {
  readonly step: StepRecord;
  readonly job: JobRecord;
  /** SLURM_* of its process. */
  readonly environment: Readonly<Record<string, string>>;
  /** Indices of generic resources by name. */
  readonly gres: Readonly<Record<string, readonly number[]>>;
  readonly killWaitSeconds: number;
  /** Resolves when the engine has reached its caller; until then nobody else should hear of the step's process. */
  readonly ready: Promise<void>;
  /** Written down before it returns: whoever takes over knows what to kill. A pid alone is no identity. */
  started(process: { readonly pid: number; readonly startTicks: number }): void;
  /** Written down at once; resolves when the engine has it too, or is away for longer than its caller can wait. */
  ended(end: OwnStepEnd): Promise<void>;
}
