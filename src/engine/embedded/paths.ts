/** Where the embedded engine keeps its things. */
import { join } from "node:path";
import type { JobId, StepKey } from "#job/id.ts";
import { directories, SITE_CONFIG_DIR, type Directories } from "#platform/directories.ts";

export interface Paths extends Directories {
  readonly socket: string;
  readonly lock: string;
  readonly database: string;
  readonly spool: string;
  readonly stepSockets: string;
  /** Of OCI runtimes that Berth chooses itself. */
  readonly runtimeRoot: string;
  /** In the order they are searched. */
  readonly configDirs: readonly string[];
}

export function enginePaths(): Paths {
  const found = directories();
  return {
    ...found,
    socket: join(found.runtime, "berthd.sock"),
    lock: join(found.runtime, "berthd.lock"),
    database: join(found.state, "berth.db"),
    spool: join(found.state, "spool"),
    stepSockets: join(found.runtime, "steps"),
    runtimeRoot: join(found.runtime, "oci"),
    configDirs: [found.config, SITE_CONFIG_DIR],
  };
}

export function stepSpool(paths: Paths, jobId: JobId, stepKey: StepKey): string {
  return join(paths.spool, `${jobId}.${stepKey}`);
}

export function stepSocket(paths: Paths, jobId: JobId, stepKey: StepKey): string {
  return join(paths.stepSockets, `${jobId}.${stepKey}`);
}
