import { BerthError } from "#job/errors.ts";
import { shellCode, type ExitStatus } from "#job/outcome.ts";
import type { JobTarget } from "../engine.ts";
import { siteError } from "./errors.ts";

type Outcome = BerthError | null;

/** Where nobody tells which of several could not be cancelled, each is asked for by itself. */
export async function cancelOneByOne(
  targets: readonly JobTarget[],
  cancel: (target: JobTarget) => Promise<void>,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
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

/** Well below what a command line holds. */
const AT_ONCE = 1000;

interface Said {
  readonly status: ExitStatus;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Whole jobs in as few calls of scancel as can be; it names those that it could not cancel. Tasks of arrays and steps go one by one:
 * scancel 22.05 was seen to take `12_[1-2]` among other jobs for all of 12.
 */
export async function cancelTogether(
  targets: readonly JobTarget[],
  {
    scancel,
    cancel,
  }: { readonly scancel: (jobIds: readonly string[]) => Promise<Said>; readonly cancel: (target: JobTarget) => Promise<void> },
): Promise<readonly Outcome[]> {
  const isWhole = ({ arrayTasks, stepKey }: JobTarget) => arrayTasks === null && stepKey === null;
  const whole = targets.filter(isWhole);
  const outcomes = new Map<JobTarget, Outcome>();
  for (let start = 0; start < whole.length; start += AT_ONCE) {
    const some = whole.slice(start, start + AT_ONCE);
    if (some.length === 1) continue;
    const said = await scancel(some.map(({ jobId }) => String(jobId)));
    const errors = parseKillErrors(`${said.stdout}\n${said.stderr}`);
    // A failure that names no job is that of all.
    if (shellCode(said.status) !== 0 && errors.size === 0) throw siteError("scancel", `${said.stdout}\n${said.stderr}`);
    for (const target of some) {
      const line = errors.get(String(target.jobId));
      outcomes.set(target, line === undefined ? null : siteError("scancel", line));
    }
  }
  const others = targets.filter((target) => !outcomes.has(target));
  for (const [index, outcome] of (await cancelOneByOne(others, cancel)).entries()) outcomes.set(others[index] as JobTarget, outcome);
  return targets.map((target) => outcomes.get(target) ?? null);
}

/** `scancel: error: Kill job error on job id 99999: Invalid job id specified`, by job. */
function parseKillErrors(said: string): ReadonlyMap<string, string> {
  return new Map(
    said.split("\n").flatMap((line) => {
      const id = /Kill job error on job id (\d+):/.exec(line)?.[1];
      return id === undefined ? [] : [[id, line] as const];
    }),
  );
}
