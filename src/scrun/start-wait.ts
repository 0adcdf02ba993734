/**
 * How long `start` waits for a container's job. Engines keep a container locked meanwhile, podman all that would list it, so that it is not for as
 * long as a queue: after it `start` gives in, and the container runs when the job is granted.
 */
import { BerthError } from "#job/errors.ts";

/** Seconds. */
export type StartWait = number | "infinite";

const NAME = "SCRUN_START_WAIT";
/** Long enough for most jobs that wait at all, and for the lock a short time. */
const DEFAULT_SECONDS = 10;
const MAX_SECONDS = 2_000_000;

/** Null: it is not said. @throws BerthError OPTION */
export function readStartWait(variables: Readonly<Record<string, string | undefined>>): StartWait | null {
  const text = variables[NAME] ?? "";
  if (text === "") return null;
  if (text.toLowerCase() === "infinite") return "infinite";
  const seconds = Number(text);
  if (/^\d+$/.test(text) && seconds <= MAX_SECONDS) return seconds;
  throw new BerthError("OPTION", `Invalid ${NAME} "${text}"`, { hint: `seconds, 0 to ${MAX_SECONDS}, or infinite` });
}

/** dockerd shows nothing of what `start` says: there it does not wait. */
export function defaultStartWait(caller: { readonly isContainerd: boolean }): StartWait {
  return caller.isContainerd ? 0 : DEFAULT_SECONDS;
}
