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

/** What is free from `at` until the next point. */
interface Point {
  readonly at: number;
  readonly free: NodeFree[];
}

/** Free resources over time, as steps: they change when something starts or ends, and only then. */
class Profile {
  readonly #points: Point[];

  constructor({ now, free, holdings }: SchedulerInput) {
    this.#points = [{ at: now, free: free.map(copyOf) }];
    // Whatever should have ended by now ends at any moment, but not yet.
    for (const { until, placements } of holdings) this.#change(Math.max(until, now + 1), Infinity, placements, 1);
  }

  reserve(at: number, durationMs: number, placements: readonly Placement[]): void {
    this.#change(at, at + durationMs, placements, -1);
  }

  /** Undefined when it never fits as long as running jobs without a limit run. */
  earliest(job: WaitingJob): { readonly at: number; readonly placements: Placement[] } | undefined {
    for (const [index, { at, free }] of this.#points.entries()) {
      if (!hasRoom(job.ask, free)) continue;
      const placements = place(job.ask, this.#lowest(index, at + job.durationMs));
      if (placements !== undefined) return { at, placements };
    }
    return undefined;
  }

  /** The least that is free on each node at any time from a point to `to`. */
  #lowest(first: number, to: number): NodeFree[] {
    const nodes = (this.#points[first]?.free ?? []).map(copyOf);
    for (let next = first + 1; next < this.#points.length; next++) {
      const point = this.#points[next];
      if (point === undefined || point.at >= to) break;
      for (const [index, later] of point.free.entries()) {
        const node = nodes[index];
        if (node === undefined) continue;
        node.cpus = Math.min(node.cpus, later.cpus);
        node.memMib = Math.min(node.memMib, later.memMib);
        for (const name of Object.keys(node.gres)) node.gres[name] = Math.min(node.gres[name] ?? 0, later.gres[name] ?? 0);
      }
    }
    return nodes;
  }

  #change(from: number, to: number, placements: readonly Placement[], sign: 1 | -1): void {
    if (from === Infinity) return;
    const end = to === Infinity ? undefined : this.#split(to);
    for (let index = this.#points.indexOf(this.#split(from)); index < this.#points.length; index++) {
      const point = this.#points[index];
      if (point === undefined || point === end) break;
      for (const placement of placements) {
        const node = point.free.find(({ name }) => name === placement.node);
        if (node === undefined) continue;
        node.cpus += sign * placement.cpus;
        node.memMib += sign * placement.memMib;
        for (const [name, count] of Object.entries(placement.gres)) node.gres[name] = (node.gres[name] ?? 0) + sign * count;
      }
    }
  }

  /** The point at this time, made when there is none. Nothing is asked about the time before the first. */
  #split(at: number): Point {
    const index = this.#points.findLastIndex((point) => point.at <= at);
    const before = this.#points[Math.max(0, index)];
    if (before === undefined) throw new Error("a profile has points");
    if (before.at >= at) return before;
    const point = { at, free: before.free.map(copyOf) };
    this.#points.splice(index + 1, 0, point);
    return point;
  }
}

function copyOf(node: NodeFree): NodeFree {
  return { ...node, gres: { ...node.gres } };
}

/** Tells most of the points that cannot do without asking where the job would go. */
function hasRoom({ partitionNodes, tasks, cpusPerTask, overcommit }: Ask, free: readonly NodeFree[]): boolean {
  const wanted = overcommit ? 1 : tasks * cpusPerTask;
  let cpus = 0;
  for (const node of free) if (partitionNodes.includes(node.name)) cpus += Math.max(0, node.cpus);
  return cpus >= wanted;
}
