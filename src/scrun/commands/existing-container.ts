/** The commands that find a container by its id: start, state, kill, delete, list, and what the real runtime does for us. */
import { existsSync } from "node:fs";
import { isWithoutCgroup } from "#container/running-container.ts";
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { parseSignal } from "#options/signals.ts";
import { runChild } from "#platform/child.ts";
import { replaceProcess } from "#platform/exec.ts";
import { isAlive } from "#platform/process-tree.ts";
import { AnchorClient } from "./anchor-client.ts";
import type { ContainerStatus } from "../anchor-wire.ts";
import { callersVariables, isCalledByContainerd } from "../caller.ts";
import { quickStartFailure } from "../launcher/quick-start.ts";
import { lastError, type Log } from "../log.ts";
import { stageOutLeftovers } from "../staging/staged-record.ts";
import { defaultStartWait, readStartWait } from "../start-wait.ts";
import { thawStandIn } from "../stand-in/thaw.ts";
import { checkId, ContainerPlace, listPlaces, type ContainerState } from "../place.ts";

const never = new AbortController().signal;
export const RUNTIME_MS = 120_000;
const SIGKILL = 9;
const CANCELLING = ["SIGINT", "SIGTERM"] as const;

/** @throws BerthError CONTAINER_MISSING, in runc's words: engines look for them */
export function findContainer(root: string, id: string | undefined): { readonly place: ContainerPlace; readonly state: ContainerState } {
  const place = new ContainerPlace(root, checkId(id));
  const state = place.read();
  if (state === undefined) throw missing();
  return { place, state };
}

function missing(): BerthError {
  return new BerthError("CONTAINER_MISSING", "container does not exist");
}

export interface LiveStatus {
  readonly status: ContainerStatus;
  /** The real runtime has a container. */
  readonly isMade: boolean;
  /** What for, before it runs. */
  readonly waiting: string | null;
}

/** The anchor knows; without one the container is over. */
export async function statusOf(place: ContainerPlace): Promise<LiveStatus> {
  using client = await AnchorClient.find(place);
  const answer = await client?.ask({ op: "state" });
  if (answer?.event === "state") return answer;
  return { status: "stopped", isMade: place.hasRuntimeContainer(), waiting: null };
}

/** Waits for the job, and says so; not for longer than it should (start-wait.ts), unless `isPatient`. Ctrl-C withdraws it. */
export async function startContainer(
  root: string,
  id: string | undefined,
  { log, isPatient = false }: { readonly log: Log; readonly isPatient?: boolean },
): Promise<number> {
  const { place, state } = findContainer(root, id);
  const said = state.startWait ?? readStartWait(process.env);
  const wait = isPatient ? "infinite" : (said ?? defaultStartWait({ isContainerd: isCalledByContainerd() }));
  using client = await AnchorClient.find(place);
  if (client === undefined) {
    const failure = quickStartFailure(place);
    if (failure !== undefined) throw startFailed(failure);
    throw new BerthError("CONTAINER_STOPPED", "cannot start a container that has stopped");
  }
  const cancel = () => client.say({ op: "cancel" });
  for (const signal of CANCELLING) process.on(signal, cancel);
  try {
    client.say({ op: "start", wait });
    let hasWaited = false;
    for (;;) {
      const answer = await client.next();
      switch (answer?.event) {
        case "waiting":
          if (!hasWaited) log.info(answer.text);
          hasWaited = true;
          break;
        case "queued":
          log.info(answer.text);
          return 0;
        case "started":
          return 0;
        case "failed":
          throw startFailed(quickStartFailure(place) ?? answer);
        case undefined:
          throw new BerthError("ANCHOR_LOST", "Cannot start container: its anchor has gone");
        default:
          break; // the answer to a cancel
      }
    }
  } finally {
    for (const signal of CANCELLING) process.off(signal, cancel);
  }
}

function startFailed({ message, hint }: { readonly message: string; readonly hint: string | null }): BerthError {
  return new BerthError("START_FAILED", message, hint === null ? {} : { hint });
}

