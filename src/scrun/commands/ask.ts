/** `scrun ps`, `events`, `update`: what the real runtime tells of a container, and changes in it, here or on a node of the cluster. */
import { readFileSync } from "node:fs";
import { printEvents, printProcesses, type RunningContainer } from "#container/running-container.ts";
import type { Engine } from "#engine/engine.ts";
import type { ContainerQuestion, RemoteContainers } from "#engine/remote-containers.ts";
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { runChild } from "#platform/child.ts";
import { hostKey } from "#platform/host-key.ts";
import { spawnForeground } from "#platform/spawn.ts";
import { isCalledByContainerd } from "../caller.ts";
import { has, lastValue, type Given } from "../command-line.ts";
import {
  findContainer,
  passOn,
  refuseWhileQueued,
  requireRuntimeContainer,
  RUNTIME_MS,
  runtimeVariables,
  type RuntimeCall,
} from "./existing-container.ts";
import type { ContainerState } from "../place.ts";

export interface AskCall extends RuntimeCall {
  readonly given: readonly Given[];
  /** Behind the id. */
  readonly args: readonly string[];
  readonly openEngine: () => Promise<Engine>;
  readonly print: (text: string) => void;
}

export async function ask(word: "ps" | "events" | "update", call: AskCall): Promise<number> {
  const { place, state } = findContainer(call.root, call.id);
  await refuseWhileQueued(place);
  const format = lastValue(call.given, "format") ?? "table";
  if (word === "ps" && format !== "json" && format !== "table")
    throw new BerthError("USAGE", `ps has the formats table and json, not "${format}"`);
  const events = { isOnce: has(call.given, "stats"), intervalMs: parseInterval(lastValue(call.given, "interval") ?? "5s") };
  if (state.runtime === "") {
    // docker looks the numbers up in a list of its own host's processes.
    const numbersOf = isCalledByContainerd() ? hostKey() : null;
    if (word === "ps") return await askNode(call, state, { op: "ps", format, psArgs: call.args, numbersOf });
    if (word === "events") return await askNode(call, state, { op: "events", shownId: place.id, ...events });
    return await askNode(call, state, { op: "update", ...readUpdate(call.given) });
  }
  if (word === "update") return passOn(call);
  requireRuntimeContainer(place, state, word);
  const container: RunningContainer = {
    call: [state.runtime, "--root", place.runtimeRoot, ...state.runtimeOptions],
    id: place.id,
    env: runtimeVariables(),
    initPid: () => Number(readFileSync(place.initPidFile, "utf8")),
    // It is in the container's cgroup, and no process of the container.
    hidden: place.standIn(),
  };
  if (word === "ps") call.print(await printProcesses(container, { format, psArgs: call.args }));
  else await printEvents(container, events, call.print);
  return 0;
}

/** Only a stream of events is passed on as it comes. */
async function askNode(call: AskCall, state: ContainerState, question: ContainerQuestion): Promise<number> {
  const where = state.remote;
  if (where == null) throw new BerthError("CONTAINER_STOPPED", "the container does not run yet");
  const { argv, env } = (await remoteOf(call)).askCommand(where, question);
  if (question.op === "events" && !question.isOnce) return shellCode(await spawnForeground(argv, env).exited);
  const answer = await runChild(argv, { env, cwd: "/", signal: new AbortController().signal, timeoutMs: RUNTIME_MS });
  if (shellCode(answer.status) === 0) {
    const text = answer.stdout.trimEnd();
    if (text !== "") call.print(text);
    return 0;
  }
  const [message = "the step that asks for it failed", hint] = answer.stderr
    .split("\n")
    .flatMap((line) => /^berth: (?:error: )?(.*)/.exec(line)?.[1] ?? []);
  throw new BerthError("RUNTIME_FAILED", `on node ${where.node}: ${message}`, hint === undefined ? {} : { hint });
}

async function remoteOf({ openEngine }: AskCall): Promise<RemoteContainers> {
  const { remote } = await openEngine();
  if (remote === undefined) throw new BerthError("NOT_SUPPORTED", "the container is on a cluster, and this engine is not: see berth info");
  return remote;
}

/** A file, or our standard input, is nothing that the node sees. @throws BerthError USAGE */
function readUpdate(given: readonly Given[]): { readonly options: readonly string[]; readonly resources: string | null } {
  const file = lastValue(given, "resources");
  const options = given.filter(({ name }) => name !== "resources").map(({ name, value }) => `--${name}=${value}`);
  if (file === undefined) return { options, resources: null };
  try {
    return { options, resources: readFileSync(file === "-" ? 0 : file, "utf8") };
  } catch (error) {
    throw new BerthError("USAGE", `Cannot read ${file === "-" ? "the resources from standard input" : file}: ${(error as Error).message}`);
  }
}

/** Go's durations, as far as seconds and minutes. @throws BerthError USAGE */
function parseInterval(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text);
  const factor = { ms: 1, s: 1000, m: 60_000 }[match?.[2] as "ms" | "s" | "m"];
  const intervalMs = Number(match?.[1]) * factor;
  if (match === null || intervalMs <= 0)
    throw new BerthError("USAGE", `invalid interval "${text}"`, { hint: "for instance 5s, 500ms, 1m" });
  return intervalMs;
}
