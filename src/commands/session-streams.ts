/** Where the streams of a step in the foreground go and come from: -i, -o and -e of srun (commands.md §2.5). */
import type { StepRecord } from "#job/record.ts";
import type { StepOptions } from "#job/request.ts";
import { expandFilePattern, needsPerTask } from "#options/file-pattern.ts";
import type { InputSource } from "./step-input.ts";
import { openFile, type Target } from "./step-output.ts";

export class SessionStreams {
  readonly #step: StepRecord;
  readonly #options: Pick<StepOptions, "input" | "output" | "error" | "openMode">;
  readonly #cwd: string;
  readonly #jobName: string;

  constructor(
    step: StepRecord,
    from: {
      readonly options: Pick<StepOptions, "input" | "output" | "error" | "openMode">;
      readonly cwd: string;
      readonly jobName: string;
    },
  ) {
    this.#step = step;
    this.#options = from.options;
    this.#cwd = from.cwd;
    this.#jobName = from.jobName;
  }

  /** Opens files. @throws BerthError when one cannot be opened */
  outputs(): { readonly stdout: Target; readonly stderr: Target } {
    const { output, error } = this.#options;
    const stdout = this.#target(output, "stdout");
    // Standard error joins standard output, wherever that goes.
    const joined: Target = stdout.kind === "task" ? { ...stdout, fd: 1 } : stdout;
    return { stdout, stderr: error === null && output !== null ? joined : this.#target(error, "stderr") };
  }

  /** @throws BerthError when a file cannot be opened */
  input(): InputSource {
    const mode = streamMode(this.#options.input, this.#step.tasks);
    switch (mode.kind) {
      case "all":
        return { kind: "own", task: null };
      case "none":
        return { kind: "none" };
      case "task":
        return { kind: "own", task: mode.task };
      case "file":
        if (needsPerTask(mode.pattern)) return { kind: "none" };
        return { kind: "file", fd: openFile(this.#expand(mode.pattern), { cwd: this.#cwd, stream: "stdin", append: false }) };
    }
  }

  #target(text: string | null, stream: "stdout" | "stderr"): Target {
    const mode = streamMode(text, this.#step.tasks);
    if (mode.kind === "all") return { kind: "own" };
    if (mode.kind === "none") return { kind: "discard" };
    if (mode.kind === "task") return mode;
    // The step daemon writes those; what comes here is srun's and the daemon's own.
    if (needsPerTask(mode.pattern)) return { kind: "own" };
    return {
      kind: "file",
      fd: openFile(this.#expand(mode.pattern), { cwd: this.#cwd, stream, append: this.#options.openMode === "append" }),
    };
  }

  #expand(pattern: string): string {
    const step = this.#step;
    return expandFilePattern(pattern, {
      kind: "task",
      jobId: step.jobId,
      arrayJobId: null,
      arrayTask: null,
      userName: step.userName,
      jobName: this.#jobName,
      nodeName: step.nodes[0] ?? "",
      stepKey: step.stepKey,
      nodeIndex: 0,
      task: 0,
    });
  }
}

type StreamMode =
  | { readonly kind: "all" }
  | { readonly kind: "none" }
  | { readonly kind: "task"; readonly task: number }
  | { readonly kind: "file"; readonly pattern: string };

/** `all…` and `-…` are all, `none` is /dev/null, a task's number is that task, everything else is a file. */
function streamMode(text: string | null, tasks: number): StreamMode {
  if (text === null || text.startsWith("all") || text.startsWith("-")) return { kind: "all" };
  if (text === "none") return { kind: "none" };
  if (/^\d+$/.test(text) && Number(text) < tasks) return { kind: "task", task: Number(text) };
  return { kind: "file", pattern: text };
}
