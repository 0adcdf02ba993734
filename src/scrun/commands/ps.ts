/** `scrun ps`: the real runtime reads a container's cgroup; where it has none of its own, its pid namespace says the same. */
import { readFileSync } from "node:fs";
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { runChild } from "#platform/child.ts";
import { processesOf } from "#platform/process-tree.ts";
import {
  findContainer,
  isWithoutCgroup,
  refuseWhileQueued,
  requireRuntimeContainer,
  RUNTIME_MS,
  runtimeVariables,
  type RuntimeCall,
} from "./existing-container.ts";
import { lastError } from "../log.ts";

export async function listProcesses(
  call: RuntimeCall,
  options: { readonly isJson: boolean; readonly psArgs: readonly string[]; readonly print: (text: string) => void },
): Promise<number> {
  const { place, state } = findContainer(call.root, call.id);
  await refuseWhileQueued(place);
  requireRuntimeContainer(place, state, "ps");
  const run = (argv: [string, ...string[]]) =>
    runChild(argv, { env: runtimeVariables(), cwd: "/", signal: new AbortController().signal, timeoutMs: RUNTIME_MS });
  const real = await run([state.runtime, "--root", place.runtimeRoot, ...state.runtimeOptions, ...call.words]);
  // It is in the container's cgroup, and no process of the container.
  const standIn = place.standIn();
  if (shellCode(real.status) === 0) {
    const text = real.stdout.trimEnd();
    if (standIn === undefined) options.print(text);
    else if (options.isJson) options.print(JSON.stringify(((JSON.parse(text) ?? []) as number[]).filter((pid) => pid !== standIn)));
    else options.print(linesOf(text, (pid) => pid !== standIn));
    return 0;
  }
  const reason = lastError(real.stderr) ?? real.stderr.trim();
  if (!isWithoutCgroup(reason)) throw new BerthError("RUNTIME_FAILED", reason);
  const init = Number(readFileSync(place.initPidFile, "utf8"));
  const pids = processesOf(init);
  if (options.isJson) {
    options.print(JSON.stringify(pids));
    return 0;
  }
  const table = await run(["ps", ...(options.psArgs.length > 0 ? options.psArgs : ["-ef"])]);
  const wanted = new Set(pids);
  options.print(linesOf(table.stdout.trimEnd(), (pid) => wanted.has(pid)));
  return 0;
}

/** @throws BerthError USAGE when the table has no pids */
function linesOf(table: string, isWanted: (pid: number) => boolean): string {
  const [header = "", ...lines] = table.split("\n");
  const column = header.trim().split(/\s+/).indexOf("PID");
  if (column < 0) throw new BerthError("USAGE", "ps has to print PIDs to tell which lines are the container's");
  return [header, ...lines.filter((line) => isWanted(Number(line.trim().split(/\s+/)[column])))].join("\n");
}
