/**
 * `salloc`: an allocation and a command in it (commands.md §4). Without a container the command runs here, on the submit
 * host; with --container it runs inside, as the interactive step: that is what Slurm's guide shows (commands.md §18.2).
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { AllocationInfo, Engine, StepRequest } from "#engine/engine.ts";
import { BerthError } from "#job/errors.ts";
import { shellCode, type ExitStatus } from "#job/outcome.ts";
import type { JobRequest, StepOptions, SubmitContext } from "#job/request.ts";
import { parseSalloc, type SallocLine } from "#options/salloc.ts";
import { emptyStreams } from "#options/job-draft.ts";
import { plainStep } from "#options/plain-step.ts";
import { resourcesOf } from "#options/srun.ts";
import { makeTerminalRaw } from "#platform/libc.ts";
import { sendSignal } from "#platform/process-tree.ts";
import { spawnForeground, type RunningProcess } from "#platform/spawn.ts";
import { allocate, type Allocated } from "./allocate.ts";
import { containerVariables } from "./container-variables.ts";
import { environment, parseContext, submitContext } from "./context.ts";
import { openEngine } from "./engine.ts";
import { informationAction } from "./information.ts";
import { optionVariables } from "./option-variables.ts";
import { runSession } from "./step-session.ts";
import { complain, printError } from "./terminal.ts";

const never = new AbortController().signal;

export async function salloc(argv: readonly string[]): Promise<number> {
  const line = parseSalloc(argv, process.env, parseContext());
  const informed = await informationAction("salloc", line.action);
  if (informed !== undefined) return informed;
  complain(...line.warnings);
  const submit = submitContext({
    command: "salloc",
    argv,
    chdir: line.chdir,
    environment: { ...environment(), ...containerVariables(line), ...optionVariables(line) },
  });
  const engine = await openEngine();
  const request: JobRequest = {
    kind: "salloc",
    options: line.job,
    submit: { ...submit, environment: {} },
    batch: null,
    command: line.command[0] ?? null,
  };
  const exitCode = await run(engine, line, { request, submit });
  await engine[Symbol.asyncDispose]();
  return exitCode;
}

async function run(
  engine: Engine,
  line: SallocLine,
  facts: { readonly request: JobRequest; readonly submit: SubmitContext },
): Promise<number> {
  const allocation = await allocate(engine, facts.request, { command: "salloc", isQuiet: line.quiet });
  if (typeof allocation === "number") return allocation;
  const { held, info } = allocation;
  const tell = (text: string) => {
    if (!line.quiet) complain(`salloc: ${text}`);
  };
  tell(`Granted job allocation ${held.jobId}`);
  if (line.bell === "always" && process.stderr.isTTY) process.stderr.write("\x07");
  if (line.noShell) {
    await held.detach();
    return 0;
  }
  const giving = { isBack: false };
  const exitCode =
    line.job.container === null
      ? await runHere(line, allocation, { submit: facts.submit, giving })
      : await runInside(engine, line, { info, submit: facts.submit });
  if (!(await isHeld(engine, held))) return exitCode;
  tell(`Relinquishing job allocation ${held.jobId}`);
  giving.isBack = true;
  await held.release({ code: 0, signal: 0 });
  return exitCode;
}

/** Whether there is something to give back. The controller knows: its news may still be on their way. */
async function isHeld(engine: Engine, { jobId, ended }: Allocated["held"]): Promise<boolean> {
  try {
    await engine.findAllocation(jobId, { signal: AbortSignal.timeout(ANSWER_MS) });
    return true;
  } catch (error) {
    if (!(error instanceof BerthError) || (error.code !== "ALREADY_DONE" && error.code !== "INVALID_JOB_ID")) return true;
    await Promise.race([ended, Bun.sleep(ANSWER_MS)]); // it is said that it was revoked
    return false;
  }
}

/** For the controller to say how a job stands. */
const ANSWER_MS = 5000;

function commandOf(line: SallocLine): [string, ...string[]] {
  const [name, ...args] = line.command;
  return name === undefined ? [process.env["SHELL"] ?? "/bin/sh"] : [name, ...args];
}

