/** Numbers and words that jobs get as they queue (lifecycle §4.2, §5.4). */

/** priority/basic gives this to the first job, and one less to each next one. */
export const FIRST_PRIORITY = 4294901759;
export const REQUEUED_HELD = "job requeued in held state";

/** Of a job that is requeued while its old run still ends: a controller that takes over finds there what was asked for. */
export function requeueReason(isHeld: boolean): string {
  return isHeld ? "JobHeldUser" : "BeginTime";
}
