/** What the commands of one scontrol share: the engine, opened by the first that needs it, and the ways of printing. */
import type { Engine } from "#engine/engine.ts";
import { BerthError } from "#job/errors.ts";
import { nowMs } from "#job/id.ts";
import type { MachineOutput } from "#options/said.ts";
import type { ScontrolLine } from "#options/scontrol.ts";
import type { ShowOptions } from "#format/scontrol-job.ts";
import { openEngine } from "./engine.ts";
import { printLoadError, timeFormat } from "./query.ts";
import { complain } from "./terminal.ts";

export class ScontrolSession implements AsyncDisposable {
  readonly argv: readonly string[];
  readonly machine: MachineOutput | null;
  // The interactive words "all", "details", "oneliner" and "quiet" set these.
  all: boolean;
  details: boolean;
  oneLine: boolean;
  quiet: boolean;
  #engine: Promise<Engine> | undefined;

  constructor(line: ScontrolLine, argv: readonly string[]) {
    this.argv = argv;
    this.machine = line.machine;
    this.all = line.all;
    this.details = line.details;
    this.oneLine = line.oneLine;
    this.quiet = line.quiet;
  }

  engine(): Promise<Engine> {
    this.#engine ??= openEngine();
    return this.#engine;
  }

  showOptions(): ShowOptions {
    return { nowMs: nowMs(), timeFormat: timeFormat(), oneLine: this.oneLine, details: this.details };
  }

  /** A failure in scontrol's way: no command's name, nothing with -Q, exit status 1. */
  fail(...lines: readonly string[]): number {
    if (!this.quiet) complain(...lines);
    return 1;
  }

  /** `slurm_load_jobs error: …`; what is no operating error is printed whatever -Q says. */
  failToLoad(call: string, error: unknown): number {
    return this.quiet && error instanceof BerthError ? 1 : printLoadError("scontrol", call, error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const engine = await this.#engine?.catch(() => undefined);
    await engine?.[Symbol.asyncDispose]();
  }
}
