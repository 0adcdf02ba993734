/**
 * TaskProlog and TaskEpilog: programs of the site (berth.conf) and of the user (srun's options) around each task, as its
 * user, in its directory, with its environment (slurm.conf(5); commands.md §2.1).
 *
 *   site prolog ─► user prolog ─► task ─► user epilog ─► site epilog
 *
 * What a prolog prints, on either stream, is read as orders: `export NAME=value`, `unset NAME`, `print TEXT`. A prolog that
 * fails keeps the task from running; its exit status becomes the task's. Epilogs run whatever happened, and change nothing.
 */
import { constants as os } from "node:os";
import { shellCode, type ExitStatus } from "#job/outcome.ts";
import { makeOutputFifo, pumpOutput } from "#platform/pipes.ts";
import { spawnTask } from "#platform/spawn.ts";
import { closeSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { errnoText } from "./command.ts";
import type { TaskScript } from "./plan.ts";

export interface ScriptSurroundings {
  readonly spoolDir: string;
  readonly rank: number;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** The process exists: it is to be killed when its daemon dies. */
  started(pid: number): void;
  emit(stream: "stdout" | "stderr", bytes: Uint8Array): void;
  /** A line of the step daemon's own, on the task's standard error. */
  say(line: string): void;
}

/** The environment as the prolog leaves it, or the exit status that the task gets instead of running. */
export async function runTaskProlog(
  script: TaskScript,
  around: ScriptSurroundings,
): Promise<{ readonly env: Record<string, string> } | { readonly failed: ExitStatus }> {
  const words = `${script.owner === "site" ? "slurm" : "user"} task_prolog`;
  const orders = new PrologOrders(around);
  const end = await runScript(script.path, { ...around, context: "prolog_task" }, (bytes) => orders.take(bytes));
  orders.end();
  if (end.kind === "exited" && end.code === 0) return { env: orders.env };
  if (end.kind === "notStarted") around.say(`slurmstepd: error: run_command: ${words} ${end.message}`);
  if (end.kind !== "exited") {
    const reason = end.kind === "notStarted" ? "Run command failed - configuration error" : "it was killed";
    around.say(`slurmstepd: error: ${words} did not exit normally. reason: ${reason}`);
  }
  const code = end.kind === "exited" ? end.code : 1;
  around.say(`slurmstepd: error: ${script.owner === "site" ? "TaskProlog" : "--task-prolog"} failed status=${code}`);
  return { failed: { kind: "exited", code } };
}

export async function runTaskEpilog(script: TaskScript, around: ScriptSurroundings): Promise<void> {
  const end = await runScript(script.path, { ...around, context: "epilog_task" }, (bytes) => around.emit("stderr", bytes));
  if (end.kind === "exited" && end.code === 0) return;
  if (end.kind === "notStarted") {
    around.say(
      `slurmstepd: error: Could not run ${script.owner === "site" ? "slurm" : "user"} task_epilog [${script.path}]: access denied`,
    );
  }
  around.say(`slurmstepd: error: TaskEpilog failed status=${end.kind === "notStarted" ? -1 : waitStatus(end)}`);
}

/** As wait(2) gives it: Slurm prints the raw number. */
function waitStatus(status: ExitStatus): number {
  return status.kind === "signaled" ? status.signal : shellCode(status) << 8;
}

type Around = ScriptSurroundings & { readonly context: string };

/** A prolog is read on both streams; of an epilog standard error is shown, and standard output is nobody's. */
async function runScript(path: string, around: Around, onOutput: (bytes: Uint8Array) => void): Promise<ExitStatus> {
  if (!isAbsolute(path)) return { kind: "notStarted", errno: os.errno.EINVAL, message: `is not fully qualified pathname (${path})` };
  const isProlog = around.context === "prolog_task";
  const { ourFd, taskFd } = makeOutputFifo(join(around.spoolDir, `${around.rank}.script.fifo`));
  try {
    const process = spawnTask({
      argv: [path],
      path,
      env: { ...around.env, SLURM_SCRIPT_CONTEXT: around.context },
      cwd: around.cwd,
      streams: { kind: "files", stdin: "null", stdout: isProlog ? taskFd : "null", stderr: taskFd },
    });
    around.started(process.pid);
    // What it leaves running in the background may keep the stream open; nobody waits for that.
    const pumped = pumpOutput(ourFd, (bytes) => {
      onOutput(bytes);
      return undefined;
    });
    closeSync(taskFd);
    const status = await process.exited;
    await Promise.race([pumped, Bun.sleep(SCRIPT_LAG_MS)]);
    return status;
  } catch (error) {
    const { code, errno = os.errno.EIO } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    closeSync(taskFd);
    closeSync(ourFd);
    return { kind: "notStarted", errno: Math.abs(errno), message: `can not be executed (${path}) ${errnoText(Math.abs(errno))}` };
  }
}

/** How long output may lag behind the end of the script that wrote it. */
const SCRIPT_LAG_MS = 500;

class PrologOrders {
  readonly env: Record<string, string>;
  readonly #emit: ScriptSurroundings["emit"];
  readonly #decoder = new TextDecoder();
  #rest = "";

  constructor({ env, emit }: ScriptSurroundings) {
    this.env = { ...env };
    this.#emit = emit;
  }

  take(bytes: Uint8Array): void {
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#obey(line);
  }

  end(): void {
    if (this.#rest !== "") this.#obey(this.#rest);
    this.#rest = "";
  }

  #obey(line: string): void {
    const [, order = "", rest = ""] = /^(export|unset|print)\s+(.*)$/s.exec(line) ?? [];
    if (order === "print") this.#emit("stdout", Buffer.from(`${rest}\n`));
    else if (order === "unset") delete this.env[rest.trimEnd()];
    else if (order === "export") {
      const equals = rest.indexOf("=");
      if (equals > 0) this.env[rest.slice(0, equals)] = rest.slice(equals + 1).trimEnd();
    }
  }
}
