/**
 * One task's container in the create and start flow (oci-conf §11.2), from the end of RunTimeCreate on:
 *
 *   query until "created" ─► journal: created, its process ─► RunTimeStart ─► the process ends
 *
 * The container's first process was started by the create command, which has gone: so it is our child (the step daemon
 * is a subreaper), and its exit status is the task's. Slurm asks RunTimeQuery for ever instead, and never learns the
 * status; that is left for runtimes that name no process. A runtime that keeps the process as its own child (behind
 * sudo, or a monitor) is in between: the process can be watched, and only Linux 6.15 tells how it ended.
 */
import type { RuntimeState } from "#container/runtime-calls.ts";
import type { StepContainer } from "#container/step-container.ts";
import { BerthError } from "#job/errors.ts";
import { parseWaitStatus, type ExitStatus } from "#job/outcome.ts";
import type { ReapedChild } from "#platform/libc.ts";
import { identify, type ProcessIdentity } from "#platform/process-tree.ts";
import type { Usage } from "#platform/spawn.ts";
import { adoptProcess, watchForeign } from "./adopted-process.ts";

/** A task's process, or a container that has none that we could see. */
export interface TaskLife {
  readonly pid: number | null;
  readonly exited: Promise<ExitStatus>;
  usage(): Usage | null;
}

export interface CreatedHost {
  readonly container: StepContainer;
  readonly localId: number;
  readonly spoolDir: string;
  /** Undefined when it is no child of this process. */
  expectOrphan(identity: ProcessIdentity): Promise<ReapedChild> | undefined;
  /** To be journalled before the container is started. */
  created(process: ProcessIdentity | null): void;
  /** Ends every wait for what cannot be killed directly. */
  readonly signal: AbortSignal;
}

export interface StartedContainer extends TaskLife {
  /** Signals to the step's processes do not reach it: RunTimeKill has to. */
  readonly isForeign: boolean;
}

/**
 * Starts the container that RunTimeCreate made.
 * @param past what a step daemon before us wrote; undefined when it had not come so far
 * @throws BerthError RUNTIME_FAILED; the signal's reason
 */
export async function startCreated(
  host: CreatedHost,
  past?: ProcessIdentity | null,
): Promise<StartedContainer | (ExitStatus & { readonly reason: string })> {
  const { container, localId, signal } = host;
  const state = await container.createdTask(localId, { pid: past?.pid ?? null, signal });
  const isTakeOver = past !== undefined;
  if (state.status !== "created" && !isTakeOver) throw unexpected(state);
  const process = past !== undefined ? past : state.pid === null ? null : (identify(state.pid) ?? null);
  // Before it is started: a short container may end before we could look again.
  const life = isTakeOver && process !== null ? { ...adoptProcess(process, host.spoolDir), isForeign: false } : follow(host, process);
  if (!isTakeOver) host.created(process);
  if (state.status === "created") {
    const result = await container.startTask(localId, { pid: process?.pid ?? null, signal });
    if (result.kind === "failed") return { ...result.status, reason: `Cannot start container: ${result.reason}` };
  }
  return life ?? poll(host);
}

function follow(host: CreatedHost, process: ProcessIdentity | null): StartedContainer | undefined {
  if (process === null) return undefined;
  const end = host.expectOrphan(process);
  if (end === undefined) return { ...watchForeign(process, host), isForeign: true };
  let usage: Usage | null = null;
  return {
    pid: process.pid,
    isForeign: false,
    usage: () => usage,
    exited: end.then((child) => {
      usage = { userCpuMs: child.userCpuMs, systemCpuMs: child.systemCpuMs, maxRssKib: child.maxRssKib };
      return parseWaitStatus(child.waitStatus);
    }),
  };
}

function poll({ container, localId, signal }: CreatedHost): StartedContainer {
  return {
    pid: null,
    isForeign: true,
    usage: () => null,
    exited: container.waitTask(localId, { pid: null, signal }).then(() => ({ kind: "unknown" })),
  };
}

function unexpected(state: RuntimeState): BerthError {
  return new BerthError("RUNTIME_FAILED", `Cannot start container: expected status "created", found "${state.status}"`, {
    hint: "another container may have the same id: put %n, %j, %s and %t in it",
  });
}
