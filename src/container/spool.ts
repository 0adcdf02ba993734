/** Spool directories and the files in them (oci-conf §7). Small synchronous calls: they are on every task's way. */
import {
  chmodSync,
  chownSync,
  closeSync,
  fchmodSync,
  fchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  realpathSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path/posix";
import type { StepKey } from "#job/id.ts";
import { BerthError } from "#job/errors.ts";
import { expandPattern, parsePattern, usesField, type PatternValues } from "./pattern.ts";

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Path of the step's directory, or of a task's. The text is put together first and expanded then; the step's ends
 * before the first component that needs a task.
 * @param parent ContainerPath, or a literal with `%` doubled
 */
export function spoolPath(parent: string, stepKey: StepKey, level: "step" | "task", values: PatternValues): string {
  const step = typeof stepKey === "number" ? "oci-job%j-%s" : `oci-job%j-${stepKey}`;
  const whole = `${parent}/${step}/task-%t`.replace(/\/{2,}/g, "/");
  const where = { file: "ContainerPath", line: 1 };
  const components = whole.split("/");
  const needsTask = components.findIndex((component) => usesField(parsePattern(component, where), "taskId"));
  return expandPattern(parsePattern(components.slice(0, level === "step" ? needsTask : undefined).join("/"), where), values);
}

/**
 * Makes a spool directory with its missing parents: 0770 and the job's, whatever the umask. An existing one is
 * taken as it is if it cannot be somebody else's trap.
 * @throws BerthError SPOOL
 */
export function makeSpoolDir(path: string, owner: Owner): void {
  if (!makeDir(path, owner)) {
    const stat = lstatSync(path);
    if (!stat.isDirectory() || !isTrusted(stat.uid, owner)) {
      throw new BerthError("SPOOL", `Cannot use spool directory ${path}: it belongs to uid ${stat.uid} or is no directory`, {
        hint: "remove it, or set ContainerPath in oci.conf to a place of each user's own, as with %u",
      });
    }
  }
  refuseTrap(path, owner);
}

function isTrusted(uid: number, owner: Owner): boolean {
  return uid === owner.uid || uid === (process.geteuid?.() ?? 0) || uid === 0;
}

/**
 * Whoever may rename a directory around it gives the runtime another config.json: nobody else may write there, and what lies in a place like
 * /tmp, where everybody may make directories, has to be one's own.
 */
function refuseTrap(path: string, owner: Owner): void {
  let around = realpathSync(path);
  for (let stat = lstatSync(around); around !== "/"; ) {
    const outer = dirname(around);
    const outside = lstatSync(outer);
    const isForAll = (outside.mode & 0o002) !== 0;
    if (isForAll && ((outside.mode & 0o1000) === 0 || !isTrusted(stat.uid, owner))) {
      throw new BerthError("SPOOL", `Cannot use spool directory ${path}: others may replace ${around}`, {
        hint: "set ContainerPath in oci.conf to a place that only its user, or root, may write to",
      });
    }
    [around, stat] = [outer, outside];
  }
}

/** True when it was made, false when it was there. */
function makeDir(path: string, owner: Owner): boolean {
  try {
    mkdirSync(path, 0o770);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    if (code !== "ENOENT" || dirname(path) === path) {
      throw new BerthError("SPOOL", `Cannot make spool directory ${path}: ${code ?? String(error)}`, {
        hint: "check that the job's user may write there",
        cause: error,
      });
    }
    makeDir(dirname(path), owner);
    try {
      mkdirSync(path, 0o770);
    } catch (again) {
      if ((again as NodeJS.ErrnoException).code === "EEXIST") return false; // a neighbour was quicker
      throw new BerthError("SPOOL", `Cannot make spool directory ${path}: ${(again as NodeJS.ErrnoException).code ?? String(again)}`, {
        cause: again,
      });
    }
  }
  chmodSync(path, 0o770);
  if (process.geteuid?.() === 0 && (owner.uid !== 0 || owner.gid !== 0)) chownSync(path, owner.uid, owner.gid);
  return true;
}

/**
 * Creates a file that must not exist yet, 0600 while it is written and 0750 then. Not synced: its reader is the
 * runtime on the same machine, and nobody needs it after a crash.
 * @param isOwnPlace true where only Berth writes: what is left there is from a life of this step that crashed
 * @throws BerthError SPOOL
 */
export function writeSpoolFile(path: string, text: string, owner: Owner, { isOwnPlace }: { readonly isOwnPlace: boolean }): void {
  let fd: number;
  try {
    if (isOwnPlace) removeFile(path);
    fd = openSync(path, "wx", 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new BerthError("SPOOL", `Cannot create ${path}: ${code ?? String(error)}`, {
      hint:
        code === "EEXIST"
          ? "another task or an earlier run uses this directory: remove it, or add %n, %j, %s and %t to ContainerPath"
          : "check that the job's user may write there",
      cause: error,
    });
  }
  try {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.byteLength; ) at += writeSync(fd, bytes, at);
    if (process.geteuid?.() === 0 && (owner.uid !== 0 || owner.gid !== 0)) fchownSync(fd, owner.uid, owner.gid);
    fchmodSync(fd, 0o750);
  } catch (error) {
    removeFile(path); // half a file would be read as a whole one
    throw new BerthError("SPOOL", `Cannot write ${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, { cause: error });
  } finally {
    closeSync(fd);
  }
}

export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

/** Only when it is empty: what a runtime or a wrapper put there is theirs to remove (oci-conf §12.3). */
export function removeDir(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    if (!isGone(error) && (error as NodeJS.ErrnoException).code !== "ENOTEMPTY") throw error;
  }
}

function isGone(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}
