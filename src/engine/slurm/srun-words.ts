/**
 * What `srun -v --label` tells on its standard error, line by line (srun 22.05 to 26.05). Tasks' own lines begin with their rank,
 * so nothing that a task writes can be taken for srun's:
 *
 *   srun: launching StepId=19.0 on host c1, 2 tasks: [0-1]        what runs where
 *   srun: launch/slurm: _task_start: Node c1, 2 tasks started
 *   0: a task's line
 *   srun: … Received task exit notification for 1 task of StepId=19.0 (status=0x0200).
 *   srun: error: c2: task 2: Exited with exit code 2              the same, by rank
 */
import { parseWaitStatus, type ExitStatus } from "#job/outcome.ts";
import { parseIndexList } from "#options/array.ts";

export type SrunWord =
  | { readonly kind: "output"; readonly task: number; readonly bytes: Uint8Array }
  | { readonly kind: "launching"; readonly jobId: number; readonly step: string; readonly node: string; readonly ranks: readonly number[] }
  | { readonly kind: "started"; readonly node: string }
  | { readonly kind: "status"; readonly status: ExitStatus; readonly count: number }
  | { readonly kind: "ended"; readonly node: string; readonly ranks: readonly number[] }
  | { readonly kind: "waiting"; readonly text: string }
  | { readonly kind: "failed"; readonly text: string }
  /** For the user. */
  | { readonly kind: "message"; readonly text: string }
  | { readonly kind: "noise" };

/** What keeps a step from being made. */
const FAILED = new RegExp(
  "^srun: (?:fatal|unrecognized)|error: (?:Unable to create step|Unable to confirm allocation|Slurm job \\d+ has expired" +
    "|Task launch for|Unable to resolve|Invalid|Application launch failed)",
);
const MAX_TASKS = 1 << 20;
const COLON = 58;

/** A line of output with its label taken off; undefined when it has none. */
export function parseLabelled(line: Buffer): { readonly task: number; readonly bytes: Buffer } | undefined {
  let at = 0;
  while (at < line.byteLength && line[at] === 32) at++; // ranks are aligned to the right
  const start = at;
  while (at < line.byteLength && (line[at] as number) >= 48 && (line[at] as number) <= 57) at++;
  if (at === start || line[at] !== COLON) return undefined;
  return { task: Number(line.toString("latin1", start, at)), bytes: line.subarray(at + 1 + (line[at + 1] === 32 ? 1 : 0)) };
}

export function parseSrunLine(line: Buffer): SrunWord {
  const labelled = parseLabelled(line);
  if (labelled !== undefined) return { kind: "output", ...labelled };
  const text = line.toString("utf8").trimEnd();
  const launching = /launching StepId=(\d+)\.(\w+) on host (\S+), \d+ tasks?: (\S+)/.exec(text);
  if (launching !== null) {
    return {
      kind: "launching",
      jobId: Number(launching[1]),
      step: launching[2] ?? "0",
      node: launching[3] ?? "",
      ranks: ranksOf(launching[4] ?? ""),
    };
  }
  const started = /^srun: (?:\S+ _task_start: )?Node (\S+), \d+ tasks? started/.exec(text);
  if (started !== null) return { kind: "started", node: started[1] ?? "" };
  const status = /Received task exit notification for (\d+) tasks? of StepId=\S+ \(status=0x([0-9a-f]+)\)/.exec(text);
  if (status !== null) return { kind: "status", count: Number(status[1]), status: parseWaitStatus(Number.parseInt(status[2] ?? "0", 16)) };
  const ended = /(\S+): tasks? ([\d,[\]-]+): (?:Completed|Exited|Killed|[A-Z][a-z]+)/.exec(text);
  if (ended !== null && text.startsWith("srun: ")) return { kind: "ended", node: ended[1] ?? "", ranks: ranksOf(ended[2] ?? "") };
  const waiting = /step creation (?:still disabled|temporarily disabled), retrying \((.*)\)/.exec(text);
  if (waiting !== null) return { kind: "waiting", text: waiting[1] ?? "" };
  if (FAILED.test(text)) return { kind: "failed", text };
  if (
    text.startsWith("srun: error: ") ||
    text.startsWith("slurmstepd") ||
    /^srun: (?:Force Terminated|Job step aborted|First task exited|Terminating|got SIG)/.test(text)
  ) {
    return { kind: "message", text: text.replace(/^srun: /, "") };
  }
  return { kind: "noise" };
}

function ranksOf(text: string): readonly number[] {
  return parseIndexList(text.replace(/[[\]]/g, ""), MAX_TASKS) ?? [];
}
