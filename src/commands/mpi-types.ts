/** What `--mpi` may say here, and what srun answers to anything else (commands.md §2.1). */
import { findPmixLibrary } from "#platform/pmix-library.ts";
import { UsageError } from "#options/usage-error.ts";
import { errorExit } from "./terminal.ts";

/** Of Debian's libpmix2, by Slurm's name for it. */
const PMIX_VERSION = "pmix_v4";

/** `srun --mpi=list` */
export function mpiTypeLines(): readonly string[] {
  const hasPmix = findPmixLibrary() !== undefined;
  return [
    "MPI plugin types are...",
    ...(hasPmix ? ["\tpmix"] : []),
    "\tnone",
    "\tpmi2",
    ...(hasPmix ? [`specific pmix plugin versions available: ${PMIX_VERSION}`] : []),
  ];
}

/** @throws UsageError */
export function refuseUnknownMpi(type: string): void {
  const isPmix = type === "pmix" || type === PMIX_VERSION;
  if (type === "none" || type === "pmi2" || (isPmix && findPmixLibrary() !== undefined)) return;
  throw new UsageError(
    [
      `srun: error: Couldn't find the specified plugin name for mpi/${type} looking at all files`,
      `srun: error: cannot find mpi plugin for mpi/${type}`,
      `srun: error: MPI: Cannot create context for mpi/${type}`,
      "srun: error: MPI: Unable to load any plugin",
      `srun: error: Invalid MPI type '${type}', --mpi=list for acceptable types`,
      ...(isPmix ? ["srun: error: pmix needs PMIx's library, libpmix.so.2 (Debian: libpmix2)"] : []),
    ],
    errorExit(),
  );
}
