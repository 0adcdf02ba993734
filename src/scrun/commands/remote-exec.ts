/** `scrun exec` in a container on a node of the cluster: a step beside the container's own, on this command's streams. */
import { readFileSync, writeFileSync } from "node:fs";
import type { RemoteCommand, RemoteContainers } from "#engine/remote-containers.ts";
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { openTerminalFor } from "#platform/pseudo-terminal.ts";
import { sendSignal } from "#platform/process-tree.ts";
import { spawnWithFiles } from "#platform/spawn.ts";
import { has, lastValue, type Given } from "../command-line.ts";
import type { ContainerState } from "../place.ts";

export interface RemoteExecCall {
  readonly state: ContainerState;
  readonly given: readonly Given[];
  /** Behind the id, where no --process names a file. */
  readonly args: readonly string[];
  readonly remote: RemoteContainers;
}

/** With --detach the step's srun stays, and is the process whose number the engine gets and waits for. */
export async function execRemotely({ state, given, args, remote }: RemoteExecCall): Promise<number> {
  const where = state.remote;
  if (where == null) throw new BerthError("CONTAINER_STOPPED", "the container does not run yet");
  const processFile = lastValue(given, "process");
  if (processFile === undefined && args.length === 0) throw new BerthError("USAGE", "exec wants a command, or --process FILE");
  const text =
    processFile === undefined
      ? JSON.stringify({ args, cwd: lastValue(given, "cwd") ?? "/", env: [PATH], user: { uid: 0, gid: 0 } })
      : readFileSync(processFile, "utf8");
  const consoleSocket = lastValue(given, "console-socket") ?? "";
  const terminal = consoleSocket === "" ? undefined : openTerminalFor(consoleSocket);
  const { argv, env }: RemoteCommand = remote.execCommand(where, text, { hasTerminal: terminal !== undefined });
  const isDetached = has(given, "detach");
  const files = terminal === undefined ? [0, 1, 2] : [terminal, terminal, terminal];
  // setsid(1) makes its own session where a terminal is to be had.
  const srun = spawnWithFiles(argv, { files, env, cwd: "/", isDaemon: isDetached && terminal === undefined });
  const pidFile = lastValue(given, "pid-file");
  if (pidFile !== undefined && pidFile !== "") writeFileSync(pidFile, String(srun.pid));
  if (isDetached) return 0;
  for (const [name, number] of [["SIGTERM", 15] as const, ["SIGHUP", 1] as const]) process.on(name, () => sendSignal(srun.pid, number));
  return shellCode(await srun.exited);
}

const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
