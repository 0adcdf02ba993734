/**
 * Processes that tasks leave behind. The step daemon is a subreaper, so orphans become its children: it reaps
 * the dead ones, and kills the living ones when the step ends (Slurm's proctrack; lifecycle §10).
 */
import { reapChild } from "#platform/libc.ts";
import { descendants, sendSignal } from "#platform/process-tree.ts";

const SIGKILL = 9;
const MAX_ROUNDS = 100;

export class OrphanReaper implements Disposable {
  /** Children that Bun waits for: reaping them here would steal their exit status. */
  readonly #owned = new Set<number>();
  readonly #onChild = () => this.reap();

  constructor() {
    process.on("SIGCHLD", this.#onChild);
  }

  own(pid: number): void {
    this.#owned.add(pid);
  }

  disown(pid: number): void {
    this.#owned.delete(pid);
  }

  reap(): void {
    for (const { pid, parent, isZombie } of descendants(process.pid)) {
      if (isZombie && parent === process.pid && !this.#owned.has(pid)) reapChild(pid);
    }
  }

  [Symbol.dispose](): void {
    process.off("SIGCHLD", this.#onChild);
  }
}

/**
 * Kills until nothing is left, because what is being killed may still fork. Gives up after some rounds on
 * processes that do not die (uninterruptible, or of another user: the container runtime has to end those).
 */
export async function killDescendants(reaper: OrphanReaper): Promise<void> {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const living = descendants(process.pid).filter(({ isZombie }) => !isZombie);
    if (living.length === 0) break;
    for (const { pid } of living) sendSignal(pid, SIGKILL);
    await Bun.sleep(round < 10 ? 1 : 20);
  }
  reaper.reap();
}
