/** Whether the kernel killed something of a container for want of memory, and how much it used: from its cgroup, v1 or v2. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = "/sys/fs/cgroup";

export interface MemoryCgroup {
  readonly dir: string;
  readonly version: 1 | 2;
  /** Kills before we looked: a cgroup may be shared with others. */
  readonly killsBefore: number;
}

/** The memory cgroup of a process, when it has one of its own, apart from `notThis` process's. */
export function findMemoryCgroup(pid: number, notThis: number): MemoryCgroup | undefined {
  const own = cgroupOf(pid);
  const other = cgroupOf(notThis);
  if (own === undefined || own.dir === other?.dir) return undefined;
  return { ...own, killsBefore: readKills(own) ?? 0 };
}

function cgroupOf(pid: number): Omit<MemoryCgroup, "killsBefore"> | undefined {
  const text = readText(`/proc/${pid}/cgroup`);
  if (text === undefined) return undefined;
  for (const line of text.split("\n")) {
    const [, controllers = "", path = ""] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers.split(",").includes("memory")) return { dir: join(ROOT, "memory", path), version: 1 };
  }
  const unified = /^0::(.*)$/m.exec(text)?.[1];
  return unified === undefined ? undefined : { dir: join(ROOT, unified), version: 2 };
}

export function wasOutOfMemory(cgroup: MemoryCgroup | undefined): boolean {
  return cgroup !== undefined && (readKills(cgroup) ?? 0) > cgroup.killsBefore;
}

function readKills({ dir, version }: Pick<MemoryCgroup, "dir" | "version">): number | undefined {
  const text = readText(join(dir, version === 1 ? "memory.oom_control" : "memory.events"));
  const kills = text === undefined ? undefined : /^oom_kill (\d+)$/m.exec(text)?.[1];
  return kills === undefined ? undefined : Number(kills);
}

/** KiB at the most; undefined where the kernel does not say. */
export function peakMemoryKib(cgroup: MemoryCgroup | undefined): number | undefined {
  if (cgroup === undefined) return undefined;
  const text = readText(join(cgroup.dir, cgroup.version === 1 ? "memory.max_usage_in_bytes" : "memory.peak"));
  return text === undefined ? undefined : Math.ceil(Number(text.trim()) / 1024);
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}
