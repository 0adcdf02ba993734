/**
 * Which pending jobs start now: priority order with conservative backfill. Pure, on a clock that is handed in.
 *
 * Every job that cannot start gets a reservation at the earliest time when it will fit, counting time limits of
 * running jobs and earlier reservations; a later job starts now only if that delays none of them. Only the first
 * `depth` waiting jobs get one, so that a pass over a very long queue stays short.
 */
import type { EpochMs, JobId } from "#job/id.ts";
import { place, type Ask, type NodeFree, type Placement } from "./placement.ts";

export interface WaitingJob {
  readonly jobId: JobId;
  readonly partition: string;
  readonly ask: Ask;
  /** Infinity without a limit. */
  readonly durationMs: number;
}

/** What a running job holds, and until when at the latest. */
export interface Holding {
  readonly until: number;
  readonly placements: readonly Placement[];
}

export interface Decision {
  readonly starts: readonly { readonly jobId: JobId; readonly placements: readonly Placement[]; readonly isBackfill: boolean }[];
  /** For jobs that were looked at and wait. */
  readonly waits: readonly { readonly jobId: JobId; readonly reason: "Resources" | "Priority"; readonly expectedStartAt: EpochMs | null }[];
}

export interface SchedulerInput {
  readonly now: number;
  /** Free resources now, after what running jobs hold. */
  readonly free: readonly NodeFree[];
  readonly holdings: readonly Holding[];
  /** In order of priority. */
  readonly waiting: Iterable<WaitingJob>;
  readonly depth: number;
}

export function schedule(input: SchedulerInput): Decision {
  const profile = new Profile(input);
  const starts: Decision["starts"][number][] = [];
  const waits: Decision["waits"][number][] = [];
  const blockedPartitions = new Set<string>();
  for (const job of input.waiting) {
    const slot = profile.earliest(job);
    if (slot?.at === input.now) {
      starts.push({ jobId: job.jobId, placements: slot.placements, isBackfill: blockedPartitions.size > 0 });
      profile.reserve(slot.at, job.durationMs, slot.placements);
      continue;
    }
    const isFirst = !blockedPartitions.has(job.partition);
    blockedPartitions.add(job.partition);
    waits.push({ jobId: job.jobId, reason: isFirst ? "Resources" : "Priority", expectedStartAt: (slot?.at ?? null) as EpochMs | null });
    if (slot !== undefined) profile.reserve(slot.at, job.durationMs, slot.placements);
    if (waits.length >= input.depth) break;
  }
  return { starts, waits };
}

/** Free resources over time. */
class Profile {
  readonly #now: number;
  readonly #free: readonly NodeFree[];
  /** Signed changes: negative takes, positive gives back. */
  readonly #takes: { readonly from: number; readonly to: number; readonly placements: readonly Placement[] }[] = [];
  readonly #releases: readonly Holding[];

  constructor(input: SchedulerInput) {
    this.#now = input.now;
    this.#free = input.free;
    this.#releases = input.holdings;
  }

  reserve(at: number, durationMs: number, placements: readonly Placement[]): void {
    this.#takes.push({ from: at, to: at + durationMs, placements });
  }

  /** Undefined when it never fits as long as running jobs without a limit run. */
  earliest(job: WaitingJob): { readonly at: number; readonly placements: Placement[] } | undefined {
    for (const at of this.#points()) {
      const placements = place(job.ask, this.#lowest(at, at + job.durationMs));
      if (placements !== undefined) return { at, placements };
    }
    return undefined;
  }

  #points(): number[] {
    const points = new Set([this.#now]);
    for (const { until } of this.#releases) if (Number.isFinite(until)) points.add(Math.max(until, this.#now + 1));
    for (const { to } of this.#takes) if (Number.isFinite(to)) points.add(to);
    return [...points].sort((a, b) => a - b);
  }

  /** The least that is free on each node at any time of the window. */
  #lowest(from: number, to: number): NodeFree[] {
    const nodes = this.#at(from);
    for (const { from: start } of this.#takes) {
      if (start <= from || start >= to) continue;
      for (const [index, later] of this.#at(start).entries()) {
        const node = nodes[index];
        if (node === undefined) continue;
        node.cpus = Math.min(node.cpus, later.cpus);
        node.memMib = Math.min(node.memMib, later.memMib);
        for (const name of Object.keys(node.gres)) node.gres[name] = Math.min(node.gres[name] ?? 0, later.gres[name] ?? 0);
      }
    }
    return nodes;
  }

  #at(time: number): NodeFree[] {
    const nodes = this.#free.map((node) => ({ ...node, gres: { ...node.gres } }));
    const byName = new Map(nodes.map((node) => [node.name, node]));
    const change = (placements: readonly Placement[], sign: 1 | -1) => {
      for (const placement of placements) {
        const node = byName.get(placement.node);
        if (node === undefined) continue;
        node.cpus += sign * placement.cpus;
        node.memMib += sign * placement.memMib;
        for (const [name, count] of Object.entries(placement.gres)) node.gres[name] = (node.gres[name] ?? 0) + sign * count;
      }
    };
    for (const { until, placements } of this.#releases) if (until <= time && time > this.#now) change(placements, 1);
    for (const { from, to, placements } of this.#takes) if (from <= time && time < to) change(placements, -1);
    return nodes;
  }
}
