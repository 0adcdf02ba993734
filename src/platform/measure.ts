/** What a process and everything below it use now (proc(5)). */
import { readFileSync } from "node:fs";
import type { ProcessUse } from "#job/record.ts";
import { descendants } from "./process-tree.ts";

/** USER_HZ and the page size of every Linux that we run on (x86-64, and arm64 with 4 KiB pages, as distributions build it). */
const TICK_MS = 10;
const PAGE_KIB = 4;

/** Undefined when the process is gone. */
export function measureTree(root: number): ProcessUse | undefined {
  return measureProcesses([
    root,
    ...descendants(root)
      .filter(({ isZombie }) => !isZombie)
      .map(({ pid }) => pid),
  ]);
}

/** Sums; undefined when all are gone. Pages that several share count for each. */
export function measureProcesses(pids: readonly number[]): ProcessUse | undefined {
  const uses = pids.flatMap((pid) => measure(pid) ?? []);
  if (uses.length === 0) return undefined;
  const sum = (pick: (use: ProcessUse) => number) => uses.reduce((total, use) => total + pick(use), 0);
  return {
    pids: uses.flatMap((use) => use.pids),
    rssKib: sum((use) => use.rssKib),
    vmKib: sum((use) => use.vmKib),
    cpuMs: sum((use) => use.cpuMs),
    majorFaults: sum((use) => use.majorFaults),
    readBytes: sum((use) => use.readBytes),
    writtenBytes: sum((use) => use.writtenBytes),
  };
}

function measure(pid: number): ProcessUse | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined; // gone
  }
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  // By proc(5) `state` is field 3, and the first one here.
  const field = (number: number) => Number(fields[number - 3] ?? 0);
  const io = readIo(pid);
  return {
    pids: [pid],
    rssKib: field(24) * PAGE_KIB,
    vmKib: Math.round(field(23) / 1024),
    cpuMs: (field(14) + field(15) + field(16) + field(17)) * TICK_MS,
    majorFaults: field(12),
    readBytes: Number(/^rchar: (\d+)/m.exec(io)?.[1] ?? 0),
    writtenBytes: Number(/^wchar: (\d+)/m.exec(io)?.[1] ?? 0),
  };
}

/** The most memory that the process has had resident since its execve(2) (VmHWM); null when it is gone, or a zombie. */
export function peakRssKib(pid: number): number | null {
  try {
    const found = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"));
    return found === null ? null : Number(found[1]);
  } catch {
    return null; // gone
  }
}

function readIo(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/io`, "latin1");
  } catch {
    return ""; // of a process that changed its user
  }
}
