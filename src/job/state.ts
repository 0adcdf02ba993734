/** Base states of jobs and steps with their compact forms (squeue(1), JOB STATE CODES; lifecycle §2). */
export const STATES = {
  PENDING: "PD",
  RUNNING: "R",
  SUSPENDED: "S",
  COMPLETED: "CD",
  CANCELLED: "CA",
  FAILED: "F",
  TIMEOUT: "TO",
  NODE_FAIL: "NF",
  PREEMPTED: "PR",
  BOOT_FAIL: "BF",
  DEADLINE: "DL",
  OUT_OF_MEMORY: "OOM",
} as const;
export type BaseState = keyof typeof STATES;

/** Flags shown instead of the base state, first match wins (lifecycle §2.2). */
export const STATE_FLAGS = {
  COMPLETING: "CG",
  STAGE_OUT: "SO",
  CONFIGURING: "CF",
  RESIZING: "RS",
  REQUEUED: "RQ",
  REQUEUE_FED: "RF",
  REQUEUE_HOLD: "RH",
  SPECIAL_EXIT: "SE",
  STOPPED: "ST",
  REVOKED: "RV",
  RESV_DEL_HOLD: "RD",
  SIGNALING: "SI",
} as const;
export type StateFlag = keyof typeof STATE_FLAGS;

export type AnyState = BaseState | StateFlag;
export const COMPACT_STATES: Readonly<Record<AnyState, string>> = { ...STATES, ...STATE_FLAGS };

const FLAG_ORDER = Object.keys(STATE_FLAGS) as StateFlag[];

/** The one word that squeue and scontrol show. */
export function shownState(job: { readonly state: BaseState; readonly flags: readonly StateFlag[] }): AnyState {
  return FLAG_ORDER.find((flag) => job.flags.includes(flag)) ?? job.state;
}

export function isTerminal(state: BaseState): boolean {
  return state !== "PENDING" && state !== "RUNNING" && state !== "SUSPENDED";
}
