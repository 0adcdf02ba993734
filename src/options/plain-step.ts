/** A step of which nothing is said: what srun starts from, and salloc for its shell. */
import type { StepOptions } from "#job/request.ts";
import type { CommonDraft, Mutable, StreamDraft } from "./job-draft.ts";

/** All but its streams, its directory and --test-only, which srun has in common with others. */
export type StepFields = Mutable<Omit<StepOptions, keyof Omit<StreamDraft, keyof CommonDraft> | "testOnly" | "chdir">>;

export function plainStep(): StepFields {
  return {
    command: [],
    taskCommands: null,
    jobId: null,
    label: false,
    unbuffered: false,
    pty: false,
    killOnBadExit: null,
    waitSeconds: null,
    exact: false,
    overlap: false,
    relativeNode: null,
    interactive: false,
    preserveEnv: false,
    multiProg: false,
    mpi: null,
    cpuBind: null,
    cpuBinding: null,
    hintedBinding: null,
    taskProlog: null,
    taskEpilog: null,
    prolog: null,
    epilog: null,
    disableStatus: false,
    quitOnInterrupt: false,
    bcast: null,
    bcastCopy: null,
  };
}
