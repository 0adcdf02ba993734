/**
 * What OCI runtimes tell of a container while it runs: `ps` and `events`. They read its cgroup; where it has none of its own, or
 * the runtime no such command (crun has no events), its pid namespace and proc(5) say the same.
 */
import { basename } from "node:path";
import { BerthError } from "#job/errors.ts";
import { shellCode } from "#job/outcome.ts";
import { runChild } from "#platform/child.ts";
import { measureProcesses } from "#platform/measure.ts";
import { isAlive, identify, processesOf } from "#platform/process-tree.ts";
import { linesOf, spawnPiped } from "#platform/piped-process.ts";
import type { Argv } from "./runtime-calls.ts";

export interface RunningContainer {
  /** The runtime with its global options. */
  readonly call: Argv;
  readonly id: string;
  /** Under which it is known to who asks. */
  readonly shownId?: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  /** Its first process, as this host knows it. */
  initPid(): number;
  /** In the container's cgroup, and no process of the container. */
  readonly hidden?: number | undefined;
}

const RUNTIME_MS = 120_000;

/** crun's and runc's words where nobody could make a cgroup for the container; runc looks for it at an empty path then. */
export function isWithoutCgroup(reason: string): boolean {
  return /without a cgroup|not using cgroups|cgroup.*(not|no) |container pids: lstat *: no such file/i.test(reason);
}

export interface PsRequest {
  readonly format: string;
  /** For ps(1). */
  readonly psArgs: readonly string[];
}

/** The numbers are this host's. Lines of ps(1) are picked here: crun takes no words for it. @throws BerthError */
export async function printProcesses(container: RunningContainer, { format, psArgs }: PsRequest): Promise<string> {
  const pids = await pidsOf(container);
  if (format === "json") return JSON.stringify(pids);
  if (pids.length === 0) return "";
  const table = await ask(container, ["ps", ...(psArgs.length > 0 ? psArgs : ["-f"]), "-p", pids.join(",")]); // words like -e select more
  if (shellCode(table.status) !== 0) throw new BerthError("USAGE", `ps: ${table.stderr.trim().split("\n", 1)[0]}`); // its usage follows
  return rowsOf(table.stdout.trimEnd(), (pid) => pids.includes(pid));
}

async function pidsOf(container: RunningContainer): Promise<number[]> {
  const { call, id, hidden } = container;
  const told = await ask(container, [...call, "ps", "--format", "json", id]);
  if (shellCode(told.status) === 0) return ((JSON.parse(told.stdout) ?? []) as number[]).filter((pid) => pid !== hidden);
  const reason = reasonOf(told.stderr);
  if (!isWithoutCgroup(reason)) throw new BerthError("RUNTIME_FAILED", reason);
  return processesOf(container.initPid());
}

/** @throws BerthError USAGE when the table has no pids */
function rowsOf(table: string, isWanted: (pid: number) => boolean): string {
  const [header = "", ...lines] = table.split("\n");
  const column = header.trim().split(/\s+/).indexOf("PID");
  if (column < 0) throw new BerthError("USAGE", "ps has to print PIDs to tell which lines are the container's");
  return [header, ...lines.filter((line) => isWanted(Number(line.trim().split(/\s+/)[column])))].join("\n");
}

export interface EventsRequest {
  /** Once, and no more. */
  readonly isOnce: boolean;
  readonly intervalMs: number;
}

/** Lines of JSON in runc's form, until the container ends or, with `isOnce`, one. @throws BerthError */
export async function printEvents(
  container: RunningContainer,
  { isOnce, intervalMs }: EventsRequest,
  print: (line: string) => void,
): Promise<void> {
  const { call, id, env } = container;
  const init = identify(container.initPid());
  const told = await runtimeStats(container);
  // runc's own have more than figures: it says when memory has run out.
  if (told !== undefined && !isOnce) {
    const runtime = spawnPiped([...call, "events", "--interval", `${intervalMs}ms`, id], { env, cwd: "/" });
    for await (const line of linesOf(runtime.stdout)) print(named(line.toString(), container));
    return;
  }
  for (let line = told ?? ownStats(container); line !== undefined; line = ownStats(container)) {
    print(line);
    if (isOnce) return;
    for (const next = performance.now() + intervalMs; performance.now() < next; await Bun.sleep(Math.min(500, intervalMs)))
      if (init === undefined || !isAlive(init)) return;
  }
}

/** Undefined where the runtime cannot. @throws BerthError */
async function runtimeStats(container: RunningContainer): Promise<string | undefined> {
  const { call, id } = container;
  if (basename(call[0]) === "crun") return undefined;
  const real = await ask(container, [...call, "events", "--stats", id]);
  // Without a cgroup runc has the form, and no figure in it.
  if (shellCode(real.status) === 0) return /"total":\s*\d/.test(real.stdout) ? named(real.stdout.trimEnd(), container) : undefined;
  const reason = reasonOf(real.stderr);
  if (isWithoutCgroup(reason)) return undefined;
  throw new BerthError("RUNTIME_FAILED", reason);
}

function named(line: string, { id, shownId }: RunningContainer): string {
  return line.replace(`"id":${JSON.stringify(id)}`, `"id":${JSON.stringify(shownId ?? id)}`);
}

/** Undefined when it has ended. */
function ownStats(container: RunningContainer): string | undefined {
  const use = measureProcesses(processesOf(container.initPid()).filter((pid) => pid !== container.hidden));
  if (use === undefined) return undefined;
  const data = {
    cpu: { usage: { total: use.cpuMs * 1_000_000 } },
    memory: { usage: { usage: use.rssKib * 1024 } },
    pids: { current: use.pids.length },
  };
  return JSON.stringify({ type: "stats", id: container.shownId ?? container.id, data });
}

async function ask(container: RunningContainer, argv: Argv) {
  return await runChild(argv, { env: container.env, cwd: "/", signal: new AbortController().signal, timeoutMs: RUNTIME_MS });
}

/** The error among what runtimes write to stderr as text; warnings may come behind it. */
export function reasonOf(stderr: string): string {
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  const line = lines.findLast((candidate) => candidate.includes("level=error")) ?? lines.at(-1) ?? "";
  return /msg="((?:[^"\\]|\\.)*)"/.exec(line)?.[1]?.replace(/\\"/g, '"') ?? line;
}
