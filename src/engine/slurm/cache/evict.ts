/** Keeps a node's cache within bounds: what nobody has used for long goes, then the least recently used until the rest fits. */
import { readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const MAX_AGE_MS = 30 * 86_400_000;
const MAX_BYTES = 20 * 2 ** 30;
const EVERY_MS = 3_600_000;
/** What was used in the last hour may be about to be used by a task that starts now. */
const SAFE_MS = 3_600_000;

interface Entry {
  readonly name: string;
  readonly usedAt: number;
  readonly bytes: number;
}

/** Pure: the entries to remove. `isInUse` entries stay, whatever they weigh. */
export function entriesToEvict(
  entries: readonly Entry[],
  { now, isInUse, maxBytes = MAX_BYTES }: { readonly now: number; readonly isInUse: (name: string) => boolean; readonly maxBytes?: number },
): readonly string[] {
  const evicted: string[] = [];
  let total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const { name, usedAt, bytes } of [...entries].sort((a, b) => a.usedAt - b.usedAt)) {
    const age = now - usedAt;
    if (isInUse(name) || age < SAFE_MS || (age < MAX_AGE_MS && total <= maxBytes)) continue;
    evicted.push(name);
    total -= bytes;
  }
  return evicted;
}

/** Whether a bundle's path is that of an entry of a node's cache. */
export function isCached(bundle: string): boolean {
  return /\/bundle-[0-9a-f]{64}$/.test(bundle);
}

/** Marks the entry as used now; `bundle` may be any path. Never fails. */
export function markUsed(bundle: string): void {
  if (!isCached(bundle)) return;
  try {
    utimesSync(bundle, new Date(), new Date());
  } catch {
    // Evicted this moment: opening it will say so.
  }
}

/** At most hourly. `bundlesInUse`: of all tasks that run on this node. Never fails. */
export function evict(cache: string, bundlesInUse: () => readonly string[]): void {
  const stamp = join(cache, "evicted");
  try {
    if (Date.now() - (statSync(stamp, { throwIfNoEntry: false })?.mtimeMs ?? 0) < EVERY_MS) return;
    writeFileSync(stamp, "");
    const entries = readdirSync(cache)
      .filter((name) => /^(?:bundle|berth)-[0-9a-f]{64}$/.test(name))
      .map(
        (name): Entry => ({
          name,
          usedAt: statSync(join(cache, name)).mtimeMs,
          bytes: sizeOf(join(cache, `${name}.size`)),
        }),
      );
    const used = new Set(bundlesInUse());
    for (const name of entriesToEvict(entries, {
      now: Date.now(),
      isInUse: (entry) => used.has(join(cache, entry)) || join(cache, entry) === process.execPath,
    })) {
      rmSync(join(cache, name), { recursive: true, force: true });
      rmSync(join(cache, `${name}.size`), { force: true });
    }
  } catch {
    // No cache here, or a neighbour evicts: nothing depends on it.
  }
}

function sizeOf(file: string): number {
  try {
    return Number(readFileSync(file, "utf8")) || 0;
  } catch {
    return 0;
  }
}
