/** How a container ends that was never there, and in which words. */
import { BerthError } from "#job/errors.ts";
import type { ExitStatus } from "#job/outcome.ts";
import type { FromAnchor } from "../anchor-wire.ts";
import { StageInFailure } from "../staging/staging.ts";

/** What ended before there was a container. */
export const NOT_RUN: ExitStatus = { kind: "exited", code: 1 };
export const CANCELLED: ExitStatus = { kind: "exited", code: 130 };

/** The runtime's own words, which it has written to the container's standard error too. */
export class CreateFailure extends Error {}

export function statusAfter(error: unknown): ExitStatus {
  if (error instanceof StageInFailure) return { kind: "exited", code: error.exitCode };
  return error instanceof CreateFailure ? statusOfRuntimeFailure(error.message) : NOT_RUN;
}

/** As shells and engines say it. */
export function statusOfRuntimeFailure(message: string): ExitStatus {
  return { kind: "exited", code: /not found|no such file/i.test(message) ? 127 : 126 };
}

export function failureOf(error: unknown): Extract<FromAnchor, { event: "failed" }> {
  const isExpected = error instanceof BerthError || error instanceof CreateFailure;
  const message = error instanceof Error ? error.message : String(error);
  return {
    event: "failed",
    message: isExpected ? message : `internal error: ${message}`,
    hint: error instanceof BerthError ? (error.hint ?? null) : null,
    isSaid: error instanceof CreateFailure,
  };
}
