/** `berth task`: one task of a container step, on a node of the site's Slurm. Started by Slurm, on behalf of berth srun and sbatch. */
import { runTask, Stopped } from "#engine/slurm/task/run-task.ts";
import { printLaunchFailure, TOKEN_VARIABLE } from "#engine/slurm/task/launch-failure.ts";
import { BerthError } from "#job/errors.ts";
import { shellCode, type ExitStatus } from "#job/outcome.ts";
import { UsageError } from "#options/usage-error.ts";
import { complain } from "./terminal.ts";

const USAGE = "Usage: berth task --bundle DIR [--batch INTERPRETER-LINE] [--of job] [--env clean] -- COMMAND [ARGUMENTS]";

export async function task(argv: readonly string[]): Promise<number> {
  if (argv[0] === "--exec" || argv[0] === "--kill" || argv[0] === "--ask") return await inContainer(argv[0], argv.slice(1));
  const { bundle, batch, isJobs, isClean, command } = read(argv);
  const node = process.env["SLURMD_NODENAME"] ?? "";
  try {
    const status = await runTask({
      bundle,
      command,
      batchFirstLine: batch,
      isJobs,
      isClean,
      tell: (line) => complain(`berth: ${node}: ${line}`),
    });
    return endAs(status);
  } catch (error) {
    if (error instanceof Stopped) return endAs({ kind: "signaled", signal: error.signal, coreDumped: false });
    if (!(error instanceof BerthError)) throw error;
    const errno = error.code === "BUNDLE_MISSING" ? 2 : 1;
    const token = process.env[TOKEN_VARIABLE];
    if (token !== undefined) complain(printLaunchFailure(token, { node, message: error.message, hint: error.hint ?? null, errno }));
    else
      complain(
        `berth: error: ${node}${node === "" ? "" : ": "}${error.message}`,
        ...(error.hint === undefined ? [] : [`berth: ${error.hint}`]),
      );
    return errno;
  }
}

/** Slurm is to see what happened to the program: a runtime that was killed kills us the same way. */
function endAs(status: ExitStatus): number {
  if (status.kind === "signaled") {
    const name = SIGNALS[status.signal];
    if (name !== undefined) process.removeAllListeners(name);
    process.kill(process.pid, status.signal);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50); // it may take the kernel a moment
  }
  return shellCode(status);
}

const SIGNALS: Readonly<Record<number, NodeJS.Signals>> = {
  1: "SIGHUP",
  2: "SIGINT",
  3: "SIGQUIT",
  10: "SIGUSR1",
  12: "SIGUSR2",
  15: "SIGTERM",
};

/** `--exec JOB.STEP PROCESS`, `--kill JOB.STEP SIGNAL`, `--ask JOB.STEP QUESTION`: what scrun wants of a container on this node. */
async function inContainer(what: "--exec" | "--kill" | "--ask", [step = "", word = ""]: readonly string[]): Promise<number> {
  try {
    if (what === "--ask") {
      const { askContainer } = await import("#engine/slurm/task/ask-container.ts");
      return endAs(await askContainer(step, word, (line) => console.log(line)));
    }
    const { execInTask, signalTask } = await import("#engine/slurm/task/exec-in-task.ts");
    return endAs(await (what === "--exec" ? execInTask(step, word) : signalTask(step, word)));
  } catch (error) {
    if (!(error instanceof BerthError)) throw error;
    complain(`berth: error: ${error.message}`, ...(error.hint === undefined ? [] : [`berth: ${error.hint}`]));
    return 255;
  }
}

interface TaskLine {
  readonly bundle: string;
  readonly batch: string | null;
  readonly isJobs: boolean;
  readonly isClean: boolean;
  readonly command: readonly string[];
}

function read(argv: readonly string[]): TaskLine {
  const end = argv.indexOf("--");
  const options = new Map<string, string>();
  for (let i = 0; i < end; i += 2) options.set(argv[i] ?? "", argv[i + 1] ?? "");
  const bundle = options.get("--bundle");
  const command = argv.slice(end + 1);
  if (end < 0 || bundle === undefined || command.length === 0) throw new UsageError([USAGE], 255);
  const batch = options.get("--batch") ?? null;
  return { bundle, batch, isJobs: batch !== null || options.get("--of") === "job", isClean: options.get("--env") === "clean", command };
}
