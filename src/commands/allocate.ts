/** Getting an allocation for srun and salloc: the messages while it waits, -I, and Ctrl-C (commands.md §2.2, §4.1). */
import type { AllocationInfo, Engine, HeldAllocation } from "#engine/engine.ts";
import { BerthError, slurmError } from "#job/errors.ts";
import type { JobRequest } from "#job/request.ts";
import { complain, errorExit, printError } from "./terminal.ts";

export interface Allocated {
  readonly held: HeldAllocation;
  readonly info: AllocationInfo;
}

class Interrupted extends Error {}

/** A number is the exit status of a request that failed; everything has been said then. */
export async function allocate(
  engine: Engine,
  request: JobRequest,
  options: { readonly command: "srun" | "salloc"; readonly isQuiet: boolean },
): Promise<Allocated | number> {
  const { command } = options;
  const info = (line: string) => {
    if (!options.isQuiet) complain(`${command}: ${line}`);
  };
  const withdraw = new AbortController();
  const onSignal = () => withdraw.abort(new Interrupted());
  const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;
  for (const signal of signals) process.on(signal, onSignal);
  let jobId: number | undefined;
  let granted: AllocationInfo | undefined;
  let patience: ReturnType<typeof setTimeout> | undefined;
  const { immediateSeconds } = request.options;
  try {
    const held = await engine.allocate(request, {
      signal: withdraw.signal,
      onEvent: (event) => {
        if (event.kind === "message") {
          complain(`${command}: ${event.text}`);
          return;
        }
        if (event.kind === "granted") {
          granted = event.info;
          if (event.waited) info(`job ${event.info.job.jobId} has been allocated resources`);
          return;
        }
        ({ jobId } = event);
        if (immediateSeconds !== null && immediateSeconds <= 1) {
          withdraw.abort(slurmError("NODES_BUSY"));
          return;
        }
        if (immediateSeconds !== null) patience = setTimeout(() => withdraw.abort(slurmError("NODES_BUSY")), immediateSeconds * 1000);
        if (event.configUnavailable) info("Requested partition configuration not available now");
        if (command === "salloc") info(`Pending job allocation ${jobId}`);
        info(`job ${jobId} queued and waiting for resources`);
      },
    });
    if (granted === undefined) throw new Error("granted without an allocation");
    return { held, info: granted };
  } catch (error) {
    await settle(engine, jobId);
    return failed(error, { command, jobId, immediateSeconds });
  } finally {
    clearTimeout(patience);
    for (const signal of signals) process.off(signal, onSignal);
  }
}

/** The withdrawal has reached the controller before we leave. */
async function settle(engine: Engine, jobId: number | undefined): Promise<void> {
  if (jobId === undefined) return;
  await engine.cancel({ jobId, arrayTasks: null, stepKey: null }, { signal: AbortSignal.timeout(2000) }).catch(() => undefined);
}

function failed(
  error: unknown,
  facts: { readonly command: "srun" | "salloc"; readonly jobId: number | undefined; readonly immediateSeconds: number | null },
): number {
  const { command, jobId } = facts;
  const isSrun = command === "srun";
  if (error instanceof Interrupted) {
    complain(
      `${command}: Job allocation ${jobId ?? ""} has been revoked${isSrun ? "" : "."}`,
      isSrun ? `srun: Force Terminated JobId=${jobId ?? ""}` : "salloc: Job aborted due to signal",
    );
    return errorExit();
  }
  if (error instanceof BerthError && error.code === "ALREADY_DONE" && jobId !== undefined) {
    complain(
      ...(isSrun
        ? ["srun: Job has been cancelled"]
        : [`salloc: Job allocation ${jobId} has been revoked.`, "salloc: Job has been cancelled"]),
    );
    return printError(command, slurmError("ALREADY_DONE"), { failed: FAILED[command] });
  }
  if (error instanceof BerthError && error.code === "NODES_BUSY") {
    return printError(command, error, { failed: "Unable to allocate resources: ", exitStatus: immediateExit() });
  }
  return printError(command, error, { failed: FAILED[command] });
}

const FAILED = { srun: "Unable to allocate resources: ", salloc: "Job submit/allocate failed: " } as const;

/** SLURM_EXIT_IMMEDIATE replaces the 1 of a failed -I. */
function immediateExit(): number {
  const text = process.env["SLURM_EXIT_IMMEDIATE"] ?? "";
  return /^\d{1,3}$/.test(text) ? Number(text) & 255 : 1;
}
