/** `srun`: runs tasks, in an allocation of its own or in the one it is started in (commands.md §2). */
import type { AllocationInfo, Engine, StepRequest } from "#engine/engine.ts";
import { BerthError } from "#job/errors.ts";
import { parseStepKey } from "#job/id.ts";
import type { StepRecord } from "#job/record.ts";
import type { JobRequest, StepOptions, SubmitContext } from "#job/request.ts";
import { askedVariables, hintedBinding } from "#options/bind-variables.ts";
import { parseSrun, type SrunLine } from "#options/srun.ts";
import { allocate } from "./allocate.ts";
import { containerVariables } from "./container-variables.ts";
import { environment, parseContext, submitContext } from "./context.ts";
import { openEngine } from "./engine.ts";
import { taskEnvironment } from "./export-environment.ts";
import { informationAction } from "./information.ts";
import { runSession, type SessionResult } from "./step-session.ts";
import { complain, errorExit, printError } from "./terminal.ts";

export async function srun(argv: readonly string[]): Promise<number> {
  let line = parseSrun(argv, process.env, parseContext());
  const informed = await informationAction("srun", line.action);
  if (informed !== undefined) return informed;
  complain(...line.warnings);
  if (line.step.multiProg) line = (await import("./multi-prog.ts")).withPrograms(line);
  const { bcast } = line.step;
  if (bcast !== null) line = (await import("./srun-bcast.ts")).withBcast(line, { cwd: process.cwd(), destination: bcast });
  if (line.step.mpi !== null) (await import("./mpi-types.ts")).refuseUnknownMpi(line.step.mpi);
  const exported = { ...environment(), ...containerVariables(line), ...ownVariables(line) };
  const submit = submitContext({ command: "srun", argv, chdir: line.step.chdir, environment: taskEnvironment(line.step.export, exported) });
  const engine = await openEngine();
  const exitCode = line.step.testOnly
    ? await tryJob(engine, line, submit)
    : line.step.jobId === null
      ? await runOwnJob(engine, line, submit)
      : await runInJob(engine, line, { submit, jobId: line.step.jobId });
  await engine[Symbol.asyncDispose]();
  return exitCode;
}

/** What srun tells of itself. */
function ownVariables({ job, step, verbose, quiet }: SrunLine): Record<string, string> {
  return {
    SRUN_DEBUG: String(quiet ? 2 : 3 + verbose),
    ...(step.label ? { SLURM_LABELIO: "1" } : {}),
    ...askedVariables(job.unused, "srun"),
    ...(step.cpuBinding === null ? hintedBinding(job.unused) : {}),
  };
}

function jobRequest(line: SrunLine, submit: SubmitContext): JobRequest {
  return { kind: "srun", options: line.job, submit: { ...submit, environment: {} }, batch: null, command: line.step.command[0] ?? null };
}

async function tryJob(engine: Engine, line: SrunLine, submit: SubmitContext): Promise<number> {
  try {
    const found = await engine.tryJob(jobRequest(line, submit), { signal: new AbortController().signal });
    const { testOnlyLine } = await import("./test-only.ts");
    complain(testOnlyLine("srun", found));
    return 0;
  } catch (error) {
    return printError("srun", error, { failed: "allocation failure: " });
  }
}

async function runOwnJob(engine: Engine, line: SrunLine, submit: SubmitContext): Promise<number> {
  const allocation = await allocate(engine, jobRequest(line, submit), { command: "srun", isQuiet: line.quiet });
  if (typeof allocation === "number") return allocation;
  const { held, info } = allocation;
  const result = await runStep(engine, line, { submit, info, isOwnJob: true });
  if (typeof result === "number") {
    await held.release({ code: result, signal: 0 });
    return result;
  }
  if (!result.hasEnded) await held.release(result.worst); // else the job has ended with its step
  return result.exitCode;
}

async function runInJob(
  engine: Engine,
  line: SrunLine,
  place: { readonly submit: SubmitContext; readonly jobId: number },
): Promise<number> {
  let info: AllocationInfo;
  try {
    info = await engine.findAllocation(place.jobId, { signal: new AbortController().signal });
  } catch (error) {
    return tellNoAllocation(place.jobId, error);
  }
  const result = await runStep(engine, line, { submit: place.submit, info, isOwnJob: false });
  return typeof result === "number" ? result : result.exitCode;
}

function tellNoAllocation(jobId: number, error: unknown): number {
  if (!(error instanceof BerthError) || (error.code !== "INVALID_JOB_ID" && error.code !== "ALREADY_DONE"))
    return printError("srun", error);
  complain(
    error.code === "ALREADY_DONE"
      ? `srun: error: Slurm job ${jobId} has expired`
      : `srun: error: Unable to confirm allocation for job ${jobId}: ${error.message}`,
    `srun: Check SLURM_JOB_ID environment variable. Expired or invalid job ${jobId}`,
  );
  return errorExit();
}

