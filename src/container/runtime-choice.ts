/**
 * Which runtime to use when no oci.conf says so: crun (quicker), then runc. "Works here" is not guessed from versions
 * or settings: a trivial container is really run once, as this user. The answer is kept in `stateDir`, keyed by all
 * that can change it (programs, boot, user, namespaces, cgroup layout); a refusal of all of them is not kept, so that
 * a repaired host is noticed at once. Two processes that ask at the same time both probe, each in a directory of its
 * own, and write the same answer.
 */
import { readFileSync, readlinkSync, renameSync, statfsSync, statSync, type Stats, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path/posix";
import { DEFAULT_PATH } from "./environment.ts";
import { probeRuntime } from "./runtime-probe.ts";
import { noneWorks, type Refusal } from "./runtime-refusals.ts";
import type { ChosenRuntime } from "./runtime.ts";

const NAMES = ["crun", "runc"] as const;
/** Part of the key: raise it when the probe changes. */
const PROBE_VERSION = 1;
const MAX_CACHED = 8;

interface Candidate {
  readonly name: (typeof NAMES)[number];
  readonly path: string;
  readonly stamp: string;
}

/**
 * @param stateDir ours, 0700
 * @throws BerthError RUNTIME_MISSING when none is installed, RUNTIME_REFUSED when none works here
 */
export async function chooseRuntime(
  stateDir: string,
  { signal, searchPath = process.env["PATH"] }: { readonly signal: AbortSignal; readonly searchPath?: string | undefined },
): Promise<ChosenRuntime> {
  const candidates = findCandidates(`${searchPath ?? ""}:${DEFAULT_PATH}`);
  const key = probeKey(candidates);
  const file = join(stateDir, "runtimes.json");
  const known = readCache(file).find((entry) => entry.key === key);
  const cached = candidates.find((candidate) => candidate.path === known?.path);
  if (known !== undefined && cached !== undefined) return { name: cached.name, path: cached.path, description: known.description };
  const refusals: Refusal[] = [];
  for (const candidate of candidates) {
    const answer = await probeRuntime(candidate, stateDir, signal);
    if (answer.kind === "refused") {
      refusals.push({ ...candidate, reason: answer.reason });
      continue;
    }
    const description = describe(answer.version, refusals);
    writeCache(file, { key, path: candidate.path, description });
    return { name: candidate.name, path: candidate.path, description };
  }
  throw noneWorks(refusals);
}

function findCandidates(searchPath: string): readonly Candidate[] {
  const dirs = [...new Set(searchPath.split(":"))].filter((dir) => dir.startsWith("/"));
  return NAMES.flatMap((name): Candidate[] => {
    for (const dir of dirs) {
      const path = join(dir, name);
      let stat: Stats | undefined;
      try {
        stat = statSync(path, { throwIfNoEntry: false });
      } catch {
        continue;
      } // not ours to look at
      if (stat?.isFile() === true && (stat.mode & 0o111) !== 0) return [{ name, path, stamp: `${path}:${stat.mtimeMs}:${stat.size}` }];
    }
    return [];
  });
}

function probeKey(candidates: readonly Candidate[]): string {
  const facts = [
    PROBE_VERSION,
    ...candidates.map((candidate) => candidate.stamp),
    process.geteuid?.() ?? 0,
    attempt(() => readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim()),
    attempt(() => readlinkSync("/proc/self/ns/user")),
    attempt(() => statfsSync("/sys/fs/cgroup").type),
  ];
  return facts.join(" ");
}

/** A host without this file is a fact too. */
function attempt<T>(read: () => T): T | "none" {
  try {
    return read();
  } catch {
    return "none";
  }
}

interface CacheEntry {
  readonly key: string;
  readonly path: string;
  readonly description: string;
}

/** Anything unreadable is an empty cache: the probe runs again. */
function readCache(file: string): readonly CacheEntry[] {
  let data: unknown;
  try {
    data = JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return [];
  }
  return Array.isArray(data) ? data.slice(0, MAX_CACHED).filter(isEntry) : [];
}

function isEntry(value: unknown): value is CacheEntry {
  if (typeof value !== "object" || value === null) return false;
  const entry = value as Record<string, unknown>;
  return [entry["key"], entry["path"], entry["description"]].every((member) => typeof member === "string");
}

/** Written beside and renamed: a reader sees the old or the new one. A rival's entry may get lost, and costs it one probe. */
function writeCache(file: string, entry: CacheEntry): void {
  const entries = [entry, ...readCache(file).filter((other) => other.key !== entry.key)].slice(0, MAX_CACHED);
  const part = `${file}.part-${crypto.randomUUID()}`;
  try {
    writeFileSync(part, JSON.stringify(entries), { mode: 0o600, flag: "wx" });
    renameSync(part, file);
  } catch {
    try {
      unlinkSync(part);
    } catch {
      /* a full disk costs a probe for each step, nothing else */
    }
  }
}

function describe(version: string, refusals: readonly Refusal[]): string {
  const why = refusals.length === 0 ? "" : `: ${refusals.map((refusal) => `${refusal.name} refused: ${refusal.reason}`).join("; ")}`;
  return `${version} (chosen by Berth${why})`;
}
