/**
 * Moving a container's bundle to where it runs, and what it changed back. With a site's scrun.lua (lua/) its two functions do it. Without one
 * there is none: the embedded engine runs a container where its bundle is.
 */
import { BerthError } from "#job/errors.ts";

/** As `create` found it. */
export interface StagingPlan {
  readonly script: string;
  /** A program, and its arguments before a script's name. */
  readonly interpreter: readonly [string, ...string[]];
  /** Of one call. */
  readonly timeoutSeconds: number;
  /** How long `create` waits for stage-in. */
  readonly createWaitSeconds: number;
}

export interface StagingContext {
  readonly id: string;
  readonly bundle: string;
  readonly originalBundle: string;
  readonly rootPath: string;
  readonly originalRootPath: string;
  readonly spoolDir: string;
  readonly configFile: string;
  readonly jobId: number;
  readonly userId: number;
  readonly groupId: number;
  /** `NAME=value`. */
  readonly jobEnvironment: readonly string[];
}

export interface StagedIn {
  /** 0 is success; anything else ends the container with it, and its job. */
  readonly status: number;
  readonly bundle: string;
  readonly rootPath: string;
  readonly message?: string;
}

export interface StagedOut {
  readonly status: number;
  readonly message?: string;
}

export interface Staging extends AsyncDisposable {
  stageIn(context: StagingContext, options: { readonly signal: AbortSignal }): Promise<StagedIn>;
  stageOut(context: StagingContext, options: { readonly signal: AbortSignal }): Promise<StagedOut>;
}

/** The container ends with `exitCode` before it has begun. */
export class StageInFailure extends BerthError {
  readonly exitCode: number;

  constructor(message: string, status: number) {
    super("STAGE_IN", message);
    this.exitCode = status & 0xff || 1;
  }
}
