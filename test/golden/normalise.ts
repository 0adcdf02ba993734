// Makes two transcripts comparable: what differs between any two runs of the same Slurm is replaced by a fixed word on
// both sides (times, pids, ports, the user's name), and job ids are renumbered. Columns keep their width.
import type { Exchange } from "./transcript.ts";

/** Who and where a transcript was made, so that it can be made to look like the recorded one. */
export interface Place {
  readonly user: string;
  readonly uid: number;
  readonly gid: number;
  readonly hosts: readonly string[];
  /** The private directory that stands where /tmp/berth-oracle did. */
  readonly dir: string;
}

export const RECORDED: Place = { user: "alice", uid: 2001, gid: 2001, hosts: ["login"], dir: "/tmp/berth-oracle" };

/** Output that says something about the recorder's Slurm or machine, not about the command. Dropped on both sides. */
const NOISE: readonly RegExp[] = [
  /_try_parse: JSON parsing error/, // 22.05 complains about its own runtime query
  /unable to get oom kill count/, // runc without a memory cgroup
  /cgroups in hybrid mode not supported/, // crun, likewise
  /^(\d+: )?SLURM_CONF=/,
  /^(\d+: )?SLURM_TOPOLOGY_ADDR(_PATTERN)?=/,
  /^(sbatch|srun|salloc): cannot be met: /, // our line after Slurm's: which wish, and what there is (engine/embedded/unmet-wish.ts)
  /^(\d+: )?SLURM_WORKING_CLUSTER=/, // address and port of the recorder's controller
];

/**
 * Replaces `from` by `to` in a line. Where the text stood in a padded column the padding takes up the difference in
 * length, so that the columns behind it stay in place: on the left if at least two blanks are there, else on the right.
 */
export function replaceInColumn(line: string, from: string, to: string): string {
  if (from === to || from === "") return line;
  const escaped = from.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const grow = from.length - to.length;
  const pad = (blanks: string) => " ".repeat(Math.max(1, blanks.length + grow));
  return line.replace(
    new RegExp(`( *)(?<![A-Za-z0-9_])${escaped}(?![A-Za-z0-9_])( *)`, "g"),
    (_match, left: string, right: string, offset: number) => {
      const isRightAligned = left.length >= 2 || (offset === 0 && left.length === 1);
      if (isRightAligned) return pad(left) + to + right;
      return right.length >= 2 ? left + to + pad(right) : left + to + right;
    },
  );
}

function normaliseLine(raw: string, place: Place): string {
  let line = raw.replaceAll(`${place.dir}/home`, "/home/alice").replaceAll(place.dir, RECORDED.dir);
  for (const host of place.hosts) line = replaceInColumn(line, host, "login");
  line = replaceInColumn(line, place.user, "alice").replaceAll(`_${place.user}_`, "_alice_");
  // Id 0 after a bare "uid=" may also be root inside a container, so a root's own ids are swapped only beside the name.
  const swap = (own: number) => (all: string, head: string, id: string) =>
    Number(id) === own && (own !== 0 || head.endsWith("(") || /^(UserId|GroupId)/.test(head)) ? `${head}2001` : all;
  const own = (id: number) => (all: string, head: string, found: string) => (Number(found) === id ? `${head}2001` : all);
  return line
    .replace(/((?:UserId|user_id|uid|UID)=(?:\w+\()?)(\d+)/g, swap(place.uid))
    .replace(/((?:GroupId|group_id|gid|GID|groups)=(?:\w+\()?)(\d+)/g, swap(place.gid))
    .replace(/\b(CANCELLED by |(?:UID|USERID)\| ?|(?<=alice)\|)(\d+)(?=\||$)/g, own(place.uid))
    .replace(/((?:\bG(?:ROUP|ID)\| ?)|(?<=\|alice\|(?:\d+)\|alice)\|)(\d+)(?=\||$)/g, own(place.gid))
    .replace(/\b20[0-2]\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?/g, "YYYY-MM-DDTHH:MM:SS")
    .replace(/(?<![\d:-]|ExitCode=)0:[0-5]\d(?![\d:])/g, "0:SS") // not "0:15", killed by signal 15
    .replace(/(?<![\d:-])00:0[01]:[0-5]\d(?![\d:])/g, "00:00:SS")
    .replace(/\b(time=)"[^"]*"/g, '$1"T"')
    .replace(/\b((?:SLURM_TASK_PID|SLURM_SRUN_COMM_PORT|SLURM_STEP_LAUNCHER_PORT|PID|pid)[=:])\d+/g, "$1N")
    .replace(/\bAllocNode:Sid=\w+:\d+/g, "AllocNode:Sid=login:N")
    .replace(/\bPriority=\d{3,}/g, "Priority=N")
    .replace(/(?<=\|)4294\d{6}(?=\||$)/g, "PRIORITY")
    .replace(/\b((?:PRIORITY|FREE_MEM|CPU_LOAD|ALLOC_SID|PENDING_TIME)\| ?)[\d.]+/g, "$1N")
    .replace(/\b(TIME_LEFT\| ?9):5\d/g, "$1:5S")
    .replace(/\bSrunHost:Pid=login:\d+/g, "SrunHost:Pid=login:N")
    .replace(/\bslurmstepd-n\d+:/g, "slurmstepd:")
    .replace(/\/dev\/pts\/\d+/g, "/dev/pts/N");
}

/** "srun: error: n1: tasks 0-1,3: text" → one line for each task: which tasks end together is a matter of timing. */
export function splitTaskLines(line: string): string[] {
  const match = /^(srun: (?:error: )?\S+: )tasks? ([\d,-]+)(: .*)$/.exec(line);
  if (match === null) return [line];
  const [, head = "", list = "", tail = ""] = match;
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: Math.min(last - first, 1000) + 1 }, (_, i) => `${head}task ${first + i}${tail}`);
  });
}