interface Place {
  readonly submit: SubmitContext;
  readonly info: AllocationInfo;
  readonly isOwnJob: boolean;
}

/** A number is the exit status of a step that could not be made. */
async function runStep(engine: Engine, line: SrunLine, place: Place): Promise<SessionResult | number> {
  const { jobId } = place.info.job;
  const { info } = place;
  const { step } = line;
  const prolog = scriptOf("prolog", { info, step });
  const epilog = scriptOf("epilog", { info, step });
  let record: StepRecord | undefined;
  const hasTerminal = findTerminal(line);
  const interrupt = new AbortController();
  const onInterrupt = () => interrupt.abort(new BerthError("INTERRUPTED", "Cancelled pending job step with signal 2"));
  process.once("SIGINT", onInterrupt);
  let channel: Awaited<ReturnType<Engine["runStep"]>>;
  const restore = hasTerminal === null ? undefined : (await import("#platform/libc.ts")).makeTerminalRaw(0);
  try {
    channel = await engine.runStep(stepRequest(line, place, hasTerminal), {
      signal: interrupt.signal,
      onWaiting: (text) => {
        if (!line.quiet) complain(`srun: Job ${jobId} step creation temporarily disabled, retrying (${text})`);
      },
      ...(prolog === undefined && epilog === undefined && step.bcastCopy === null
        ? {}
        : {
            beforeStart: async (created) => {
              record = created;
              if (step.bcastCopy !== null) await (await import("./srun-bcast.ts")).sendProgram(step.bcastCopy, created);
              if (prolog !== undefined) await (await import("./srun-scripts.ts")).runSrunProlog(prolog, { info, step, record });
            },
          }),
    });
  } catch (error) {
    restore?.();
    if (error instanceof BerthError && error.code === "SCRIPT_FAILED") return printError("srun", error);

    return printError("srun", error, { failed: `Unable to create step for job ${jobId}: ` });
  } finally {
    process.off("SIGINT", onInterrupt);
  }
  try {
    return await runSession(channel, {
      step: line.step,
      cwd: place.submit.workDir,
      jobName: place.info.job.name,
      killWaitSeconds: place.info.killWaitSeconds,
      isQuiet: line.quiet,
      hasTerminal: hasTerminal !== null,
      restoreTerminal: restore,
    });
  } finally {
    restore?.();
    await channel[Symbol.asyncDispose]();
    if (epilog !== undefined && record !== undefined)
      await (await import("./srun-scripts.ts")).runSrunEpilog(epilog, { info, step, record });
  }
}

/** Undefined when there is none, so that nothing is loaded and nothing waits for it. */
function scriptOf(kind: "prolog" | "epilog", place: { readonly info: AllocationInfo; readonly step: StepOptions }): string | undefined {
  const path = place.step[kind] ?? place.info.stepScripts?.[kind] ?? "";
  return path === "" || path.toLowerCase() === "none" ? undefined : path;
}

function stepRequest(line: SrunLine, place: Place, terminal: StepRequest["hasTerminal"]): StepRequest {
  const { job, resources } = line;
  return {
    jobId: place.info.job.jobId,
    options: line.step,
    // In a job of its own the layout is the job's; resources said again would only be asked for twice.
    resources,
    name: line.stepName,
    submit: place.submit,
    container: job.container,
    containerId: job.containerId,
    timeLimitMinutes: place.isOwnJob || typeof job.timeLimitMinutes !== "number" ? null : job.timeLimitMinutes,
    kind: line.step.interactive ? "interactive" : "normal",
    insideStep: place.isOwnJob ? null : findOwnStep(),
    hasTerminal: terminal,
    immediateSeconds: place.isOwnJob ? null : job.immediateSeconds,
  };
}

/** The step that this srun runs in, if it does. */
function findOwnStep(): StepRequest["insideStep"] {
  const text = process.env["SLURM_STEP_ID"];
  return text === undefined ? null : (parseStepKey(text) ?? null);
}

/** The size of the terminal for --pty; null without one, which is said as Slurm says it. */
function findTerminal(line: SrunLine): StepRequest["hasTerminal"] {
  if (!line.step.pty) return null;
  if (process.stdin.isTTY) {
    const [columns, rows] = process.stdout.isTTY ? process.stdout.getWindowSize() : [80, 24];
    return { rows, columns };
  }
  complain(
    "srun: error: ioctl(TIOCGWINSZ): Inappropriate ioctl for device",
    "srun: error: Not using a pseudo-terminal, disregarding --pty option",
  );
  return null;
}