export async function stateOf(root: string, id: string | undefined): Promise<Record<string, unknown>> {
  const { place, state } = findContainer(root, id);
  const { status } = await statusOf(place);
  return {
    ociVersion: state.ociVersion,
    id: state.id,
    pid: status === "stopped" ? 0 : (place.standIn() ?? state.anchor.pid),
    status,
    bundle: state.bundle,
    rootfs: state.rootfs,
    created: state.createdAt,
    annotations: state.annotations,
    owner: "",
    jobId: state.jobId,
  };
}

/** With a container, its runtime's business; while its job waits, or without one yet, the job is withdrawn. */
export async function killContainer(call: RuntimeCall & { readonly signalText: string | undefined }): Promise<number> {
  const { place } = findContainer(call.root, call.id);
  const signal = signalNumber(call.signalText ?? "TERM");
  const live = await statusOf(place);
  // Its anchor was killed while it was paused: the engine sees its end now.
  if (live.status === "stopped" && thawStandIn(place)) return 0;
  if (live.isMade && live.waiting === null) {
    if (live.status === "paused" && signal === SIGKILL) {
      using client = await AnchorClient.find(place);
      // Once only: a second one would not find it any more.
      if ((await client?.ask({ op: "kill", signal })) !== undefined) return 0;
    }
    return passOn(call);
  }
  if (live.status === "stopped") throw new BerthError("CONTAINER_STOPPED", "container not running");
  using client = await AnchorClient.find(place);
  await client?.ask({ op: "kill", signal });
  return 0;
}

function signalNumber(text: string): number {
  const signal = parseSignal(text);
  if (signal === undefined) throw new BerthError("USAGE", `unknown signal "${text}"`);
  return signal;
}

export async function deleteContainer(
  root: string,
  id: string | undefined,
  options: { readonly isForced: boolean; readonly log: Log },
): Promise<number> {
  const place = new ContainerPlace(root, checkId(id));
  if (!existsSync(place.dir)) {
    if (options.isForced) return 0;
    throw missing();
  }
  const { status } = await statusOf(place);
  if (!options.isForced && (status === "running" || status === "paused")) {
    throw new BerthError("CONTAINER_RUNNING", `cannot delete container ${place.id} that is not stopped: ${status}`);
  }
  if (status === "stopped") {
    thawStandIn(place);
    const { endHalfMade } = await import("./half-made.ts");
    const trouble = await endHalfMade(place, runtimeVariables());
    if (trouble !== undefined) options.log.error(trouble);
  } else await endAnchor(place);
  await deleteReal(place, options.log);
  if (place.hasRuntimeContainer()) await (await import("./leftover-processes.ts")).killLeftovers(place);
  await stageOutLeftovers(place, options.log);
  place.remove();
  return 0;
}

/** Over when the anchor has ended: the job is accounted then. */
async function endAnchor(place: ContainerPlace): Promise<void> {
  using client = await AnchorClient.find(place);
  if (client === undefined) return;
  client.say({ op: "end" });
  while ((await client.next()) !== undefined) {
    // until it closes
  }
  const anchor = place.read()?.anchor;
  while (anchor !== undefined && isAlive(anchor)) await Bun.sleep(1);
}

/** Its record, its cgroup, and what is left in there; poststop hooks. */
async function deleteReal(place: ContainerPlace, log: Log): Promise<void> {
  const state = place.read();
  if (state === undefined || !place.hasRuntimeContainer()) return;
  const result = await runChild([state.runtime, "--root", place.runtimeRoot, ...state.runtimeOptions, "delete", "--force", place.id], {
    env: runtimeVariables(),
    cwd: "/",
    signal: never,
    timeoutMs: RUNTIME_MS,
  });
  // The anchor's own may have been faster.
  if (shellCode(result.status) !== 0 && place.hasRuntimeContainer())
    log.error(`${state.runtime} delete: ${lastError(result.stderr) ?? result.stderr.trim()}`);
}

