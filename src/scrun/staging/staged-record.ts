/**
 * What is staged in, written down for the case that the anchor is killed: whoever removes the container then has it staged out, so that no
 * copy is left on a shared file system. Gone as soon as stage-out has been.
 *
 *   ROOT/ID/staged.json    written before stage-in begins, and again when it has said where the bundle is; beside and renamed
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "../log.ts";
import type { ContainerPlace } from "../place.ts";
import type { StagingContext, StagingPlan } from "./staging.ts";

export interface StagedRecord {
  readonly plan: StagingPlan;
  /** The anchor's: engines give a delete next to none. */
  readonly environment: Readonly<Record<string, string>>;
  readonly context: StagingContext;
}

const fileOf = (place: ContainerPlace) => join(place.dir, "staged.json");

export function writeStagedRecord(place: ContainerPlace, record: StagedRecord): void {
  const file = fileOf(place);
  writeFileSync(`${file}.part`, JSON.stringify(record), { mode: 0o600 });
  renameSync(`${file}.part`, file);
}

export function removeStagedRecord(place: ContainerPlace): void {
  rmSync(fileOf(place), { force: true });
}

/** Of a container without an anchor. A failure is told: the container goes all the same. */
export async function stageOutLeftovers(place: ContainerPlace, log: Log): Promise<void> {
  let text: string;
  try {
    text = readFileSync(fileOf(place), "utf8");
  } catch {
    return; // nothing was staged, or it has been staged out
  }
  const { plan, environment, context } = JSON.parse(text) as StagedRecord; // our own file in our own 0700 directory
  const { openLuaStaging } = await import("./lua/lua-staging.ts");
  const { signal } = new AbortController();
  try {
    await using staging = await openLuaStaging({ plan, environment, dir: join(place.dir, "lua"), log }, { signal });
    const { status, message } = await staging.stageOut(context, { signal });
    if (status !== 0) log.error(message ?? `Cannot stage the container out: status ${status}`);
  } catch (error) {
    log.error(error instanceof Error ? error.message : String(error));
  }
}
