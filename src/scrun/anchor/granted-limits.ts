/**
 * What a job was granted holds in its container, as the job's own cgroup holds it on a cluster (cgroup.conf(5), ConstrainRAMSpace and ConstrainCores):
 * memory and CPUs that nobody but an annotation or a variable asked for. A limit of the container's own stays as it is, and so does a
 * container that cannot be limited where it is.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { ExactNumber, isObject, openObject, type JsonObject } from "#container/json.ts";
import type { OwnStep } from "#engine/own-step.ts";
import type { JobRequest } from "#job/request.ts";
import { type CgroupFacts, type CgroupHost, findLimitPlace, type LimitPlace, thisHost } from "./cgroup-controllers.ts";

/** As docker and podman write `--cpus`. */
const PERIOD_US = 100_000;
const MIB = 1 << 20;

/** Null: nobody has asked for it. */
export interface Granted {
  readonly memMib: number | null;
  readonly cpus: number | null;
}

/**
 * @param request null in an allocation that others use too: they share its CPUs
 * @param step undefined while the job waits: what was asked for then
 */
export function grantedOf(request: JobRequest | null, step: Pick<OwnStep, "job" | "step"> | undefined): Granted {
  const share = step?.job.shares.find(({ node }) => node === step.step.nodes[0]);
  const options = request?.options;
  const asked =
    options === undefined ? [] : [options.cpusPerTask, options.tasks, options.minCpusPerNode, options.tasksPerNode, options.cpusPerGpu];
  const asksForCpus = asked.some((count) => count !== null);
  const cpus = share?.cpuIds.length ?? (options?.cpusPerTask ?? 1) * (options?.tasks ?? 1);
  const memMib = share?.memMib ?? options?.memPerNodeMib ?? (options?.memPerCpuMib ?? 0) * cpus;
  return { memMib: memMib > 0 ? memMib : null, cpus: asksForCpus && cpus > 0 ? cpus : null };
}

export function addGrantedLimits({ memMib, cpus }: Granted, facts: CgroupFacts, host: CgroupHost = thisHost()): void {
  if (memMib === null && cpus === null) return;
  const resources = openObject(openObject(facts.config, "linux"), "resources");
  if (memMib !== null) limitMemory(resources, memMib * MIB, () => findLimitPlace("memory", facts, host), host);
  if (cpus !== null) limitCpus(resources, cpus, () => findLimitPlace("cpu", facts, host));
}

function limitMemory(resources: JsonObject, bytes: number, find: () => LimitPlace | undefined, host: CgroupHost): void {
  const own = resources.get("memory");
  // A limit of memory and swap together that is below ours would be refused.
  if (isObject(own) && (isSet(own, "limit") || isSet(own, "swap"))) return;
  const place = find();
  if (place === undefined) return;
  const memory = openObject(resources, "memory");
  memory.set("limit", bytes);
  // Engines allow as much swap again; not every kernel counts it.
  if (countsSwap(place, host)) memory.set("swap", 2 * bytes);
}

function countsSwap({ version, nearest }: LimitPlace, { root }: CgroupHost): boolean {
  if (version === 1) return existsSync(join(root, "memory/memory.memsw.limit_in_bytes"));
  return nearest !== undefined && existsSync(join(nearest, "memory.swap.max"));
}

function limitCpus(resources: JsonObject, cpus: number, find: () => LimitPlace | undefined): void {
  const own = resources.get("cpu");
  // Shares above one CPU's are what the job was sized by (job-request.ts), and no limit.
  if (isObject(own) && (isSet(own, "quota") || (numberOf(own, "shares") ?? 0) > 1024)) return;
  const place = find();
  if (place === undefined || (place.version === 1 && place.nearest !== undefined && isTighter(place.nearest, cpus))) return;
  const cpu = openObject(resources, "cpu");
  cpu.set("quota", cpus * PERIOD_US);
  cpu.set("period", PERIOD_US);
}

/** With version 1 the kernel refuses more than a parent has. */
function isTighter(dir: string, cpus: number): boolean {
  for (let at = dir; existsSync(join(at, "cpu.cfs_quota_us")); at = dirname(at)) {
    const quota = numberIn(join(at, "cpu.cfs_quota_us"));
    if (quota > 0 && quota / numberIn(join(at, "cpu.cfs_period_us")) < cpus) return true;
  }
  return false;
}

function isSet(parent: JsonObject, name: string): boolean {
  return parent.get(name) instanceof ExactNumber || (numberOf(parent, name) ?? 0) > 0;
}

function numberOf(parent: JsonObject, name: string): number | undefined {
  const value = parent.get(name);
  return typeof value === "number" ? value : undefined;
}

function numberIn(file: string): number {
  try {
    return Number(readFileSync(file, "latin1"));
  } catch {
    return 0;
  }
}
