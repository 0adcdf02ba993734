/**
 * Orphans of a subreaper (prctl(2), PR_SET_CHILD_SUBREAPER): descendants whose parent has died become our children.
 * Here the dead ones are reaped and the living ones killed. Children that Bun started are Bun's to reap: taking their
 * status away makes Bun fail, so everything in platform/ that starts a process registers it.
 */
import { reapChild, type ReapedChild } from "./libc.ts";
import { children, descendants, identify, isChildOf, isZombie, sendSignal, type ProcessIdentity } from "./process-tree.ts";

type Role = "tool" | "task";
const registered = new Map<number, Role>();

/** To be called for each process that Bun starts. A tool works for us (a runtime's delete) and is not killed with the tasks. */
export function registerChild(child: { readonly pid: number; readonly exited: Promise<unknown> }, role: Role): void {
  const { pid } = child;
  registered.set(pid, role);
  // Not before Bun has reaped it: until then the number cannot belong to anybody else.
  void child.exited.finally(() => registered.delete(pid));
}

export class OrphanReaper implements Disposable {
  readonly #onReaped: ((orphan: { readonly pid: number; readonly waitStatus: number }) => void) | undefined;
  readonly #onChild = () => this.reap();
  /** Orphans that somebody waits for; each belongs to a living child of ours, so there are never more than those. */
  readonly #awaited = new Map<number, (end: ReapedChild) => void>();

  constructor(onReaped?: (orphan: { readonly pid: number; readonly waitStatus: number }) => void) {
    this.#onReaped = onReaped;
    process.on("SIGCHLD", this.#onChild);
  }

  /** How an orphan that we have inherited ends, and what it used. Undefined when it is no child of ours (any more). */
  expect({ pid, startTicks }: ProcessIdentity): Promise<ReapedChild> | undefined {
    // Nothing is reaped between this look and the entry: both happen in one turn.
    if (registered.has(pid) || identify(pid)?.startTicks !== startTicks || !isChildOf(pid, process.pid)) return undefined;
    const { promise, resolve } = Promise.withResolvers<ReapedChild>();
    this.#awaited.set(pid, resolve);
    this.reap(); // it may have ended already, and its signal with it
    return promise;
  }

  reap(): void {
    for (const pid of children(process.pid)) {
      if (registered.has(pid) || !isZombie(pid)) continue;
      const end = reapChild(pid);
      if (end === undefined) continue;
      this.#awaited.get(pid)?.(end);
      this.#awaited.delete(pid);
      this.#onReaped?.({ pid, waitStatus: end.waitStatus });
    }
  }

  [Symbol.dispose](): void {
    process.off("SIGCHLD", this.#onChild);
  }
}

const SIGKILL = 9;
const MAX_ROUNDS = 100;

/**
 * Kills everything below us but for `spared`, and below `others`, until nothing is left, because what is being killed may still fork.
 * Gives up after some rounds on processes that do not die (uninterruptible, or of another user: the container runtime
 * has to end those).
 */
export async function killAll(
  reaper: OrphanReaper,
  others: readonly ProcessIdentity[] = [],
  spared: ReadonlySet<number> = new Set(),
): Promise<void> {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const living = livingBelow(others).filter((pid) => !spared.has(pid));
    if (living.length === 0) break;
    for (const pid of living) sendSignal(pid, SIGKILL);
    await Bun.sleep(round < 10 ? 1 : 20);
  }
  reaper.reap();
}

/** Our descendants but for tools, and `others` with theirs, without the dead. */
export function livingBelow(others: readonly ProcessIdentity[]): number[] {
  const tools = new Set<number>();
  const pids = new Set<number>();
  // Parents come before their children.
  for (const { pid, parent, isZombie: isDead } of descendants(process.pid)) {
    if (registered.get(pid) === "tool" || tools.has(parent)) tools.add(pid);
    else if (!isDead) pids.add(pid);
  }
  for (const other of others) {
    if (identify(other.pid)?.startTicks !== other.startTicks) continue;
    if (!isZombie(other.pid)) pids.add(other.pid);
    for (const found of descendants(other.pid)) if (!found.isZombie) pids.add(found.pid);
  }
  return [...pids];
}
