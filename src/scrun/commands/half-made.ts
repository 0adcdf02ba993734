/**
 * A container that its runtime was making when the anchor was killed: the runtime's create does not end with it, and what it has made waits for ever
 * to be started, when its record is removed with everything else.
 */
import { existsSync } from "node:fs";
import { shellCode } from "#job/outcome.ts";
import { runChild } from "#platform/child.ts";
import { findProcess, sendSignal } from "#platform/process-tree.ts";
import type { ContainerPlace } from "../place.ts";
import { findRealRuntime } from "../request/real-runtime.ts";

const never = new AbortController().signal;
const SIGKILL = 9;
const RUNTIME_MS = 120_000;
const MAX_ROUNDS = 1000;

/** For a place that no anchor has any more, and none has put in order (overFile). Undefined, or why it could not be done. */
export async function endHalfMade(place: ContainerPlace, env: Readonly<Record<string, string>>): Promise<string | undefined> {
  if (existsSync(place.overFile)) return undefined;
  // Whoever works with a record says where that is.
  const atWork = { argument: (text: string) => text === place.runtimeRoot, openFile: () => false };
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const maker = findProcess(atWork);
    if (maker === undefined) break;
    sendSignal(maker.pid, SIGKILL);
    await Bun.sleep(1);
  }
  if (!place.hasRuntimeContainer()) return undefined;
  const known = place.read();
  const runtime = known?.runtime ?? (await findRealRuntime({ signal: never }));
  if (runtime === "") return undefined; // on a node
  const argv: [string, ...string[]] = [
    runtime,
    "--root",
    place.runtimeRoot,
    ...(known?.runtimeOptions ?? []),
    "delete",
    "--force",
    place.id,
  ];
  const result = await runChild(argv, { env, cwd: "/", signal: never, timeoutMs: RUNTIME_MS });
  return shellCode(result.status) === 0 || !place.hasRuntimeContainer() ? undefined : `${runtime} delete: ${result.stderr.trim()}`;
}
