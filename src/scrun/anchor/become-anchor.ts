/** What an anchor is before anything else, wherever its container runs. */
import { failFast } from "#platform/fail-fast.ts";
import { closeInherited } from "#platform/inherited-files.ts";
import { becomeSubreaper, leadSession } from "#platform/libc.ts";
import { sessionId } from "#platform/system.ts";
import { preservedFds, type Given } from "../command-line.ts";

/**
 * First of all. An anchor of the launcher has whatever create's caller has open, and lives longer than create: a pipe would not end (buildah's do
 * not close in what it starts), a lock would stay taken.
 */
export function closeCallersFiles(given: readonly Given[]): void {
  closeInherited({ keep: preservedFds(given) });
}

/** Where create was called. */
export interface Surroundings {
  readonly cwd: string;
  readonly umask: number;
  readonly sid: number;
}

/** Leaves where it was started: that is create's, or a terminal's, which would interrupt it. */
export function becomeAnchor(): Surroundings {
  failFast((error) => console.error(`scrun: error: ${error instanceof Error ? error.message : String(error)}`));
  const umask = process.umask(0o077);
  process.umask(umask);
  const surroundings = { cwd: process.cwd(), umask, sid: sessionId() };
  leadSession();
  becomeSubreaper(); // the container's first process, and what staging leaves behind, end with us
  return surroundings;
}
