/**
 * The command line (or the script) is wrong. Carries what the command prints and its exit status, complete with the
 * command's name, because Slurm's texts differ in prefix, line count and stream from case to case (commands.md §1.1).
 */
export class UsageError extends Error {
  /** Lines for stderr, without line ends. */
  readonly lines: readonly string[];
  readonly exitStatus: number;
  /** Lines for stdout, printed first; only sattach has any. */
  readonly stdout: readonly string[];

  constructor(lines: readonly string[], exitStatus: number, stdout: readonly string[] = []) {
    super(lines.join("\n"));
    this.name = "UsageError";
    this.lines = lines;
    this.exitStatus = exitStatus;
    this.stdout = stdout;
  }
}

/** What is said of an option that this engine refuses (getopt.ts). */
export function refusal(command: string, row: { readonly name: string; readonly refused?: string }, exitStatus: number): UsageError {
  return new UsageError([`${command}: error: --${row.name} is not supported: ${row.refused}`], exitStatus);
}
