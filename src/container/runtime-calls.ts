/**
 * Runtime operations around a task's life: query, kill, delete, and create → start → poll (oci-conf §11.2, §12).
 * Each is one bounded child with its stdout and stderr apart (Slurm merges them, so that a warning spoils the state).
 */
import { constants } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { runChild, type Result } from "#platform/child.ts";
import type { Environment } from "./environment.ts";

export type ContainerStatus = "creating" | "created" | "running" | "stopped";
export interface RuntimeState {
  readonly status: ContainerStatus;
  readonly pid: number | null;
}

/** The argument vectors of one task's operations; undefined is "never configured". */
export interface Operations {
  readonly create: Argv | undefined;
  readonly start: Argv | undefined;
  readonly run: Argv | undefined;
  readonly query: Argv | undefined;
  readonly kill: Argv | undefined;
  readonly delete: Argv | undefined;
}
export type Argv = readonly [string, ...string[]];

const OPERATION_TIMEOUT_MS = 20_000;
const QUERY_TIMEOUT_MS = 10_000;
const MAX_CREATE_POLLS = 11;
const KILL_ROUNDS = 10;
/** A query costs about 10 ms of a core. */
const MAX_POLL_MS = 3000;

export class RuntimeCalls {
  readonly operations: Operations;
  readonly #env: Environment;

  constructor(operations: Operations, env: Environment) {
    this.operations = operations;
    this.#env = env;
  }

  /** Undefined when the runtime does not know the container, or does not answer as one. */
  async query(signal: AbortSignal): Promise<RuntimeState | undefined> {
    if (this.operations.query === undefined) return undefined;
    const { status, stdout } = await this.#run(this.operations.query, signal, QUERY_TIMEOUT_MS);
    return shellCode(status) === 0 ? parseState(stdout) : undefined;
  }

  async kill(signal: AbortSignal): Promise<Result | undefined> {
    return this.operations.kill && (await this.#run(this.operations.kill, signal));
  }

  async delete(signal: AbortSignal): Promise<Result | undefined> {
    return this.operations.delete && (await this.#run(this.operations.delete, signal));
  }

  /**
   * Query; while it runs, kill in growing intervals (2.6 s in all); then delete. An unknown container needs nothing.
   * One whose process is known to have ended is only deleted.
   * @throws BerthError RUNTIME_CLEANUP when the runtime still knows it after a failed delete
   */
  async stop(signal: AbortSignal, { hasEnded = false }: { readonly hasEnded?: boolean } = {}): Promise<void> {
    if (!hasEnded) {
      let state = await this.query(signal);
      for (let round = 0, delayMs = 2.5; state?.status === "running" && round < KILL_ROUNDS; round++, delayMs *= 2) {
        await this.kill(signal);
        await sleep(delayMs, undefined, { signal });
        state = await this.query(signal);
      }
      if (state === undefined) return;
    }
    const result = await this.delete(signal);
    if (result !== undefined && shellCode(result.status) !== 0 && (await this.query(signal)) !== undefined) throw cleanupError(result);
  }

  /** After the create process ended well: waits until there is a container. @throws BerthError RUNTIME_FAILED */
  async waitCreated(signal: AbortSignal): Promise<RuntimeState> {
    let state: RuntimeState | undefined;
    for (let poll = 0, delayMs = 0.5; poll < MAX_CREATE_POLLS; poll++, delayMs *= 2) {
      state = await this.query(signal);
      if (state !== undefined && state.status !== "creating") break;
      await sleep(delayMs, undefined, { signal });
    }
    if (state !== undefined) return state;
    throw new BerthError("RUNTIME_FAILED", "Cannot start container: it was never created", {
      hint: "check what RunTimeCreate and RunTimeQuery print: berth oci check",
    });
  }

  /** RunTimeStart to its end. What it says belongs to the user when it fails. */
  async start(signal: AbortSignal): Promise<Result> {
    if (this.operations.start === undefined) throw new BerthError("RUNTIME_FAILED", "Cannot start container: RunTimeStart is not set");
    return await this.#run(this.operations.start, signal);
  }

  /**
   * Polls until the container no longer runs, less often the longer it has: at first every 5 ms, then after a twentieth
   * of its life, and at least every 3 s. One failed query is not yet an answer; three are.
   */
  async waitStopped(signal: AbortSignal): Promise<void> {
    const startedAt = performance.now();
    for (let failures = 0; failures < 3; ) {
      const state = await this.query(signal);
      if (state?.status === "stopped") return;
      failures = state === undefined ? failures + 1 : 0;
      await sleep(Math.min(Math.max((performance.now() - startedAt) / 20, 5), MAX_POLL_MS), undefined, { signal });
    }
  }

  async #run(argv: Argv, signal: AbortSignal, timeoutMs = OPERATION_TIMEOUT_MS): Promise<Result> {
    return await runChild(argv, { env: this.#env, cwd: "/", signal, timeoutMs });
  }
}

/** Only `/status` counts, in any case of letters (oci-conf §11.4); `/pid` where there is one. */
export function parseState(text: string): RuntimeState | undefined {
  let state: unknown;
  try {
    state = JSON.parse(text);
  } catch {
    return undefined;
  } // no JSON, no state
  if (typeof state !== "object" || state === null || !("status" in state) || typeof state.status !== "string") return undefined;
  const status = state.status.toLowerCase();
  if (status !== "creating" && status !== "created" && status !== "running" && status !== "stopped") return undefined;
  const pid = "pid" in state && Number.isSafeInteger(state.pid) && (state.pid as number) > 1 ? (state.pid as number) : null;
  return { status, pid };
}

export function cleanupError(result: Result): BerthError {
  return new BerthError("RUNTIME_CLEANUP", `Cannot delete container: ${explain(result)}`, {
    hint: "its record stays under the runtime's --root; delete it with the runtime's own delete --force",
  });
}

/** A runtime's own words: the last lines of stderr without control characters, or how it ended. */
export function explain(result: Result): string {
  if (result.isTimedOut) return "it did not answer in time";
  const said = readable(result.stderr) || readable(result.stdout);
  if (said !== "") return said;
  switch (result.status.kind) {
    case "exited":
      return `exit code ${result.status.code}`;
    case "signaled": {
      const { signal } = result.status;
      return `killed by ${Object.entries(constants.signals).find(([, number]) => number === signal)?.[0] ?? `signal ${signal}`}`;
    }
    case "notStarted":
      return result.status.message;
    case "unknown":
      return "its end is unknown";
  }
}

const MAX_EXPLANATION = 400;

function readable(text: string): string {
  const lines = text
    .slice(-4096)
    .split("\n")
    .map((line) => {
      const message = /\bmsg="((?:[^"\\]|\\.)*)"/.exec(line)?.[1]; // logrus, as runc writes it
      return (message?.replace(/\\(.)/g, "$1") ?? line).replace(/[\u0000-\u001f\u007f-\u009f]/g, " ").trim();
    });
  return lines
    .filter((line) => line !== "")
    .slice(-3)
    .join("; ")
    .slice(0, MAX_EXPLANATION);
}
