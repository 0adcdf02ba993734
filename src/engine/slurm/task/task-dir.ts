/**
 * One directory for each running task of a container step: spool, the runtime's records, and who owns it.
 *
 *   tasks/JOB.STEP.RANK-PID/owner.json   process, step and container: enough to end the container without its task
 *                           spool/       config.json of the container
 *                           oci/         --root of a runtime that Berth chose
 *
 * A task that is killed (time limit, scancel, node failure) leaves its directory; the next task on the node finds that the
 * owner is dead, deletes the container as its owner would have, and removes the directory.
 */
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openStepContainer } from "#container/open-step-container.ts";
import type { ContainerStep } from "#container/step-container.ts";
import { BerthError } from "#job/errors.ts";
import { tryLock } from "#platform/libc.ts";
import { identify, isAlive, type ProcessIdentity } from "#platform/process-tree.ts";
import { removeBox } from "../cache/box.ts";
import type { NodeDirs } from "../node-dirs.ts";

export interface Owner {
  readonly process: ProcessIdentity;
  readonly step: ContainerStep;
  readonly localId: number;
}

export class TaskDir implements Disposable {
  readonly path: string;
  readonly spool: string;
  readonly runtimeRoot: string;

  /** @throws BerthError SPOOL */
  constructor(dirs: NodeDirs, name: string) {
    this.path = join(dirs.tasks, `${name}-${process.pid}`);
    this.spool = join(this.path, "spool");
    this.runtimeRoot = join(this.path, "oci");
    this.#write(() => {
      mkdirSync(dirs.tasks, { recursive: true, mode: 0o700 });
      rmSync(this.path, { recursive: true, force: true }); // of a process that had our number before
      for (const dir of [this.path, this.spool, this.runtimeRoot]) mkdirSync(dir, { mode: 0o700 });
    });
  }

  /** To be called before the container exists. @throws BerthError SPOOL */
  own(step: ContainerStep, localId: number): void {
    const owner: Owner = { process: identify(process.pid) ?? { pid: process.pid, startTicks: 0 }, step, localId };
    this.#write(() => writeFileSync(join(this.path, "owner.json"), JSON.stringify(owner), { mode: 0o600 }));
  }

  #write(write: () => void): void {
    try {
      write();
    } catch (cause) {
      try {
        rmSync(this.path, { recursive: true, force: true });
      } catch {
        // Nothing could be made there: the first reason is the one to tell.
      }
      throw new BerthError("SPOOL", `Cannot write the task's directory ${this.path}: ${(cause as Error).message}`, {
        hint: "make room on the node, or give Berth another place there: it is $XDG_RUNTIME_DIR/berth/node, else /tmp/berth-UID/node",
        cause,
      });
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Undefined when it has just ended, or is being made. */
export function readOwner(path: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(join(path, "owner.json"), "utf8")) as Owner; // our own file in our own 0700 directory
  } catch {
    return undefined;
  }
}

/** Of all tasks that run on this node. */
export function bundlesInUse(dirs: NodeDirs): string[] {
  return readdirSync(dirs.tasks).flatMap((name) => {
    const owner = readOwner(join(dirs.tasks, name));
    return owner !== undefined && isAlive(owner.process) ? [owner.step.bundle] : [];
  });
}

const MAX_SWEPT = 32;

/** Ends what killed tasks have left on this node. Never fails: the task that sweeps is somebody else's. */
export async function sweepLeftovers(dirs: NodeDirs): Promise<void> {
  let names: string[];
  try {
    names = readdirSync(dirs.tasks);
  } catch {
    return; // the first task ever
  }
  let swept = 0;
  for (const name of names) {
    if (swept >= MAX_SWEPT) return;
    if (await sweep(join(dirs.tasks, name))) swept++;
  }
}

async function sweep(path: string): Promise<boolean> {
  let fd: number;
  try {
    fd = openSync(join(path, "owner.json"), "r");
  } catch {
    return sweepUnowned(path);
  }
  try {
    const owner = JSON.parse(readFileSync(fd, "utf8")) as Owner; // our own file in our own 0700 directory
    if (isAlive(owner.process) || !tryLock(fd)) return false;
    await endContainer(owner);
    removeBox(owner.step.bundle);
    rmSync(path, { recursive: true, force: true });
    return true;
  } catch {
    return false; // half-written, or the runtime refuses: somebody tries again with the next task
  } finally {
    closeSync(fd);
  }
}

/** Without an owner on record there is no container: the directory is being made or removed, or its task was killed in between. */
function sweepUnowned(path: string): boolean {
  const maker = identify(Number(path.slice(path.lastIndexOf("-") + 1)));
  if (maker !== undefined && isAlive(maker)) return false;
  rmSync(path, { recursive: true, force: true });
  return true;
}

async function endContainer({ step, localId }: Owner): Promise<void> {
  const container = await openStepContainer(step, { signal: AbortSignal.timeout(10_000) });
  container.adoptTask(localId);
  await container[Symbol.asyncDispose]();
}
