/**
 * The guide's "Testing OCI runtime outside of Slurm", done with the very commands that a step would run: two containers,
 * one that ends by itself and one that has to be killed, each looked at, killed and deleted as oci.conf says.
 */
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { shellCode, type ExitStatus } from "#job/outcome.ts";
import type { Result } from "#platform/child.ts";
import { sendSignal } from "#platform/process-tree.ts";
import { spawnTask, type RunningProcess } from "#platform/spawn.ts";
import { userName } from "#platform/users.ts";
import { explain, type RuntimeCalls } from "./runtime-calls.ts";
import { openStepContainer } from "./open-step-container.ts";
import type { StepContainer } from "./step-container.ts";

export interface LifecycleStep {
  /** As the guide names it: run, create, start, state, kill, delete. */
  readonly name: string;
  readonly isOk: boolean;
  readonly detail: string;
}

export interface LifecycleOptions {
  /** Undefined: the runtime that Berth chooses. */
  readonly confFile: string | null;
  readonly bundle: string;
  readonly stateDir: string;
  readonly signal: AbortSignal;
}

const MARK = "berth-check-works";
const LIMIT_MS = 20_000;
/** A pid 1 ignores signals that it does not handle. */
const WAITER = "trap 'exit 9' TERM INT; i=0; while [ $i -lt 300 ]; do sleep 0.1; i=$((i+1)); done";