// --- job ids -----------------------------------------------------------------------------------------------------

/** Where a number is a job id beyond doubt. */
const ID_CONTEXTS: readonly RegExp[] = [
  /\bSubmitted batch job (\d+)/g,
  /\b(?:Array)?JobId=(\d+)/g,
  /\bStepId=(\d+)/g,
  /\b[Jj]ob(?:id)? (\d+)\b/g,
  /\bjob allocation (\d+)/g,
  /\bslurm-(\d+)/g,
  /\bJOB (\d+)\b/g,
  /\bSTEP (\d+)\./g,
  /\bSLURM_(?:ARRAY_)?JOB_?ID=(\d+)/g,
  /\bafter\w*:(\d+)/g,
  /\b[Jj]ob step (\d+)\./g,
  /"job_id": (\d+)/g,
  /\bJOB_?ID\| ?(\d+)/g,
  /\bout\.(\d+)\.\d/g,
];

/** All job ids of a transcript, ascending: ids are given out in order, so the ranks of two runs correspond. */
export function jobIdsOf(exchanges: readonly Exchange[]): number[] {
  const ids = new Set<number>();
  // A number that somebody typed (a job that does not exist) is the same in every run.
  const typed = new Set(exchanges.flatMap((exchange) => exchange.command.match(/\d{4,}/g) ?? []));
  const see = (text: string | undefined) => {
    const id = Number(text);
    if (id > 0 && id < 67_000_000 && !typed.has(String(id))) ids.add(id);
  };
  for (const exchange of exchanges) {
    for (const stream of [exchange.stdout, exchange.stderr]) {
      let inTable = false;
      for (const line of stream) {
        for (const context of ID_CONTEXTS) for (const match of line.matchAll(context)) see(match[1]);
        if (inTable) see(/^ *(\d+)(?=[ _.+|]|$)/.exec(line)?.[1]);
        if (/^ *(JOBID|STEPID|JobID|ArrayJobID)\b/i.test(line)) inTable = true;
        if (/--parsable/.test(exchange.command)) see(/^(\d+)(;|$)/.exec(line)?.[1]);
      }
    }
  }
  return [...ids].sort((a, b) => a - b);
}

const ID_HEADS = `(?:job|allocation|JOB|STEP|JobId=|StepId=|jobid|slurm-|JOB_?ID=|"job_id":) ?`;

