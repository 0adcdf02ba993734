/**
 * sattach (commands.md §11): looks on at a running step. What the step daemon still has of its output comes first, then what
 * the tasks write; standard input, and its end, go to the tasks. Leaving, by Ctrl-C too, changes nothing for the step.
 */
import type { Engine, StepChannel, StepEvent } from "#engine/engine.ts";
import { BerthError } from "#job/errors.ts";
import type { StepKey } from "#job/id.ts";
import { shellCode } from "#job/outcome.ts";
import { parseSattach, type SattachLine } from "#options/sattach.ts";
import { compressHostlist } from "#options/hostlist.ts";
import { signalText } from "#options/signals.ts";
import { makeTerminalRaw } from "#platform/libc.ts";
import { openEngine } from "./engine.ts";
import { informationAction } from "./information.ts";
import { InputForwarder } from "./step-input.ts";
import { StepOutput, type Target } from "./step-output.ts";
import { complain, printError, printLines } from "./terminal.ts";

interface StepTarget {
  readonly jobId: number;
  readonly stepKey: StepKey;
}

export async function sattach(argv: readonly string[]): Promise<number> {
  const line = parseSattach(argv);
  const status = await informationAction("sattach", line.action);
  if (status !== undefined) return status;
  const { target } = line;
  if (target?.stepKey == null) throw new Error("parseSattach lets it not be missing");
  await using engine = await openEngine();
  const { jobId, stepKey } = target;
  try {
    if (line.layout) {
      await printLayout(engine, { jobId, stepKey });
      return 0;
    }
    await using channel = await engine.attachStep({ jobId, stepKey }, { signal: AbortSignal.timeout(ANSWER_MS) });
    return await lookOn(channel, line);
  } catch (error) {
    // Of a job that has ended Slurm knows no steps either.
    const known =
      error instanceof BerthError && error.code === "ALREADY_DONE" ? new BerthError("INVALID_JOB_ID", "Invalid job id specified") : error;
    return printError("sattach", known, { failed: "Could not get job step info: ", exitStatus: 1 });
  }
}

/** For the controller to say where the step is. */
const ANSWER_MS = 60_000;

async function printLayout(engine: Engine, target: StepTarget): Promise<void> {
  const layout = await engine.stepLayout(target, { signal: AbortSignal.timeout(ANSWER_MS) });
  const tasks = layout.reduce((sum, { ranks }) => sum + ranks.length, 0);
  printLines([
    "Job step layout:",
    `\t${tasks} tasks, ${layout.length} nodes (${compressHostlist(layout.map(({ node }) => node))})`,
    "",
    ...layout.map(({ node, ranks }, index) => `\tNode ${index} (${node}), ${ranks.length} task(s): ${ranks.join(" ")} `),
  ]);
}

const LEAVING = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1, SIGQUIT: 3 } as const;

async function lookOn(channel: StepChannel, line: SattachLine): Promise<number> {
  const restore = line.pty ? rawTerminal() : undefined;
  for (const [name, number] of Object.entries(LEAVING))
    process.on(name, () => {
      restore?.();
      process.exit(128 + number);
    });
  const view = new View(channel, line, restore !== undefined);
  try {
    for await (const event of channel) view.take(event);
  } finally {
    restore?.();
    view.end();
  }
  return view.exitCode;
}

function rawTerminal(): (() => void) | undefined {
  if (process.stdin.isTTY) return makeTerminalRaw(0);
  complain("sattach: error: Not using a pseudo-terminal, disregarding --pty option");
  return undefined;
}

class View {
  readonly #channel: StepChannel;
  readonly #line: SattachLine;
  readonly #isRaw: boolean;
  readonly #ended = new Set<number>();
  #output: StepOutput | undefined;
  #input: InputForwarder | undefined;
  exitCode = 0;

  constructor(channel: StepChannel, line: SattachLine, isRaw: boolean) {
    this.#channel = channel;
    this.#line = line;
    this.#isRaw = isRaw;
  }

  take(event: StepEvent): void {
    switch (event.kind) {
      case "created":
        this.#output = new StepOutput({
          stdout: targetOf(this.#line.outputTask),
          stderr: targetOf(this.#line.errorTask),
          isLabelled: this.#line.label,
          isUnbuffered: this.#isRaw,
          tasks: event.step.tasks,
        });
        this.#input = InputForwarder.start(this.#channel, { kind: "own", task: this.#line.inputTask, isShared: true });
        if (this.#isRaw) this.#channel.resize({ rows: process.stdout.rows, columns: process.stdout.columns });
        break;
      case "output":
        this.#output?.write(event.task, event.stream, event.bytes);
        break;
      case "exited":
        this.#exited(event);
        break;
      case "message":
        if (!this.#line.quiet) complain(`sattach: ${event.text}`);
        break;
      case "lost":
        complain("sattach: error: Lost the step daemon: it was killed");
        this.exitCode = 1;
        break;
      default:
        break; // how it ends is srun's to tell
    }
  }

  #exited({ task, status }: Extract<StepEvent, { kind: "exited" }>): void {
    if (this.#ended.has(task)) return; // told again after a take-over
    this.#ended.add(task);
    this.#output?.flush(task);
    const code = shellCode(status);
    this.exitCode = Math.max(this.exitCode, code & 255);
    if (status.kind === "signaled") complain(`sattach: error: task ${task}: ${signalText(status.signal)}`);
    else if (code !== 0) complain(`sattach: error: task ${task} exited with exit code ${code}`);
  }

  end(): void {
    this.#input?.stop();
    this.#output?.[Symbol.dispose]();
  }
}

function targetOf(task: number | null): Target {
  return task === null ? { kind: "own" } : { kind: "task", task };
}
