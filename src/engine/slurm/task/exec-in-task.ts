/** `scrun exec` at its other end: a process in the container of a task that runs on this node. */
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isObject, openList, parseJson, printJson } from "#container/json.ts";
import { chooseRuntime } from "#container/runtime-choice.ts";
import { containerId } from "#container/runtime.ts";
import { BerthError } from "#job/errors.ts";
import { stepNumber } from "#job/id.ts";
import { shellCode, type ExitStatus } from "#job/outcome.ts";
import { runChild } from "#platform/child.ts";
import { isTerminal } from "#platform/libc.ts";
import { spawnForeground } from "#platform/spawn.ts";
import { nodeDirs } from "../node-dirs.ts";
import { readOwner, type Owner } from "./task-dir.ts";

/** A container is asked for as soon as its step is known, and may still be on its way. */
const PATIENCE_MS = 20_000;
const ASK_MS = 5000;
const never = new AbortController().signal;

/** @param processText an OCI process object, as JSON. @throws BerthError when there is no such container, or its runtime has no exec */
export async function execInTask(step: string, processText: string): Promise<ExitStatus> {
  const { path, call, id } = await findContainer(step);
  const file = join(path, `exec-${process.pid}.json`);
  writeFileSync(file, withJobVariables(processText), { mode: 0o600 });
  try {
    return await spawnForeground([...call, "exec", "--process", file, id], RUNTIME_ENVIRONMENT).exited;
  } finally {
    rmSync(file, { force: true });
  }
}

/** To the container's first process alone, as OCI's kill; Slurm's own signals reach all of a step. @throws BerthError */
export async function signalTask(step: string, signal: string): Promise<ExitStatus> {
  const { call, id } = await findContainer(step);
  return await spawnForeground([...call, "kill", id, signal], RUNTIME_ENVIRONMENT).exited;
}

export const RUNTIME_ENVIRONMENT = { PATH: process.env["PATH"] ?? "/usr/bin:/bin" } as const;

export interface FoundContainer {
  /** The task's directory. */
  readonly path: string;
  /** The runtime with its global options. */
  readonly call: [string, ...string[]];
  readonly id: string;
  /** Its first process, on this node. */
  readonly initPid: number;
}

/** Waits for one that is on its way. @throws BerthError */
export async function findContainer(step: string): Promise<FoundContainer> {
  const { path, owner } = await findTask(step);
  if (owner.step.confFile !== null)
    throw new BerthError("NOT_SUPPORTED", "Cannot execute in a container of an oci.conf's runtime: oci.conf has no operation for it", {
      hint: "remove the oci.conf, so that Berth calls crun or runc itself",
    });
  const runtime = await chooseRuntime(owner.step.stateDir, { signal: never });
  const { nodeName, userName, jobId, stepKey, runtimeRoot } = owner.step;
  const id = containerId({ nodeName, userName, jobId, stepId: stepNumber(stepKey), localId: owner.localId, runtimeRoot });
  const call: [string, ...string[]] = [runtime.path, "--root", runtimeRoot];
  return { path, call, id, initPid: await untilRunning([...call, "state", id]) };
}

async function findTask(step: string): Promise<{ readonly path: string; readonly owner: Owner }> {
  const { tasks } = nodeDirs();
  for (const deadline = performance.now() + PATIENCE_MS; ; await Bun.sleep(20)) {
    const name = list(tasks).find((entry) => entry.startsWith(`${step}.0-`));
    const owner = name === undefined ? undefined : readOwner(join(tasks, name));
    if (name !== undefined && owner !== undefined) return { path: join(tasks, name), owner };
    if (performance.now() > deadline) throw new BerthError("CONTAINER_STOPPED", `No container of step ${step} runs on this node`);
  }
}

/** Gives its first process. */
async function untilRunning(state: readonly [string, ...string[]]): Promise<number> {
  for (const deadline = performance.now() + PATIENCE_MS; ; await Bun.sleep(20)) {
    const { status, stdout } = await runChild(state, { env: RUNTIME_ENVIRONMENT, cwd: "/", signal: never, timeoutMs: ASK_MS });
    const pid = Number(/"pid":\s*(\d+)/.exec(stdout)?.[1]);
    if (shellCode(status) === 0 && pid > 1 && /"status":\s*"(?:running|paused)"/.test(stdout)) return pid;
    if (performance.now() > deadline) throw new BerthError("CONTAINER_STOPPED", "The container does not run");
  }
}

/** The step's, as far as the process does not set them. */
function withJobVariables(text: string): string {
  const specification = parseJson(text);
  if (!isObject(specification)) throw new BerthError("USAGE", "The process to execute is no JSON object");
  const env = openList(specification, "env");
  const names = new Set(env.map((entry) => String(entry).split("=", 1)[0]));
  for (const [name, value] of Object.entries(process.env)) if (/^SLURM/.test(name) && !names.has(name)) env.push(`${name}=${value}`);
  specification.set("terminal", isTerminal(0) && isTerminal(1));
  return printJson(specification);
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return []; // no task was ever here
  }
}
