/** What the query commands do alike: clusters, errors of loading, --json and --yaml, repetition. */
import { BerthError } from "#job/errors.ts";
import { nowMs } from "#job/id.ts";
import type { MachineOutput } from "#options/said.ts";
import type { Engine } from "#engine/engine.ts";
import { ownUserId } from "./identity.ts";
import { complain, printError, printText, writeAll } from "./terminal.ts";

/** A query is given up by ending the command. */
export const UNTIL_ENDED = { signal: new AbortController().signal } as const;

/** Slurm lists hidden partitions and their jobs (slurm.conf(5), Hidden) for root always, for others with -a, or when they are named. */
export function skipsHidden(all: boolean): boolean {
  return !all && ownUserId() !== 0;
}

/** SLURM_TIME_FORMAT, for the renderers. */
export function timeFormat(): string | null {
  return process.env["SLURM_TIME_FORMAT"] ?? null;
}

/**
 * Prints what Slurm's library says when an answer cannot be had: no command's name, but the call's (`slurm_load_jobs
 * error: …`). Gives the exit status.
 */
export function printLoadError(command: string, call: string, error: unknown): number {
  if (!(error instanceof BerthError)) return printError(command, error);
  complain(`${call}: ${error.message}`, ...(error.hint === undefined ? [] : [`${command}: ${error.hint}`]));
  return 1;
}

/** `-M`: the name of the cluster when our own or all were asked for; undefined once the user knows that there is none (§1.5). */
export async function findCluster(command: string, wanted: string, engine: Engine): Promise<string | undefined> {
  const { clusterName } = await engine.info(UNTIL_ENDED);
  const unknown = wanted.split(",").filter((name) => name !== "" && name !== clusterName && name.toLowerCase() !== "all");
  if (unknown.length === 0) return clusterName;
  complain(
    ...unknown.map((name) => `${command}: error: No cluster '${name}' known by database.`),
    `${command}: error: '${wanted}' can't be reached now, or it is an invalid entry for --cluster.  Use 'sacctmgr list clusters' to see available clusters.`,
  );
  return undefined;
}

/** JSON has the shape of this release (commands.md §16), whatever -V says. */
const JSON_RELEASE = "26.11.0";

type JsonModule = typeof import("#format/json.ts");
type JsonRequest = import("#format/json.ts").JsonRequest;
type Json = import("#format/json.ts").Json;

/** Prints `--json` or `--yaml`. Their modules are loaded only here. */
export async function printMachineOutput(
  output: MachineOutput,
  call: { readonly command: string; readonly argv: readonly string[]; readonly engine: Engine },
  make: (json: JsonModule, request: JsonRequest) => Json,
): Promise<void> {
  const [json, { userName, groupName, ownUserId, ownGroupId }, { clusterName }] = await Promise.all([
    import("#format/json.ts"),
    import("./identity.ts"),
    call.engine.info(UNTIL_ENDED),
  ]);
  const value = make(json, {
    nowMs: nowMs(),
    meta: {
      command: [call.command, ...call.argv],
      user: userName(ownUserId()),
      group: groupName(ownGroupId()),
      source: "",
      release: JSON_RELEASE,
      clusterName,
    },
  });
  if (output.kind === "json") printText(`${json.jsonText(value)}\n`);
  else printText((await import("#format/yaml.ts")).yamlText(value));
}

/** `-i`: again and again, an empty line behind each block, until a signal ends the command; else once. */
export async function repeat(seconds: number | null, show: () => Promise<number>): Promise<number> {
  if (seconds === null) return await show();
  for (;;) {
    await show();
    writeAll(1, "\n");
    await Bun.sleep(seconds * 1000);
  }
}
