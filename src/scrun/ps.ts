/** `scrun ps`: the real runtime reads a container's cgroup; where it has none of its own, its pid namespace says the same. */
import { readFileSync } from "node:fs";
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { runChild } from "#platform/child.ts";
import { processesOf } from "#platform/process-tree.ts";
import { findContainer, isWithoutCgroup, requireRuntimeContainer, RUNTIME_MS, runtimeVariables, type RuntimeCall } from "./commands.ts";
import { lastError } from "./log.ts";

export async function listProcesses(
  call: RuntimeCall,
  options: { readonly isJson: boolean; readonly psArgs: readonly string[]; readonly print: (text: string) => void },
): Promise<number> {
  const { place, state } = findContainer(call.root, call.id);
  requireRuntimeContainer(place, state, "ps");
  const run = (argv: [string, ...string[]]) =>
    runChild(argv, { env: runtimeVariables(), cwd: "/", signal: new AbortController().signal, timeoutMs: RUNTIME_MS });
  const real = await run([state.runtime, "--root", place.runtimeRoot, ...state.runtimeOptions, ...call.words]);
  if (shellCode(real.status) === 0) {
    options.print(real.stdout.trimEnd());
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
  const [header = "", ...lines] = table.stdout.trimEnd().split("\n");
  const column = header.trim().split(/\s+/).indexOf("PID");
  if (column < 0) throw new BerthError("USAGE", "ps has to print PIDs to tell which lines are the container's");
  const wanted = new Set(pids);
  options.print([header, ...lines.filter((line) => wanted.has(Number(line.trim().split(/\s+/)[column])))].join("\n"));
  return 0;
}
