import { describe, expect, test } from "bun:test";
import { optionVariables } from "./option-variables.ts";

// As `env` in a job of a real Slurm 22.05 had them.
const rows: readonly (readonly [words: string, given: Parameters<typeof optionVariables>[0], wanted: Record<string, string>])[] = [
  ["sbatch", { job: { dependency: null, unused: {} }, batch: { openMode: null } }, {}],
  ["sbatch --open-mode=append", { job: { dependency: null, unused: {} }, batch: { openMode: "append" } }, { SLURM_OPEN_MODE: "a" }],
  ["sbatch --open-mode=truncate", { job: { dependency: null, unused: {} }, batch: { openMode: "truncate" } }, { SLURM_OPEN_MODE: "t" }],
  [
    "sbatch -d singleton --export=NONE",
    { job: { dependency: "singleton", unused: {} }, batch: { openMode: null }, hasLogin: true },
    { SLURM_JOB_DEPENDENCY: "singleton", SLURM_GET_USER_ENV: "1" },
  ],
  [
    "sbatch --hint=nomultithread --profile=none --acctg-freq=10 --ntasks-per-core=1 --network=x",
    {
      job: {
        dependency: null,
        unused: { hint: "nomultithread", profile: "none", "acctg-freq": "10", "ntasks-per-core": "1", network: "x" },
      },
      batch: { openMode: null },
    },
    { SLURM_ACCTG_FREQ: "10", SLURM_PROFILE: "None", SLURM_THREADS_PER_CORE: "1", SLURM_NTASKS_PER_CORE: "1" },
  ],
  [
    "salloc --profile=task,energy --acctg-freq=3 --network=k -d singleton",
    { job: { dependency: "singleton", unused: { profile: "task,energy", "acctg-freq": "3", network: "k" } } },
    { SLURM_ACCTG_FREQ: "3", SLURM_NETWORK: "k", SLURM_PROFILE: "Task,Energy" },
  ],
];

describe("optionVariables", () => {
  test.each(rows)("%s", (_words, given, wanted) => expect(optionVariables(given)).toEqual(wanted));
});
