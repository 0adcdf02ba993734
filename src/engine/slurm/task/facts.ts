/** What the site's Slurm tells a task in its environment (srun(1), sbatch(1), "OUTPUT ENVIRONMENT VARIABLES"). Pure. */
import { BerthError } from "#job/errors.ts";
import { STEP_NUMBERS, type StepKey } from "#job/id.ts";

export interface TaskFacts {
  readonly jobId: number;
  readonly stepKey: StepKey;
  readonly nodeName: string;
  readonly localId: number;
  readonly rank: number;
  /** Directory of the node's slurm.conf, where its oci.conf would be. */
  readonly slurmDirs: readonly string[];
}

type Env = Readonly<Record<string, string | undefined>>;

/** @throws BerthError NOT_IN_STEP */
export function readTaskFacts(env: Env, options: { readonly isBatch: boolean; readonly hostName: string }): TaskFacts {
  const jobId = numberOf(env["SLURM_JOB_ID"] ?? env["SLURM_JOBID"]);
  if (jobId === undefined) {
    throw new BerthError("NOT_IN_STEP", "Cannot run a task here: SLURM_JOB_ID is not set", {
      hint: "berth task is started by Slurm, on behalf of berth srun, sbatch and salloc: use those",
    });
  }
  return {
    jobId,
    stepKey: options.isBatch ? "batch" : stepKeyOf(env["SLURM_STEP_ID"] ?? env["SLURM_STEPID"]),
    nodeName: env["SLURMD_NODENAME"] ?? options.hostName,
    localId: numberOf(env["SLURM_LOCALID"]) ?? 0,
    rank: numberOf(env["SLURM_PROCID"]) ?? 0,
    slurmDirs: slurmDirs(env["SLURM_CONF"]),
  };
}

function slurmDirs(conf: string | undefined): readonly string[] {
  const at = conf?.lastIndexOf("/") ?? -1;
  return [...(conf !== undefined && at > 0 ? [conf.slice(0, at)] : []), "/etc/slurm", "/etc/slurm-llnl", "/usr/local/etc/slurm"];
}

function stepKeyOf(text: string | undefined): StepKey {
  const number = numberOf(text);
  if (number === undefined) return "batch";
  const named = (Object.keys(STEP_NUMBERS) as (keyof typeof STEP_NUMBERS)[]).find((name) => STEP_NUMBERS[name] === number);
  return named ?? number;
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}
