/**
 * What a step daemon says and hears, in frames (platform/frames.ts).
 *
 *   controller ◄─ spare, runtime ─── spare daemon                 (on the connection the spare opened)
 *   controller ─ run ──────────────► spare daemon
 *   controller ◄─ ready | ended ──── daemon                       `ready`: srun may attach at the step's socket
 *   controller ─ terminate, signal ► daemon
 *   controller ─ acknowledged ─────► daemon                       the result is committed: the spool may go
 *
 *   srun ─ attach ─────────────────► daemon                       tasks start now
 *   srun ─ INPUT_FRAME, eof ───────► daemon
 *   srun ◄─ OUTPUT/ERROR_FRAME ───── daemon
 *   srun ◄─ started exited aborting message ended ── daemon
 *
 *   sattach ─ observe ─────────────► daemon                       and then as srun, but it may go away
 *
 * After a controller was killed, its successor connects to the step's socket and says `control`; the daemon
 * answers with its present state, `ended` included, and goes on as before.
 */
import type { RuntimeCopy } from "#container/runtime-copy.ts";
import type { ExitStatus } from "#job/outcome.ts";
import { isSignalNumber, parseChecked, type MessageChecks } from "#platform/frames.ts";
import type { StepResult, TerminateReason } from "./journal.ts";

export { JSON_FRAME } from "#platform/frames.ts";
/** Payload: i32 little endian task (-1: every task), then bytes. */
export const INPUT_FRAME = 1;
/** Payload: u32 little endian task, then bytes. */
export const OUTPUT_FRAME = 2;
export const ERROR_FRAME = 3;

export type ToDaemon =
  | { readonly op: "run"; readonly spoolDir: string; readonly runtimeCopy: RuntimeCopy | null }
  /** To a spare: there are enough, or the controller stops on purpose. Without it a closed connection means a killed controller. */
  | { readonly op: "dismiss" }
  | { readonly op: "control" }
  /** From an srun that will attach, and has a prolog to run before. */
  | { readonly op: "preparing" }
  | { readonly op: "attach" }
  /** From sattach: what the step said lately, and from now on. Its end is not the step's. */
  | { readonly op: "observe" }
  /** The end of the input of one task, or of all. */
  | { readonly op: "eof"; readonly task?: number | null }
  | { readonly op: "resize"; readonly rows: number; readonly columns: number }
  /** `batch` reaches the script's shell alone, `full` everything, `steps` every process of the step. */
  | { readonly op: "signal"; readonly signal: number; readonly scope: "batch" | "full" | "steps" }
  | { readonly op: "terminate"; readonly reason: TerminateReason; readonly hard: boolean }
  | { readonly op: "message"; readonly text: string }
  | { readonly op: "acknowledged" };

export type FromDaemon =
  | { readonly event: "spare"; readonly pid: number }
  /** From a spare: the path of what container steps will run. */
  | { readonly event: "runtime"; readonly path: string }
  | { readonly event: "ready" }
  | {
      readonly event: "launchFailed";
      readonly node: string;
      readonly message: string;
      readonly errno: number;
      readonly hint: string | null;
    }
  | { readonly event: "started"; readonly task: number; readonly node: string }
  | { readonly event: "exited"; readonly task: number; readonly node: string; readonly status: ExitStatus }
  | { readonly event: "aborting"; readonly reason: TerminateReason }
  | { readonly event: "message"; readonly text: string }
  | { readonly event: "ended"; readonly result: StepResult };

const REASONS: Readonly<Record<TerminateReason, true>> = {
  cancelled: true,
  timeLimit: true,
  nodeFailure: true,
  badExit: true,
  jobEnded: true,
  clientLost: true,
  requeued: true,
};

const isLength = (value: unknown) => Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffff;
const nothing = () => true;
const CHECKS: MessageChecks<ToDaemon> = {
  run: ({ spoolDir }) => typeof spoolDir === "string",
  dismiss: nothing,
  control: nothing,
  preparing: nothing,
  attach: nothing,
  observe: nothing,
  eof: ({ task }) => task === undefined || task === null || Number.isInteger(task),
  resize: ({ rows, columns }) => isLength(rows) && isLength(columns),
  signal: ({ signal, scope }) => isSignalNumber(signal) && (scope === "batch" || scope === "full" || scope === "steps"),
  terminate: ({ reason, hard }) => typeof reason === "string" && Object.hasOwn(REASONS, reason) && typeof hard === "boolean",
  message: ({ text }) => typeof text === "string",
  acknowledged: nothing,
};

/** Undefined: it is no message to a daemon, so that its sender is not one of us, and the connection is to be closed. */
export function parseToDaemon(payload: Uint8Array): ToDaemon | undefined {
  return parseChecked(payload, CHECKS);
}

/** The bytes before those of a task. */
export const TASK_HEADER = 4;

export function taskFrame(task: number, bytes: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(4 + bytes.byteLength);
  frame.writeInt32LE(task, 0);
  frame.set(bytes, 4);
  return frame;
}

export function parseTaskFrame(payload: Uint8Array): { readonly task: number; readonly bytes: Uint8Array } {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  return { task: view.getInt32(0, true), bytes: payload.subarray(TASK_HEADER) };
}
