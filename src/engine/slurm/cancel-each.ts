import { BerthError } from "#job/errors.ts";
import type { JobTarget } from "../engine.ts";

/** Neither scancel nor slurmrestd tells which of several jobs it could not cancel: each is asked for by itself. */
export async function cancelOneByOne(
  targets: readonly JobTarget[],
  cancel: (target: JobTarget) => Promise<void>,
): Promise<readonly (BerthError | null)[]> {
  const outcomes: (BerthError | null)[] = [];
  for (const target of targets) {
    try {
      await cancel(target);
      outcomes.push(null);
    } catch (error) {
      if (!(error instanceof BerthError)) throw error;
      outcomes.push(error);
    }
  }
  return outcomes;
}