/** What a real runtime needs of our variables; podman's clean-up has nearly none. */
export function runtimeVariables(): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
    XDG_RUNTIME_DIR: process.env["XDG_RUNTIME_DIR"] ?? "",
  };
}

export interface RuntimeCall {
  readonly root: string;
  readonly id: string | undefined;
  readonly globals: readonly string[];
  /** The command's word with everything behind it, as given. */
  readonly words: readonly string[];
}

/** Nothing is done in a container that does not run yet; with a terminal it may be made already. @throws BerthError CONTAINER_STOPPED */
export async function refuseWhileQueued(place: ContainerPlace): Promise<void> {
  const { waiting } = await statusOf(place);
  if (waiting !== null) throw new BerthError("CONTAINER_STOPPED", `the container does not run yet: ${waiting}`);
}

/** In runc's words, which engines look for: the anchor may have deleted the record of a container that has ended. @throws BerthError CONTAINER_STOPPED */
export function requireRuntimeContainer(place: ContainerPlace, state: ContainerState, word: string): void {
  if (place.hasRuntimeContainer()) return;
  let words = `container with id ${place.id} is not running`;
  if (isAlive(state.anchor)) words = "the container is not made yet";
  else if (word === "exec") words = "cannot exec in a stopped container";
  else if (word === "kill") words = "container not running";
  throw new BerthError("CONTAINER_STOPPED", words);
}

/** Becomes the real runtime: streams, terminal, signals and exit status are its own. */
export function passOn(call: RuntimeCall): never {
  const { place, state } = findContainer(call.root, call.id);
  if (state.runtime === "")
    throw new BerthError("NOT_SUPPORTED", `${call.words[0]} is not supported for a container on a node of the cluster`, {
      hint: `the job's own commands tell of it: berth squeue -s -j ${state.jobId}, berth sstat ${state.jobId}`,
    });
  requireRuntimeContainer(place, state, call.words[0] ?? "");
  return replaceProcess(
    state.runtime,
    [state.runtime, "--root", place.runtimeRoot, ...call.globals, ...state.runtimeOptions, ...call.words],
    callersVariables(),
  );
}

/** pause and resume: the container first, then its job. */
export async function pauseOrResume(call: RuntimeCall, word: "pause" | "resume"): Promise<number> {
  const { place, state } = findContainer(call.root, call.id);
  await refuseWhileQueued(place);
  if (state.runtime === "") {
    using client = await AnchorClient.find(place);
    if (client === undefined) throw new BerthError("CONTAINER_STOPPED", "container not running");
    await client.ask({ op: word === "pause" ? "paused" : "resumed", isDone: false });
    return 0;
  }
  const before = word === "resume" ? (await statusOf(place)).status : undefined;
  // podman kills a paused container and resumes it then, for its end.
  if (before === "stopped") {
    thawStandIn(place);
    return 0;
  }
  const result = await runChild([state.runtime, "--root", place.runtimeRoot, ...call.globals, ...state.runtimeOptions, ...call.words], {
    env: runtimeVariables(),
    cwd: "/",
    signal: never,
    timeoutMs: RUNTIME_MS,
  });
  const isDone = shellCode(result.status) === 0;
  const reason = lastError(result.stderr) ?? result.stderr.trim();
  // Signals do instead. Of a container that they have stopped, runc says that it is not paused.
  const isBySignals = isWithoutCgroup(reason) || (before === "paused" && /not paused/.test(reason));
  if (!isDone && !isBySignals) throw new BerthError("RUNTIME_FAILED", reason);
  using client = await AnchorClient.find(place);
  if (client === undefined) throw new BerthError("CONTAINER_STOPPED", "container not running");
  await client.ask({ op: word === "pause" ? "paused" : "resumed", isDone });
  return 0;
}

export async function listContainers(root: string): Promise<readonly Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = [];
  for (const place of listPlaces(root)) if (place.read() !== undefined) found.push(await stateOf(root, place.id));
  return found;
}
