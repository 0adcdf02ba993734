/**
 * `scrun create`: takes the id, leaves an anchor behind, which does what is wanted, and ends as soon as the container is created, or its
 * job queued: podman gives up on a create after 240 s, so that the queue is waited for in `start` (spec: scrun §6, L-39).
 */
import { existsSync, writeFileSync } from "node:fs";
import { BerthError } from "#job/errors.ts";
import { AnchorClient } from "./anchor-client.ts";
import type { FromAnchor, StandInPlan } from "../anchor-wire.ts";
import { callersVariables } from "../caller.ts";
import { lastValue, type Given } from "../command-line.ts";
import type { Log } from "../log.ts";
import type { ContainerPlace } from "../place.ts";
import { stageOutLeftovers } from "../staging/staged-record.ts";
import { startEarlyStandIn } from "../stand-in/early.ts";
import { startStandIn } from "../stand-in/stand-in.ts";
import { killAnchor, type AnchorProcess, type StartedAnchor } from "./start-anchor.ts";

const SOCKET_WAIT_MS = 20_000;
const STOP_MS = 5000;
/** Most creates are answered by then; after it, it is worth looking whether a controller runs at all. */
const PATIENCE_MS = 40;

type Created = Extract<FromAnchor, { event: "created" }>;

export interface CreateCall {
  readonly started: StartedAnchor;
  readonly given: readonly Given[];
  readonly log: Log;
  /** Sees to it that a controller runs. */
  readonly startController: () => Promise<void>;
}

/** The runtime has said on stderr why it failed. */
export class AlreadySaid extends BerthError {}

/** @throws BerthError; nothing is left behind then */
export async function createContainer(
  call: CreateCall,
  { onExit }: { readonly onExit?: (code: number) => void } = {},
): Promise<ContainerPlace> {
  const { place, anchor } = call.started;
  try {
    const created = await handOver(place, anchor, call);
    if (onExit !== undefined) void anchor.exited.then((code) => onExit(code ?? 1));
    const pidFile = lastValue(call.given, "pid-file");
    if (pidFile === undefined || pidFile === "") return place;
    const pid = created.standIn === null ? undefined : await stand(place, created, created.standIn);
    // Without a newline: docker's reader wants digits only.
    writeFileSync(pidFile, String(pid ?? anchor.pid));
    return place;
  } catch (error) {
    await stopAnchor(place, anchor);
    const [{ endHalfMade }, { killLeftovers }] = await Promise.all([import("./half-made.ts"), import("./leftover-processes.ts")]);
    const trouble = await endHalfMade(place, callersVariables());
    if (trouble !== undefined) call.log.error(trouble);
    await killLeftovers(place); // what the runtime has no record of yet
    await stageOutLeftovers(place, call.log);
    place.remove();
    throw error;
  }
}

async function stand(place: ContainerPlace, { initPid, network }: Created, plan: StandInPlan): Promise<number | undefined> {
  return initPid === null ? await startEarlyStandIn(place, { ...plan, network }) : await startStandIn(place, { initPid, ...plan });
}

/** Over when the container is created, or its job queued. */
async function handOver(
  place: ContainerPlace,
  anchor: AnchorProcess,
  { startController }: Pick<CreateCall, "startController">,
): Promise<Created> {
  using client = await connectSoon(place, anchor);
  const asked = client.ask({ op: "create" });
  const isLate = await Promise.race([asked.then(() => false), Bun.sleep(PATIENCE_MS).then(() => true)]);
  // It starts no controller itself; if none runs, it is for us to do so.
  if (isLate) await Promise.race([asked, startController()]);
  const answer = await asked;
  if (answer?.event === "created") return answer;
  if (answer?.event === "failed") {
    const options = answer.hint === null ? {} : { hint: answer.hint };
    throw answer.isSaid
      ? new AlreadySaid("RUNTIME_FAILED", answer.message, options)
      : new BerthError("CREATE_FAILED", answer.message, options);
  }
  throw new BerthError("ANCHOR_LOST", "Cannot create container: its anchor has gone");
}

async function connectSoon(place: ContainerPlace, anchor: AnchorProcess): Promise<AnchorClient> {
  let hasEnded = false;
  void anchor.exited.then(() => {
    hasEnded = true;
  });
  const deadline = performance.now() + SOCKET_WAIT_MS;
  // Often at first: its start takes about 10 ms, and somebody waits.
  for (let waitMs = 0.5; performance.now() < deadline && !hasEnded; waitMs = Math.min(waitMs * 1.02, 20)) {
    if (existsSync(place.socket())) {
      const client = await AnchorClient.find(place);
      if (client !== undefined) return client;
    }
    await Bun.sleep(waitMs);
  }
  throw new BerthError("ANCHOR_LOST", "Cannot create container: its anchor did not start");
}

/** It ends its job first, which it does by itself when that was refused. One that cannot be reached has nothing to take back. */
async function stopAnchor(place: ContainerPlace, anchor: AnchorProcess): Promise<void> {
  using client = await AnchorClient.find(place);
  client?.say({ op: "end" });
  if ((await Promise.race([anchor.exited, Bun.sleep(client === undefined ? 0 : STOP_MS)])) === undefined) await killAnchor(anchor);
}