/** Rewrites job ids by `map` where a number can be one: in the contexts above, and anywhere when it has three digits. */
function renumber(line: string, map: ReadonlyMap<number, number>): string {
  let result = line;
  // Through private-use characters, so that an id just written is not taken for another old one.
  const marks = new Map<string, string>();
  let next = 0xe000;
  for (const [from, to] of map) {
    const isSafeAnywhere = from >= 100;
    const place = isSafeAnywhere
      ? new RegExp(`(?<![\\d.:])${from}(?![\\d:])`)
      : new RegExp(`(?:(?<=${ID_HEADS})|(?<=^ *))${from}(?=[ _.+|;"]|$)`);
    if (!place.test(result)) continue;
    const mark = String.fromCharCode(next++);
    marks.set(mark, String(to));
    const grow = String(from).length - String(to).length;
    result = result.replace(new RegExp(`( *)${place.source}`, "g"), (_match, left: string) => {
      const isPadded = left.length >= 2;
      return (isPadded ? " ".repeat(Math.max(1, left.length + grow)) : left) + mark;
    });
  }
  for (const [mark, text] of marks) result = result.replaceAll(mark, text);
  return result;
}

/**
 * Guesses how a run's job ids correspond to the recorded ones: ids are given out in order, so usually by a constant
 * distance, else by rank. Of all candidates the one is taken that makes most commands the same.
 */
export function bestIdMap(recorded: readonly Exchange[], actual: readonly Exchange[], place: Place): Map<number, number> {
  const from = jobIdsOf(actual);
  const to = jobIdsOf(recorded);
  const candidates = new Map<string, Map<number, number>>();
  const add = (map: Map<number, number>) => candidates.set(JSON.stringify([...map]), map);
  const [low = 1] = from;
  const high = from.at(-1) ?? low;
  const distances = new Set([0, ...to.slice(0, 3).flatMap((id) => from.slice(0, 3).map((other) => id - other))]);
  for (const distance of distances) {
    const map = new Map<number, number>();
    for (let id = Math.max(1, low - 3); id <= Math.min(high, low + 1000) + 3; id++) map.set(id, id + distance);
    add(distance === 0 ? new Map() : map);
  }
  add(
    new Map(
      from.flatMap((id, rank) => {
        const other = to[rank];
        return other === undefined ? [] : [[id, other] as const];
      }),
    ),
  );
  const wanted = recorded.map((exchange) => normalise(exchange, RECORDED, new Map()));
  let best = new Map<number, number>();
  let bestCount = -1;
  for (const map of candidates.values()) {
    const count = wanted.filter((exchange, index) => {
      const other = actual[index];
      return other !== undefined && isSame(exchange, normalise(other, place, map));
    }).length;
    if (count > bestCount) {
      best = map;
      bestCount = count;
    }
  }
  return best;
}

export function normalise(exchange: Exchange, place: Place, ids: ReadonlyMap<number, number>): Exchange {
  const stream = (lines: readonly string[]) =>
    lines.filter((line) => !NOISE.some((noise) => noise.test(line))).map((line) => renumber(normaliseLine(line, place), ids));
  return { ...exchange, stdout: stream(exchange.stdout), stderr: stream(exchange.stderr) };
}

// --- comparing ---------------------------------------------------------------------------------------------------

const WAITING = /^(srun|salloc|sbatch): (job \d+ (queued and waiting|has been allocated)|Pending job allocation \d+|Nodes .* are ready)/;
const REVOKED = /^salloc: Job allocation \d+ has been revoked\.$/;

/** True when two normalised streams say the same, apart from what can vary between runs of one Slurm. */
export function isSameStream(recorded: readonly string[], actual: readonly string[], command: string): boolean {
  if (recorded.join("\n") === actual.join("\n")) return true;
  // Short waits may or may not be announced; tasks of several nodes write in any order.
  const essence = (lines: readonly string[]) => {
    const kept = lines.filter((line) => !WAITING.test(line) && !REVOKED.test(line)).flatMap(splitTaskLines);
    return /\bsrun\b/.test(command) ? kept.sort() : kept;
  };
  return essence(recorded).join("\n") === essence(actual).join("\n");
}

export function isSame(recorded: Exchange, actual: Exchange): boolean {
  return (
    recorded.status === actual.status &&
    isSameStream(recorded.stdout, actual.stdout, recorded.command) &&
    isSameStream(recorded.stderr, actual.stderr, recorded.command)
  );
}
