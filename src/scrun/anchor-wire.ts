/**
 * What scrun's commands and a container's anchor say to each other at ROOT/ID/anchor.sock, one JSON value a frame
 * (platform/frames.ts).
 *
 *   create ─ create ──► anchor     answered by `created` or `failed`
 *   start ── start ───► anchor     `waiting` while the job is queued, then `started` or `failed`; `queued` when start has waited long enough
 *   state ── state ───► anchor     `state`
 *   kill ─── kill ────► anchor     only while the job waits, or there is no container yet: the job is withdrawn; `done`
 *   delete ─ end ─────► anchor     the container is killed and the job ended; the connection closes when the anchor ends
 *   pause ── paused, resumed ─► anchor   the job follows; `done`
 */
import type { JobId } from "#job/id.ts";
import type { JobRequest, SubmitContext } from "#job/request.ts";
import { isSignalNumber, parseChecked, type MessageChecks, type UnknownMessage } from "#platform/frames.ts";
import type { Monitor } from "./orphans.ts";
import type { StagingPlan } from "./staging/staging.ts";
import type { StartWait } from "./start-wait.ts";

export interface StandInPlan {
  /** The container has a pid namespace of its own. */
  readonly hasPidNamespace: boolean;
  /** What is found by its pid while there is no container; for one on a node an empty directory. */
  readonly rootfs: string;
}

/** What is known before the job is asked for. */
export interface JobPlan {
  readonly id: string;
  readonly bundle: string;
  readonly rootfs: string;
  readonly configFile: string;
  readonly hasTerminal: boolean;
  readonly pidFile: string | null;
  readonly log: { readonly file: string; readonly format: string } | null;
  readonly annotations: Readonly<Record<string, string>>;
  readonly ociVersion: string;
  readonly runtimeOptions: readonly string[];
  /** Null runs in the existing job `jobId`. */
  readonly request: JobRequest | null;
  readonly jobId: JobId | null;
  readonly submit: SubmitContext;
  readonly name: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Null: the bundle is used where it is. */
  readonly staging: StagingPlan | null;
  /** Ids of containers whose namespaces it joins, and who had no process yet. */
  readonly follows: readonly string[];
  /** As the container or create's environment says; for `start`. */
  readonly startWait: StartWait | null;
  readonly network: WaitingNetwork | null;
  /** What stderr hears of messages (log.ts). */
  readonly logLevel: number;
  /** Who is going to stand for the container, and hears of its end by a FIFO (stand-in.ts). Null: nobody. */
  readonly standIn: StandInPlan | null;
  /** Null: no engine has called. */
  readonly monitor: Monitor | null;
}

export interface AnchorPlan extends JobPlan {
  /** The real one, absolute; empty for a container on a node of a cluster, which has its own. */
  readonly runtime: string;
  /** For its create: --console-socket, --no-pivot … */
  readonly createOptions: readonly string[];
}

/**
 * docker configures a container's network when `create` has ended, in the network namespace of the pid that it was told: while the job waits there has
 * to be one already, or it would be the daemon's own. `early`: made by the anchor, and later the container's. `withContainer`: only the
 * real runtime can make it, as a part of the container's own user namespace. Null: nobody does that, or it is not a new one.
 */
export type WaitingNetwork = "early" | "withContainer";

export type ToAnchor =
  | { readonly op: "create" }
  /** `wait`: for the job. After it the answer is `queued`, and the rest is told on the container's own standard error. */
  | { readonly op: "start"; readonly wait: StartWait }
  | { readonly op: "state" }
  | { readonly op: "cancel" }
  | { readonly op: "kill"; readonly signal: number }
  | { readonly op: "end" }
  /** `isDone`: by the runtime. Otherwise it has no freezer, and the anchor does it with signals. */
  | { readonly op: "paused" | "resumed"; readonly isDone: boolean };

const nothing = () => true;
const isNews = ({ isDone }: UnknownMessage) => typeof isDone === "boolean";
const CHECKS: MessageChecks<ToAnchor> = {
  create: nothing,
  start: ({ wait }) => wait === "infinite" || (typeof wait === "number" && wait >= 0),
  state: nothing,
  cancel: nothing,
  kill: ({ signal }) => isSignalNumber(signal),
  end: nothing,
  paused: isNews,
  resumed: isNews,
};

/** Undefined: it is no message to an anchor, so that its sender is no command of ours, and the connection is to be closed. */
export function parseToAnchor(payload: Uint8Array): ToAnchor | undefined {
  return parseChecked(payload, CHECKS);
}

export type ContainerStatus = "creating" | "created" | "running" | "paused" | "stopped";

export type FromAnchor =
  /** `initPid`: null while the job waits; `network` is a path to its namespace then, when it has one already. */
  | { readonly event: "created"; readonly initPid: number | null; readonly standIn: StandInPlan | null; readonly network: string | null }
  | { readonly event: "waiting"; readonly text: string }
  | { readonly event: "started" }
  /** The container runs when its job is granted. */
  | { readonly event: "queued"; readonly text: string }
  | { readonly event: "done" }
  /** `waiting`: what for, while it waits; with a terminal it may be made already. */
  | {
      readonly event: "state";
      readonly status: ContainerStatus;
      readonly jobId: number | null;
      readonly isMade: boolean;
      readonly waiting: string | null;
    }
  /** `isSaid`: stderr has it already, from the runtime itself. */
  | { readonly event: "failed"; readonly message: string; readonly hint: string | null; readonly isSaid: boolean };
