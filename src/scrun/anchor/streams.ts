/** The anchor's own stdio, which is the container's: handed on, and then let go of. */
import { closeSync, openSync } from "node:fs";
import { replaceFd } from "#platform/libc.ts";

/** Somebody else has them: their other ends must see its end, not ours. */
export function letGoOfStreams(fds: readonly number[]): void {
  const nothing = openSync("/dev/null", "r+");
  for (const fd of fds) replaceFd(nothing, fd);
  closeSync(nothing);
}
