/** What srun says about tasks that ended: one line for the tasks of one node that ended alike (commands.md §2.2). */
import { exitPair, shellCode, worseExit, EXIT_ZERO, type ExitPair, type ExitStatus } from "#job/outcome.ts";
import { foldRanks } from "#options/ranks.ts";
import { signalText } from "#options/signals.ts";
import { complain } from "./terminal.ts";

interface Group {
  readonly node: string;
  readonly status: ExitStatus;
  readonly tasks: number[];
}

/** Exits of one node that come this close together share a line. */
const GATHER_MS = 50;
const SIGKILL = 9;
const SIGTERM = 15;

export class TaskExits implements Disposable {
  #groups: Group[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #worst: ExitPair = EXIT_ZERO;
  #highest = 0;
  #count = 0;
  #isSilent = false;
  #wasKilled = false;

  add(node: string, task: number, status: ExitStatus): void {
    this.#count++;
    this.#highest = Math.max(this.#highest, shellCode(status));
    this.#worst = worseExit(this.#worst, exitPair(status));
    if (status.kind === "signaled" && (status.signal === SIGKILL || status.signal === SIGTERM)) this.#wasKilled = true;
    if (shellCode(status) === 0) return;
    const same = this.#groups.find(
      (group) => group.node === node && shellCode(group.status) === shellCode(status) && group.status.kind === status.kind,
    );
    if (same === undefined) this.#groups.push({ node, status, tasks: [task] });
    else same.tasks.push(task);
    this.#timer ??= setTimeout(() => this.flush(), GATHER_MS);
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const groups = this.#groups;
    this.#groups = [];
    if (this.#isSilent) return;
    for (const { node, status, tasks } of groups) {
      const indices = tasks.sort((a, b) => a - b);
      const noun = indices.length === 1 ? "task" : "tasks";
      complain(`srun: error: ${node}: ${noun} ${foldRanks(indices)}: ${statusText(status)}`);
    }
  }

  /** After two Ctrl-C the user knows. */
  silence(): void {
    this.#isSilent = true;
  }

  get count(): number {
    return this.#count;
  }
  get worst(): ExitPair {
    return this.#worst;
  }
  /** srun's own exit status: the highest code, or 128 + signal, of any task. */
  get exitCode(): number {
    return this.#highest & 255;
  }
  get wasKilled(): boolean {
    return this.#wasKilled;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

function statusText(status: ExitStatus): string {
  if (status.kind === "signaled") return `${signalText(status.signal)}${status.coreDumped ? " (core dumped)" : ""}`;
  if (status.kind === "unknown") return "Exit status unknown: its step daemon was lost";
  return `Exited with exit code ${shellCode(status)}`;
}
