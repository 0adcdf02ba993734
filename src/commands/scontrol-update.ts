/** `scontrol update` (commands.md §8.4): finds out what is to be changed, and which job it is. */
import type { Engine } from "#engine/engine.ts";
import { BerthError } from "#job/errors.ts";
import { expandHostlist } from "#options/hostlist.ts";
import { JOB_UPDATE_KEYS, NODE_UPDATE_KEYS, PARTITION_UPDATE_KEYS, updateKeyName } from "#options/scontrol-words.ts";
import { changeEach } from "./scontrol-change.ts";
import type { ScontrolSession } from "./scontrol-session.ts";
import { UNTIL_ENDED } from "./query.ts";

interface Pair {
  readonly tag: string;
  readonly value: string;
  /** As it was typed, for messages. */
  readonly text: string;
}

export async function update(words: readonly string[], session: ScontrolSession): Promise<number> {
  const pairs = parsePairs(words);
  if (typeof pairs === "string") return session.fail(`Invalid input: ${pairs}`, "Request aborted");
  const jobs = pairs.find(({ tag }) => isTag(tag, "JobId", 3))?.value;
  if (jobs !== undefined)
    return await updateJob(
      jobs,
      pairs.filter(({ tag }) => !isTag(tag, "JobId", 3)),
      session,
    );
  const nodes = pairs.find(({ tag }) => isTag(tag, "NodeName", 3))?.value;
  if (nodes !== undefined)
    return await updateCluster(pairs, NODE_UPDATE_KEYS, session, (engine, changes) =>
      engine.updateNodes(expandHostlist(nodes), changes, UNTIL_ENDED),
    );
  const partition = pairs.find(({ tag }) => isTag(tag, "PartitionName", 3))?.value;
  if (partition !== undefined)
    return await updateCluster(pairs, PARTITION_UPDATE_KEYS, session, (engine, changes) =>
      engine.updatePartition(partition, changes, UNTIL_ENDED),
    );
  const isAdministrators = pairs.some(({ tag }) => ADMINISTRATORS.some((name) => isTag(tag, name, 3)));
  // Only root and SlurmUser may change these; the embedded engine has none of them.
  if (isAdministrators) return session.fail("slurm_update error: Invalid user id");
  return session.fail(
    "No valid entity in update command",
    'Input line must include "NodeName", "PartitionName", "Reservation", "JobId", or "SlurmctldDebug"',
  );
}

/** Nodes and partitions: any other key is refused by its name. */
async function updateCluster(
  pairs: readonly Pair[],
  keys: readonly string[],
  session: ScontrolSession,
  change: (engine: Engine, changes: Record<string, string>) => Promise<void>,
): Promise<number> {
  const changes: Record<string, string> = {};
  for (const { tag, value, text } of pairs) {
    if (isTag(tag, "NodeName", 3) || isTag(tag, "PartitionName", 3)) continue;
    const key = keys.find((name) => isTag(tag, name, 3));
    if (key === undefined) return session.fail(`Update of this parameter is not supported: ${text}`, "Request aborted");
    changes[key] = value;
  }
  if (Object.keys(changes).length === 0) return session.fail("No changes specified");
  try {
    await change(await session.engine(), changes);
    return 0;
  } catch (error) {
    if (!(error instanceof BerthError)) throw error;
    return session.fail(isAboutRequest(error) ? error.message : `slurm_update error: ${error.message}`);
  }
}

const ADMINISTRATORS = ["ReservationName", "FrontendName", "SlurmctldDebug", "StepId"];

/** `Key=Value`, `Key+=Value`, `key value`, and `Nice` alone. A word that needs a value and has none comes back. */
function parsePairs(words: readonly string[]): Pair[] | string {
  const pairs: Pair[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    const match = /^([^=]+?)([+-]?)=(.*)$/s.exec(word);
    if (match !== null) {
      pairs.push({ tag: match[1] ?? "", value: (match[2] ?? "") + (match[3] ?? ""), text: word });
      continue;
    }
    const next = words[i + 1];
    if (isTag(word, "Nice", 2) && (next === undefined || next.includes("="))) pairs.push({ tag: word, value: "", text: word });
    else if (next === undefined) return word;
    else {
      pairs.push({ tag: word, value: next, text: `${word} ${next}` });
      i++;
    }
  }
  return pairs;
}

function isTag(tag: string, name: string, least: number): boolean {
  return tag.length >= least && name.toLowerCase().startsWith(tag.toLowerCase());
}

function findKey(tag: string): string | undefined {
  const lower = tag.toLowerCase();
  const key =
    JOB_UPDATE_KEYS.find(({ name }) => name.toLowerCase() === lower) ??
    (lower.length >= 3 ? JOB_UPDATE_KEYS.find(({ name }) => name.toLowerCase().startsWith(lower)) : undefined);
  return key === undefined ? undefined : updateKeyName(key.name);
}

async function updateJob(jobs: string, pairs: readonly Pair[], session: ScontrolSession): Promise<number> {
  const changes: Record<string, string> = {};
  for (const { tag, value, text } of pairs) {
    const key = findKey(tag);
    if (key === undefined) return session.fail(`Update of this parameter is not supported: ${text}`, "Request aborted");
    changes[key] = value;
  }
  if (pairs.length === 0) return session.fail("No changes specified");
  try {
    const failure = await changeEach(jobs, session, async (target, engine) => {
      try {
        await engine.update({ ...target, changes }, UNTIL_ENDED);
      } catch (error) {
        // About the request, not about this job: the other jobs of the list would fail alike.
        if (error instanceof BerthError && isAboutRequest(error)) throw new Refused(error);
        throw error;
      }
    });
    return failure === undefined ? 0 : 1;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return session.fail(error.reason.message, ...(error.reason.code === "UPDATE_UNSUPPORTED" ? ["Request aborted"] : []));
  }
}

function isAboutRequest({ code }: BerthError): boolean {
  return code === "UPDATE_UNSUPPORTED" || code === "UPDATE_VALUE";
}

class Refused extends Error {
  readonly reason: BerthError;
  constructor(reason: BerthError) {
    super(reason.message, { cause: reason });
    this.reason = reason;
  }
}
