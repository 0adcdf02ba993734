/**
 * Variables that sbatch and salloc set out of their options, so that an srun of the job takes them over: a step whose
 * batch script appends to its files appends too.
 */
import type { JobOptions } from "#job/request.ts";
import { askedVariables } from "#options/bind-variables.ts";

interface Given {
  readonly job: Pick<JobOptions, "dependency" | "unused">;
  /** What only a batch job has. */
  readonly batch?: { readonly openMode: "append" | "truncate" | null };
  /** The login environment was asked for, or --export says anything but ALL. */
  readonly hasLogin?: boolean;
}

export function optionVariables({ job, batch, hasLogin = false }: Given): Record<string, string> {
  const { unused, dependency } = job;
  const both = {
    SLURM_ACCTG_FREQ: unused["acctg-freq"],
    SLURM_PROFILE: unused["profile"]?.toLowerCase().replaceAll(/\b[a-z]/g, (letter) => letter.toUpperCase()),
  };
  const chosen =
    batch === undefined
      ? { ...both, SLURM_NETWORK: unused["network"] }
      : {
          ...both,
          SLURM_GET_USER_ENV: hasLogin ? "1" : undefined,
          SLURM_JOB_DEPENDENCY: dependency ?? undefined,
          SLURM_NTASKS_PER_CORE: unused["ntasks-per-core"],
          SLURM_OPEN_MODE: batch.openMode?.charAt(0),
          SLURM_THREADS_PER_CORE: unused["hint"] === "nomultithread" ? "1" : undefined,
        };
  const asked = askedVariables(unused, batch === undefined ? "salloc" : "sbatch");
  return Object.fromEntries(Object.entries({ ...asked, ...chosen }).filter((entry): entry is [string, string] => entry[1] !== undefined));
}
