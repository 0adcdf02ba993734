/** Spool directories that no step needs: a crash between making one and recording its step leaves such. */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { JobId, StepKey } from "#job/id.ts";
import type { Paths } from "./paths.ts";

export function sweepSpool(paths: Paths, running: readonly { readonly jobId: JobId; readonly stepKey: StepKey }[]): void {
  const needed = new Set(running.map(({ jobId, stepKey }) => `${jobId}.${stepKey}`));
  for (const dir of [paths.spool, paths.stepSockets]) {
    for (const name of readdirSync(dir)) if (!needed.has(name)) rmSync(join(dir, name), { recursive: true, force: true });
  }
}
