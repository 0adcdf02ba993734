/** Commands of runc and crun that engines seldom call: list, features, spec, run. */
import { join, resolve } from "node:path";
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { replaceProcess } from "#platform/exec.ts";
import { captureOutput } from "#platform/spawn.ts";
import { AnchorClient } from "./anchor-client.ts";
import { has, lastValue, type Given } from "../command-line.ts";
import { deleteContainer, listContainers, startContainer, statusOf, type RuntimeCall } from "./existing-container.ts";
import { createContainer } from "./create.ts";
import { callersVariables } from "../caller.ts";
import type { Log } from "../log.ts";
import type { ContainerPlace } from "../place.ts";
import { findRealRuntime } from "../request/real-runtime.ts";
import { takeIdAndStartAnchor } from "./start-anchor.ts";

const PASSED_ON = [
  ["SIGHUP", 1],
  ["SIGINT", 2],
  ["SIGQUIT", 3],
  ["SIGUSR1", 10],
  ["SIGUSR2", 12],
  ["SIGTERM", 15],
] as const;
const never = new AbortController().signal;

export interface MoreCall extends RuntimeCall {
  readonly startController: () => Promise<void>;
  readonly given: readonly Given[];
  readonly log: Log;
  readonly host: { print(text: string): void };
  readonly argv: readonly string[];
}

export async function moreCommands(word: "list" | "features" | "spec" | "run", call: MoreCall): Promise<number> {
  switch (word) {
    case "list":
      return await list(call);
    case "features":
      return await features(call);
    case "spec":
      return await asRuntime(["spec", ...call.words.slice(1)]);
    case "run":
      return await run(call);
    default:
      return word satisfies never;
  }
}

async function list({ root, given, host }: MoreCall): Promise<number> {
  const found = await listContainers(root);
  if (has(given, "quiet")) {
    for (const { id } of found) host.print(String(id));
    return 0;
  }
  const format = lastValue(given, "format") ?? "table";
  if (format === "json") host.print(JSON.stringify(found));
  else if (format === "table") {
    const rows = [["ID", "PID", "STATUS", "BUNDLE", "CREATED", "JOB"]];
    for (const { id, pid, status, bundle, created, jobId } of found) rows.push([id, pid, status, bundle, created, jobId ?? ""].map(String));
    const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
    for (const row of rows)
      host.print(
        row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("   ")
          .trimEnd(),
      );
  } else throw new BerthError("USAGE", `invalid format option "${format}"`, { hint: "formats: table json" });
  return 0;
}

/** The real runtime's: it is what makes the container. One that has no such command says so itself. */
async function features({ host }: MoreCall): Promise<number> {
  const runtime = await findRealRuntime({ signal: never });
  const { status, stdout } = await captureOutput([runtime, "features"], callersVariables());
  if (shellCode(status) !== 0) throw new BerthError("NOT_SUPPORTED", `${runtime} has no features command`);
  // Both say so of their own checkpoint, which is refused here.
  host.print(stdout.trimEnd().replace(/("[^"]*\.checkpoint\.enabled"\s*:\s*)"true"/g, '$1"false"'));
  return 0;
}

async function asRuntime(words: readonly string[]): Promise<number> {
  const runtime = await findRealRuntime({ signal: never });
  return replaceProcess(runtime, [runtime, ...words], callersVariables());
}

/** create and start; in the foreground also the end, with the container's exit status. */
async function run(call: MoreCall): Promise<number> {
  const isDetached = has(call.given, "detach");
  const status = Promise.withResolvers<number>();
  const place = await createContainer(
    {
      started: takeIdAndStartAnchor(call),
      given: call.given,
      log: call.log,
      startController: call.startController,
    },
    { onExit: status.resolve },
  );
  try {
    // In the foreground there is nothing that would be kept waiting.
    await startContainer(call.root, call.id, { log: call.log, isPatient: !isDetached });
  } catch (error) {
    await deleteContainer(call.root, call.id, { isForced: true, log: call.log });
    throw error;
  }
  if (isDetached) return 0;
  passSignalsOn(place);
  const code = await status.promise;
  if (!has(call.given, "keep")) await remove(place, call.log);
  return code;
}

/** As runc's run does: they are for the container. */
function passSignalsOn(place: ContainerPlace): void {
  const send = async (signal: number) => {
    using client = await AnchorClient.find(place);
    await client?.ask({ op: "kill", signal });
  };
  for (const [name, number] of PASSED_ON) process.on(name, () => void send(number));
}

async function remove(place: ContainerPlace, log: Log): Promise<void> {
  if ((await statusOf(place)).status === "stopped")
    await deleteContainer(resolve(join(place.dir, "..")), place.id, { isForced: true, log });
}
