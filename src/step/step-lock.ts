/**
 * One daemon a step: a controller that was killed right after "run" has a successor that cannot know whether anybody
 * heard it, and sends another daemon. The kernel drops the lock with the process.
 */
import { closeSync, fstatSync, openSync } from "node:fs";
import { join } from "node:path";
import { tryLock } from "#platform/libc.ts";

export interface StepLock extends Disposable {
  /** Whether the spool directory is still the one that was locked: a requeued job has its next one at the same place. */
  isInPlace(): boolean;
}

/** Undefined when another daemon has it, or the step is over: then there is nothing to do. */
export function lockStep(spoolDir: string): StepLock | undefined {
  let fd: number;
  try {
    fd = openSync(join(spoolDir, "lock"), "a", 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const close = () => closeSync(fd);
  if (tryLock(fd)) return { [Symbol.dispose]: close, isInPlace: () => fstatSync(fd).nlink > 0 };
  close();
  return undefined;
}

/** Whether some daemon has the step. For a moment it looks as if it were we. */
export function isLocked(spoolDir: string): boolean {
  let fd: number;
  try {
    fd = openSync(join(spoolDir, "lock"), "r");
  } catch {
    return false; // nobody has come so far, or the spool is gone
  }
  try {
    return !tryLock(fd);
  } finally {
    closeSync(fd);
  }
}
