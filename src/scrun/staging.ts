/**
 * Moving a bundle to where it runs, and what it changed back: scrun.lua of a site (lua/), or Berth's own (stage/). In place,
 * which is all that the embedded engine needs, there is none.
 */
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
  /** 0 is success; anything else ends the container with it. */
  readonly status: number;
  readonly bundle: string;
  readonly rootPath: string;
  readonly message?: string;
}

export interface StagedOut {
  readonly status: number;
  readonly message?: string;
}

export interface Staging {
  stageIn(context: StagingContext, options: { readonly signal: AbortSignal }): Promise<StagedIn>;
  stageOut(context: StagingContext, options: { readonly signal: AbortSignal }): Promise<StagedOut>;
}
