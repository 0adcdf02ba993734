/** Spool directories that no step needs: a crash between making one and recording its step leaves such. */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { StepKey } from "#job/id.ts";
import { stepName, type JobRun, type Paths } from "./paths.ts";

export function sweepSpool(paths: Paths, running: Iterable<{ readonly run: JobRun; readonly stepKey: StepKey }>): void {
  const needed = new Set<string>();
  for (const { run, stepKey } of running) needed.add(stepName(run, stepKey));
  for (const dir of [paths.spool, paths.stepSockets]) {
    for (const name of readdirSync(dir)) if (!needed.has(name)) rmSync(join(dir, name), { recursive: true, force: true });
  }
}