/** Never throws for what a runtime or a bundle does wrong; stops at the first step that makes the next ones senseless. */
export async function checkLifecycle(options: LifecycleOptions): Promise<readonly LifecycleStep[]> {
  const dir = mkdtempSync(join(tmpdir(), "berth-check-"));
  const steps: LifecycleStep[] = [];
  const ids = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  try {
    for (const name of ["spool", "rt"]) mkdirSync(join(dir, name), { mode: 0o700 });
    await using container = await openStepContainer(
      {
        bundle: options.bundle,
        jobId: 4_000_000_000 + process.pid,
        stepKey: 0,
        nodeName: "check",
        userName: userName(ids.uid),
        userId: ids.uid,
        groupId: ids.gid,
        workDir: "/",
        spoolRoot: join(dir, "spool"),
        confFile: options.confFile,
        stateDir: options.stateDir,
        runtimeRoot: join(dir, "rt"),
        hasPty: false,
        batch: null,
      },
      { signal: options.signal },
    );
    const run = new Run(container, dir, steps);
    if (await run.toItsEnd()) await run.andKill();
  } catch (error) {
    if (!(error instanceof BerthError)) throw error;
    steps.push({ name: "prepare", isOk: false, detail: error.hint === undefined ? error.message : `${error.message}; ${error.hint}` });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  return steps;
}

class Run {
  readonly #container: StepContainer;
  readonly #dir: string;
  readonly #steps: LifecycleStep[];

  constructor(container: StepContainer, dir: string, steps: LifecycleStep[]) {
    this.#container = container;
    this.#dir = dir;
    this.#steps = steps;
  }

  #note(name: string, isOk: boolean, detail: string): boolean {
    this.#steps.push({ name, isOk, detail });
    return isOk;
  }

  /** A container that prints a word and ends. */
  async toItsEnd(): Promise<boolean> {
    const started = await this.#begin(0, ["/bin/sh", "-c", `echo ${MARK}`]);
    if (started === undefined) return false;
    const { child, calls } = started;
    const end = await this.#bounded(
      this.#container.flow === "run"
        ? child.exited
        : calls.waitStopped(AbortSignal.timeout(LIMIT_MS)).then(() => ({ kind: "exited", code: 0 }) as const),
    );
    const said = this.#output(0);
    const name = this.#container.flow === "run" ? "run" : "stopped";
    const isOk = end !== undefined && shellCode(end) === 0 && said.includes(MARK);
    this.#note(
      name,
      isOk,
      isOk
        ? "the program's output came through"
        : end === undefined
          ? "it did not end"
          : `exit status ${shellCode(end)}${said === "" ? "" : `: ${said}`}`,
    );
    return (await this.#finish(0, child.pid)) && isOk;
  }

  /** A container that waits until it is killed. */
  async andKill(): Promise<boolean> {
    const started = await this.#begin(1, ["/bin/sh", "-c", WAITER]);
    if (started === undefined) return false;
    const { child, calls } = started;
    try {
      const { operations } = calls;
      const state =
        operations.query === undefined
          ? undefined
          : await until(
              async () => (await calls.query(AbortSignal.timeout(LIMIT_MS)))?.status,
              (status) => status === "running",
            );
      if (operations.query === undefined)
        await Bun.sleep(500); // nobody can tell that it runs
      else
        this.#note(
          "state",
          state === "running",
          state === "running"
            ? 'says "running"'
            : `says ${state === undefined ? "nothing that could be read" : `"${state}"`}, wanted "running"`,
        );
      const killed = await calls.kill(AbortSignal.timeout(LIMIT_MS));
      if (killed !== undefined)
        this.#note("kill", shellCode(killed.status) === 0, shellCode(killed.status) === 0 ? "accepted" : explain(killed));
    } finally {
      await this.#finish(1, child.pid);
      sendSignal(child.pid, 9);
    }
    return true;
  }

  async #begin(
    localId: number,
    args: readonly string[],
  ): Promise<{ readonly child: RunningProcess; readonly calls: RuntimeCalls } | undefined> {
    const container = this.#container;
    const prepared = await container.prepareTask({
      localId,
      globalId: localId,
      args,
      env: container.environment({ PATH: "/usr/local/bin:/usr/bin:/bin" }),
    });
    const fd = openSync(join(this.#dir, `${localId}.out`), "w", 0o600);
    const [path] = prepared.argv;
    let child: RunningProcess;
    try {
      child = spawnTask({
        argv: prepared.argv,
        path,
        env: prepared.env,
        cwd: "/",
        streams: { kind: "files", stdin: "null", stdout: fd, stderr: fd },
      });
    } finally {
      closeSync(fd);
    }
    const calls = container.calls(localId, { pid: child.pid });
    if (container.flow === "run") return { child, calls };
    const created = await this.#bounded(child.exited);
    const isCreated = created !== undefined && shellCode(created) === 0;
    this.#note(
      "create",
      isCreated,
      isCreated
        ? "the container exists"
        : created === undefined
          ? "it did not come back"
          : `exit status ${shellCode(created)}: ${this.#output(localId)}`,
    );
    if (!isCreated) {
      await this.#finish(localId, child.pid);
      return undefined;
    }
    const state = await calls.waitCreated(AbortSignal.timeout(LIMIT_MS));
    const isRight = state.status === "created";
    this.#note(
      "state",
      isRight,
      `says "${state.status}"${state.pid === null ? ", names no process: Berth will have to ask again and again" : ""}`,
    );
    const result: Result = await calls.start(AbortSignal.timeout(LIMIT_MS));
    const isStarted = shellCode(result.status) === 0;
    this.#note("start", isStarted, isStarted ? "started" : explain(result));
    if (isStarted && isRight) return { child, calls };
    await this.#finish(localId, child.pid);
    return undefined;
  }

  async #finish(localId: number, pid: number): Promise<boolean> {
    try {
      await this.#container.finishTask(localId, { pid });
      const left = await this.#container.calls(localId, { pid: null }).query(AbortSignal.timeout(LIMIT_MS));
      return this.#note(
        "delete",
        left === undefined,
        left === undefined ? "nothing is left" : `the container is still there (${left.status})`,
      );
    } catch (error) {
      if (!(error instanceof BerthError)) throw error;
      return this.#note("delete", false, error.message);
    }
  }

  #output(localId: number): string {
    return readFileSync(join(this.#dir, `${localId}.out`), "utf8")
      .replace(/\u001b\[[0-9;]*m/g, "")
      .replace(/[\u0000-\u0009\u000b-\u001f\u007f]/g, " ")
      .trim()
      .slice(-400);
  }

  async #bounded(end: Promise<ExitStatus>): Promise<ExitStatus | undefined> {
    return await Promise.race([end, Bun.sleep(LIMIT_MS).then(() => undefined)]);
  }
}

async function until<T>(look: () => Promise<T>, isIt: (value: T) => boolean): Promise<T> {
  let value = await look();
  for (let delayMs = 5; !isIt(value) && delayMs < 2000; delayMs *= 2) {
    await Bun.sleep(delayMs);
    value = await look();
  }
  return value;
}
