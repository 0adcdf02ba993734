/** A step's record once its daemon, or what the daemon left, has told how it ended. */
import type { StepRecord } from "#job/record.ts";
import type { BaseState } from "#job/state.ts";
import type { StepResult } from "#step/journal.ts";

export function endedRecord(record: StepRecord, result: StepResult): StepRecord {
  const { exit } = result;
  // A step that ends with its job's limit is cancelled; only its own limit makes it TIMEOUT (lifecycle §5.1).
  const state: BaseState =
    result.terminated === "timeLimit" && record.timeLimitMinutes !== null
      ? "TIMEOUT"
      : result.terminated === "nodeFailure"
        ? "NODE_FAIL"
        : result.outOfMemory
          ? "OUT_OF_MEMORY"
          : result.terminated === "cancelled" || exit.signal !== 0
            ? "CANCELLED"
            : exit.code !== 0
              ? "FAILED"
              : "COMPLETED";
  const { annotations = {} } = result;
  return {
    ...record,
    state,
    exit,
    endedAt: result.endedAt,
    usage: result.usage,
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  };
}
