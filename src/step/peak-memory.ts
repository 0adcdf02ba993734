/**
 * What the kernel does not say of a process that has ended: its address space and major faults with those of what it started, and memory that was
 * resident, for those whose own figure says nothing (Usage.maxRssKib). Looked at now and then while tasks run, as Slurm's jobacct_gather does. A
 * task that is shorter than the first look has no figure.
 */
import { measureProcesses, peakRssKib } from "#platform/measure.ts";
import { descendants } from "#platform/process-tree.ts";

const FIRST_LOOK_MS = 200;
/** JobAcctGatherFrequency's default. */
const LAST_PAUSE_MS = 30_000;

export interface SampledUse {
  readonly vmKib: number;
  readonly majorFaults: number;
}

export class PeakMemory<Task> {
  readonly #peaks = new Map<Task, number>();
  readonly #uses = new Map<Task, SampledUse>();
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
      const pids = [root, ...descendants(root).map((found) => found.pid)];
      for (const pid of pids) {
        const peak = peakRssKib(pid);
        if (peak !== null && peak > (this.#peaks.get(task) ?? 0)) this.#peaks.set(task, peak);
      }
      const use = measureProcesses(pids);
      // Nothing of it is left but its status.
      if (use === undefined || use.vmKib === 0) continue;
      const before = this.#uses.get(task) ?? use;
      this.#uses.set(task, {
        vmKib: Math.max(use.vmKib, before.vmKib),
        majorFaults: Math.max(use.majorFaults, before.majorFaults),
      });
    }
  }

  /** The most of each so far, of all its processes together; null when it was never seen. */
  useOf(task: Task): SampledUse | null {
    return this.#uses.get(task) ?? null;
  }

  /** The most resident memory so far; null when it was never seen. */
  of(task: Task): number | null {
    return this.#peaks.get(task) ?? null;
  }
}