/** The command on this host, with the allocation in its environment. */
async function runHere(
  line: SallocLine,
  { held, info }: Allocated,
  { submit, giving }: { readonly submit: SubmitContext; readonly giving: { readonly isBack: boolean } },
): Promise<number> {
  const argv = commandOf(line);
  const path = Bun.which(argv[0], { PATH: `${process.env["PATH"] ?? ""}:${process.cwd()}`, cwd: process.cwd() });
  if (path === null) {
    const here = resolve(argv[0]);
    complain(
      !argv[0].includes("/") && existsSync(here)
        ? `salloc: error: _fork_command: Unable to exec command "${here}": Permission denied`
        : `salloc: error: _fork_command: Unable to find command "${argv[0]}"`,
    );
    return 1;
  }
  const signals = ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"] as const;
  let child: RunningProcess | undefined;
  let isRevoked = false;
  const revoke = () => {
    if (isRevoked || giving.isBack) return; // given back by ourselves: Slurm says it now and then
    isRevoked = true;
    if (!line.quiet) complain(`salloc: Job allocation ${held.jobId} has been revoked.`);
  };
  // Ctrl-C is the command's: it is in the same foreground group. The others end the allocation (commands.md §4.3).
  const onSignal = (name: NodeJS.Signals) => {
    if (name === "SIGINT" || name === "SIGQUIT") return;
    if (name === "SIGTERM" || name === "SIGHUP") held.release({ code: 0, signal: 0 }).catch(() => undefined); // it is tried again at the end
    if (child !== undefined) sendSignal(child.pid, SIGNAL_NUMBERS[name] ?? 15);
  };
  for (const signal of signals) process.on(signal, onSignal);
  let killed = false;
  const onEnd = () => {
    revoke();
    if (line.killCommand !== null && child !== undefined) {
      killed = true;
      sendSignal(child.pid, line.killCommand);
    }
  };
  // No controller can be had any more: the command goes on, and the allocation with it.
  held.ended.then(onEnd, () => undefined);
  try {
    // The name as it was said, not where it was found: Open MPI's mpirun takes a path for its --prefix, and would look there for srun.
    child = spawnForeground([path, ...argv.slice(1)], { ...submit.environment, ...info.environment }, argv[0]);
    const status = await child.exited;
    return killed ? 1 : commandExit(status, isRevoked);
  } catch (error) {
    return printError("salloc", error);
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
  }
}

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGTERM: 15, SIGHUP: 1, SIGUSR1: 10, SIGUSR2: 12 };

/** The command's own code. After a signal it is the shell's 128 + n: Slurm's 0 would hide that it failed (commands.md §18.2). */
function commandExit(status: ExitStatus, isRevoked: boolean): number {
  return isRevoked && status.kind === "signaled" ? 0 : shellCode(status);
}

/** The command as the job's interactive step, in its container. */
async function runInside(
  engine: Engine,
  line: SallocLine,
  place: { readonly info: AllocationInfo; readonly submit: SubmitContext },
): Promise<number> {
  const hasTerminal = process.stdin.isTTY && process.stdout.isTTY;
  const [columns, rows] = hasTerminal ? process.stdout.getWindowSize() : [80, 24];
  const options = interactiveOptions(commandOf(line), hasTerminal);
  const request: StepRequest = {
    jobId: place.info.job.jobId,
    options,
    resources: { ...resourcesOf(line.job), nodesMin: 1, nodesMax: 1, tasks: 1, tasksPerNode: null },
    name: "interactive",
    submit: place.submit,
    container: line.job.container,
    containerId: line.job.containerId,
    timeLimitMinutes: null,
    kind: "interactive",
    insideStep: null,
    hasTerminal: hasTerminal ? { rows, columns } : null,
    immediateSeconds: null,
  };
  try {
    await using channel = await engine.runStep(request, { signal: never, onWaiting: () => undefined });
    const restoreTerminal = hasTerminal ? makeTerminalRaw(0) : undefined;
    try {
      const result = await runSession(channel, {
        step: options,
        cwd: place.submit.workDir,
        jobName: place.info.job.name,
        killWaitSeconds: place.info.killWaitSeconds,
        isQuiet: line.quiet,
        hasTerminal,
        restoreTerminal,
      });
      return result.exitCode;
    } finally {
      restoreTerminal?.();
    }
  } catch (error) {
    return printError("salloc", error);
  }
}

function interactiveOptions(command: readonly string[], pty: boolean): StepOptions {
  return {
    ...plainStep(),
    ...emptyStreams(),
    chdir: null,
    testOnly: false,
    command,
    pty,
    overlap: true,
    interactive: true,
    preserveEnv: true,
  };
}
