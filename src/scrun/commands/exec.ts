/** `scrun exec`: the real runtime's, with the job's variables. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isObject, openList, parseJson, printJson, type Json } from "#container/json.ts";
import type { Engine } from "#engine/engine.ts";
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { spawnWithFiles } from "#platform/spawn.ts";
import { lastValue, preservedFds, type Given } from "../command-line.ts";
import { findContainer, passOn, refuseWhileQueued, type RuntimeCall } from "./existing-container.ts";
import { callersVariables } from "../caller.ts";

/**
 * exec: the job's variables are the new process's too, as far as its specification does not set them. Engines give the whole
 * process in a file; without one there is nothing to add to.
 */
export async function execIn(
  call: RuntimeCall & { readonly given: readonly Given[]; readonly args: readonly string[]; readonly openEngine: () => Promise<Engine> },
): Promise<number> {
  const processFile = lastValue(call.given, "process");
  const { place, state } = findContainer(call.root, call.id);
  await refuseWhileQueued(place);
  if (state.runtime === "") {
    const { remote } = await call.openEngine();
    if (remote === undefined)
      throw new BerthError("NOT_SUPPORTED", "the container is on a cluster, and this engine is not: see berth info");
    return await (await import("./remote-exec.ts")).execRemotely({ ...call, state, remote });
  }
  if (processFile === undefined || !place.hasRuntimeContainer()) return passOn(call);
  const extended = join(place.dir, `exec-${process.pid}.json`);
  if (!extendProcess(processFile, extended, join(place.bundle, "config.json"))) return passOn(call);
  try {
    const argv = [
      ...[state.runtime, "--root", place.runtimeRoot, ...call.globals, ...state.runtimeOptions],
      ...call.words.map((word) => (word === processFile ? extended : word.replace(`=${processFile}`, () => `=${extended}`))),
    ] as [string, ...string[]];
    const files = [0, 1, 2, ...preservedFds(call.given)];
    return shellCode(await spawnWithFiles(argv, { files, env: callersVariables(), cwd: process.cwd() }).exited);
  } finally {
    rmSync(extended, { force: true });
  }
}

/** False when there is nothing that could be added. */
function extendProcess(from: string, to: string, configFile: string): boolean {
  let specification: Json;
  let config: Json;
  try {
    specification = parseJson(readFileSync(from, "utf8"));
    config = parseJson(readFileSync(configFile, "utf8"));
  } catch {
    return false; // the runtime says what is wrong with it
  }
  const own = isObject(config) ? config.get("process") : undefined;
  const env = isObject(own) ? own.get("env") : undefined;
  if (!isObject(specification) || !Array.isArray(env)) return false;
  const names = new Set(openList(specification, "env").map((entry) => String(entry).split("=", 1)[0]));
  const missing = env.filter((entry) => typeof entry === "string" && entry.startsWith("SLURM") && !names.has(entry.split("=", 1)[0]));
  openList(specification, "env").push(...missing);
  writeFileSync(to, printJson(specification), { mode: 0o600 });
  return true;
}
