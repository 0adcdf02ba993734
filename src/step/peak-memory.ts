/**
 * How much memory tasks have had resident, for those whose own figure at the end says nothing (Usage.maxRssKib): looked at now
 * and then while they run, as Slurm's jobacct_gather does. A task that is shorter than the first look has no figure, as there.
 */
import { peakRssKib } from "#platform/measure.ts";
import { descendants } from "#platform/process-tree.ts";

const FIRST_LOOK_MS = 200;
/** JobAcctGatherFrequency's default. */
const LAST_PAUSE_MS = 30_000;

export class PeakMemory<Task> {
  readonly #peaks = new Map<Task, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Looks at the tasks that run, again and again, with pauses that double up to half a minute. */
  watch(running: () => readonly (readonly [Task, pid: number])[], pauseMs = FIRST_LOOK_MS): void {
    this.#timer = setTimeout(() => {
      this.look(running());
      this.watch(running, Math.min(2 * pauseMs, LAST_PAUSE_MS));
    }, pauseMs);
    this.#timer.unref();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  look(tasks: readonly (readonly [Task, pid: number])[]): void {
    for (const [task, root] of tasks) {
      // Like ru_maxrss: the largest of its processes, not their sum.
      for (const pid of [root, ...descendants(root).map((found) => found.pid)]) {
        const peak = peakRssKib(pid);
        if (peak !== null && peak > (this.#peaks.get(task) ?? 0)) this.#peaks.set(task, peak);
      }
    }
  }

  /** The most so far; null when it was never seen. */
  of(task: Task): number | null {
    return this.#peaks.get(task) ?? null;
  }
}
