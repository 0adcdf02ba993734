/** sstat (commands.md §10): what running steps use now, measured when it is asked. */
import type { Engine, JobTarget } from "#engine/engine.ts";
import { nowMs } from "#job/id.ts";
import type { JobRecord, StepRecord } from "#job/record.ts";
import { parseSstat, type SstatLine } from "#options/sstat.ts";
import { sortAccountedSteps } from "#format/accounting-order.ts";
import { renderSstat, SSTAT_PIDS_FORMAT, sstatHelpFormat } from "#format/sstat.ts";
import { openEngine } from "./engine.ts";
import { informationAction } from "./information.ts";
import { ANY_JOB, isTargetStep, targetText } from "./job-filter.ts";
import { timeFormat, UNTIL_ENDED } from "./query.ts";
import { complain, printError, printRows } from "./terminal.ts";

export async function sstat(argv: readonly string[]): Promise<number> {
  const line = parseSstat(argv);
  const status = await informationAction("sstat", line.action);
  if (status !== undefined) return status;
  if (line.helpFormat) {
    printRows(sstatHelpFormat());
    return 0;
  }
  await using engine = await openEngine();
  try {
    return await print(line, engine);
  } catch (error) {
    return printError("sstat", error, { exitStatus: 1 });
  }
}

async function print(line: SstatLine, engine: Engine): Promise<number> {
  const jobIds = line.jobs.map(({ jobId }) => jobId);
  const [jobs, steps] = await Promise.all([engine.jobs({ ...ANY_JOB, jobIds }, UNTIL_ENDED), engine.steps({ jobId: null }, UNTIL_ENDED)]);
  const uses = await engine.measureSteps(
    jobs.map(({ jobId }) => jobId),
    UNTIL_ENDED,
  );
  const byId = new Map<number, JobRecord>(jobs.map((job) => [job.jobId, job]));
  const found = line.jobs.map((target) => chosenSteps(target, steps, byId, line));
  printRows(
    renderSstat({
      steps: found.flat().flatMap((step) => {
        const use = uses.find(({ jobId, stepKey }) => jobId === step.jobId && stepKey === step.stepKey) ?? null;
        const live = { step, job: byId.get(step.jobId), use };
        const pidsOn = (node: string) => use?.tasks.flatMap((task) => (task.node === node ? task.pids : [])) ?? [];
        // Process ids mean something on their node only.
        return line.pids
          ? step.nodes.map((node) => ({ ...live, step: { ...step, nodes: [node] }, pids: pidsOn(node) }))
          : [{ ...live, pids: step.nodes.flatMap(pidsOn) }];
      }),
      format: line.pids ? SSTAT_PIDS_FORMAT : line.format,
      nowMs: nowMs(),
      timeFormat: timeFormat(),
      sizes: { unit: null, noConvert: line.noConvert },
      noHeader: line.noHeader,
      parsable: line.parsable === null ? "none" : line.parsable === "closing" ? "ended" : "separated",
      delimiter: "|",
    }),
  );
  for (const [i, target] of line.jobs.entries()) {
    if (found[i]?.length === 0) complain(`sstat: error: couldn't get steps for job ${targetText(target)}`);
  }
  return 0; // also when nothing was found [T sstat-01]
}

/** The step that was named, all with -a, else the lowest numbered one, or the script when it is alone. */
function chosenSteps(target: JobTarget, steps: readonly StepRecord[], jobs: ReadonlyMap<number, JobRecord>, line: SstatLine): StepRecord[] {
  const own = sortAccountedSteps(steps.filter((step) => isTargetStep(target, step, jobs.get(step.jobId))));
  if (line.allSteps || target.stepKey !== null) return own;
  const first = own.find((step) => typeof step.stepKey === "number") ?? own[0];
  return first === undefined ? [] : [first];
}
