// Replays transcripts with the real executable and compares.
//
//   bun test/golden/replay.ts NAME...     these (a prefix is enough), printing a readable difference
//   bun test/golden/replay.ts             all that expected.list expects to pass
//     --all        everything there is       --list    only the verdict of each command
//     --renew      rewrite the .txt of our own transcripts (berth/) and, for the others, their lines in expected.list:
//                  reasons stay, a new difference gets "not looked into yet"; review the result like code
//     --keep       leave the state directory  --jobs N  so many at a time (default 2)
//
// Each transcript runs in a private state (state.ts) with its own engine, so they can run side by side. A command that
// takes longer than 30 s is killed, with all its children, and the transcript goes on.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { formatExpectations, readExpectations, type Expectation } from "./expected.ts";
import { bestIdMap, isSame, jobIdsOf, normalise, RECORDED } from "./normalise.ts";
import { endState, makeState } from "./state.ts";
import { parseTranscript, type Exchange } from "./transcript.ts";

const COMMAND_SECONDS = Number(process.env["GOLDEN_COMMAND_SECONDS"] ?? 30);
const SETUP_SECONDS = 120;
const TRANSCRIPT_SECONDS = 240;
const HERE = import.meta.dir;

export interface Compared {
  readonly number: number;
  readonly same: boolean;
  readonly recorded: Exchange;
  /** Undefined when the replay did not come that far. */
  readonly actual: Exchange | undefined;
}

export interface Replay {
  readonly name: string;
  readonly compared: readonly Compared[];
  /** Commands that were killed for taking too long. */
  readonly timeouts: readonly string[];
  /** Processes that `berth daemon stop --jobs` left behind. */
  readonly leaks: readonly string[];
  readonly seconds: number;
  /** The transcript as this run wrote it. */
  readonly text: string;
}

/** Names of all transcripts, each with the directory that it is in. */
export function transcripts(): Map<string, string> {
  const found = new Map<string, string>();
  for (const dir of ["slurm-22.05", "slurm-26.11", "berth"]) {
    const path = join(HERE, dir);
    if (!existsSync(path)) continue;
    for (const file of readdirSync(path).sort()) {
      if (file.endsWith(".case")) found.set(basename(file, ".case"), path);
    }
  }
  return found;
}

export async function replay(name: string, { keep = false }: { keep?: boolean } = {}): Promise<Replay> {
  const dir = transcripts().get(name);
  if (dir === undefined) throw new Error(`no transcript "${name}"`);
  const started = performance.now();
  const recordedText = existsSync(join(dir, `${name}.txt`)) ? readFileSync(join(dir, `${name}.txt`), "utf8") : "";
  const recorded = parseTranscript(recordedText);
  const recordedIds = jobIdsOf(recorded);

  const state = makeState(recordedIds[0] ?? 1);
  const outFile = join(state.dir, "transcript");
  const caseFile = join(state.dir, "case");
  writeFileSync(
    caseFile,
    readFileSync(join(dir, `${name}.case`), "utf8")
      .replaceAll(RECORDED.dir, state.dir)
      .replaceAll(new RegExp(`\\b${RECORDED.user}\\b`, "g"), state.place.user),
  );
  const timeouts: string[] = [];
  let leaks: string[] = [];
  let text = "";
  try {
    await run([join(HERE, "runner.sh"), caseFile, outFile], state.env, state.dir, (what) => timeouts.push(what));
    text = existsSync(outFile) ? readFileSync(outFile, "utf8") : "";
  } finally {
    if (keep) console.error(`${name}: state kept in ${state.dir}`);
    else leaks = await endState(state);
  }
  const replayed = parseTranscript(text);
  const ids = bestIdMap(recorded, replayed, state.place);
  const unchanged = new Map<number, number>();
  const compared = recorded.map((exchange, index): Compared => {
    const raw = replayed[index];
    const wanted = normalise(exchange, RECORDED, unchanged);
    const actual = raw === undefined ? undefined : normalise(raw, state.place, ids);
    return { number: exchange.number, recorded: wanted, actual, same: actual !== undefined && isSame(wanted, actual) };
  });
  return {
    name,
    compared,
    timeouts,
    leaks,
    seconds: (performance.now() - started) / 1000,
    text: ownText(text, state.place.dir, state.place.user),
  };
}

/** A transcript of our own is kept under the recorded one's names, so that it reads the same on every machine. */
function ownText(text: string, dir: string, user: string): string {
  return text.replaceAll(dir, RECORDED.dir).replaceAll(new RegExp(`\\b${user}\\b`, "g"), RECORDED.user);
}

/** Runs the shell that replays, and kills what hangs in it. The shell itself survives, so the next command still runs. */
async function run(argv: string[], env: Readonly<Record<string, string>>, dir: string, onTimeout: (what: string) => void): Promise<void> {
  const shell = Bun.spawn(["bash", ...argv], {
    env,
    cwd: dir,
    stdin: "ignore",
    stdout: "pipe",
    stderr: Bun.file(join(dir, "runner.err")),
    detached: true,
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const watch = (what: string) => {
    clearTimeout(timer);
    const seconds = /^\d+$/.test(what) ? COMMAND_SECONDS : SETUP_SECONDS;
    timer = setTimeout(() => {
      onTimeout(/^\d+$/.test(what) ? `command ${what} took more than ${seconds} s` : `${what} took more than ${seconds} s`);
      killDescendants(shell.pid);
    }, seconds * 1000);
  };
  const whole = setTimeout(() => {
    onTimeout(`the transcript took more than ${TRANSCRIPT_SECONDS} s`);
    killDescendants(shell.pid);
    shell.kill("SIGKILL");
  }, TRANSCRIPT_SECONDS * 1000);
  const progress = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of shell.stdout) {
      const last = decoder.decode(chunk).trim().split("\n").at(-1) ?? "";
      if (last.startsWith("begin ")) watch(last.slice("begin ".length));
    }
  })();
  await shell.exited;
  clearTimeout(timer);
  clearTimeout(whole);
  // A job of the case may hold the pipe open for longer than the shell lives; its output is of no interest.
  await Promise.race([progress, Bun.sleep(100)]);
}

function killDescendants(ancestor: number): void {
  const parents = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
      parents.set(Number(entry), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {
      /* gone */
    }
  }
  const doomed = [...parents.keys()].filter((pid) => {
    for (let at = parents.get(pid); at !== undefined && at > 1; at = parents.get(at)) if (at === ancestor) return true;
    return false;
  });
  for (const pid of doomed) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      /* gone */
    }
  }
}

// --- reports -----------------------------------------------------------------------------------------------------

/** One command's difference, line by line: "-" recorded, "+" seen. */
export function explain({ recorded, actual }: Compared): string {
  const lines = [`  $ ${recorded.command}`];
  if (actual === undefined) return [...lines, "  + (the replay ended before this command)"].join("\n");
  for (const stream of ["stdout", "stderr"] as const) {
    if (recorded[stream].join("\n") === actual[stream].join("\n")) continue;
    const sign = stream === "stdout" ? "|" : "!";
    for (const [mark, line] of difference(recorded[stream], actual[stream])) lines.push(`  ${mark} ${sign} ${line}`);
  }
  if (recorded.status !== actual.status) lines.push(`  - = ${recorded.status}`, `  + = ${actual.status}`);
  return lines.join("\n");
}

/** Longest common subsequence; transcripts are short. */
function difference(a: readonly string[], b: readonly string[]): [mark: " " | "-" | "+", line: string][] {
  const width = b.length + 1;
  const length = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      length[i * width + j] =
        a[i] === b[j]
          ? (length[(i + 1) * width + j + 1] ?? 0) + 1
          : Math.max(length[(i + 1) * width + j] ?? 0, length[i * width + j + 1] ?? 0);
    }
  }
  const result: [" " | "-" | "+", string][] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      result.push([" ", a[i] ?? ""]);
      i++;
      j++;
    } else if (i < a.length && (j >= b.length || (length[(i + 1) * width + j] ?? 0) >= (length[i * width + j + 1] ?? 0))) {
      result.push(["-", a[i++] ?? ""]);
    } else result.push(["+", b[j++] ?? ""]);
  }
  return result;
}

/** What a test prints: only what was not expected. Empty when all is well. */
export function complaintsAbout(result: Replay, expectation: Expectation): string[] {
  const complaints = [...result.timeouts];
  for (const one of result.compared) {
    if (expectation.varying.has(one.number)) continue;
    const reason = expectation.differences.get(one.number);
    if (!one.same && reason === undefined) complaints.push(`command ${one.number} differs:\n${explain(one)}`);
    if (one.same && reason !== undefined) {
      complaints.push(`command ${one.number} is listed as different ("${reason}") but is the same: remove it from expected.list`);
    }
  }
  for (const number of [...expectation.differences.keys(), ...expectation.varying.keys()]) {
    if (number > result.compared.length) complaints.push(`expected.list names command ${number}, which does not exist`);
  }
  for (const leak of result.leaks) complaints.push(`left behind after "berth daemon stop --jobs": ${leak}`);
  return complaints;
}

function renew(old: Expectation | undefined, bad: readonly number[], good: number, seconds: number): Expectation {
  if (good === 0 && bad.length > 0) {
    const reason = old?.verdict === "later" ? old.reason : "no command is the same yet";
    return { verdict: "later", reason, differences: new Map(), varying: new Map() };
  }
  const varying = old?.varying ?? new Map<number, string>();
  const differences = new Map(
    bad.filter((number) => !varying.has(number)).map((number) => [number, old?.differences.get(number) ?? "not looked into yet"] as const),
  );
  return { verdict: seconds > 50 ? "slow" : "pass", reason: "", differences, varying };
}

if (import.meta.main) await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<void> {
  const flag = (name: string) => args.includes(name);
  const jobsAt = args.indexOf("--jobs");
  const jobs = jobsAt < 0 ? 2 : Number(args[jobsAt + 1]);
  const prefixes = args.filter((arg, index) => !arg.startsWith("--") && (jobsAt < 0 || index !== jobsAt + 1));
  const expectations = readExpectations();
  const all = transcripts();
  const names = [...all.keys()].filter((name) =>
    flag("--all")
      ? true
      : prefixes.length > 0
        ? prefixes.some((prefix) => name.startsWith(prefix))
        : expectations.get(name)?.verdict === "pass",
  );
  if (names.length === 0) {
    console.error("no transcript of that name");
    process.exit(2);
  }

  let same = 0;
  let different = 0;
  const renewed = new Map<string, Expectation>();
  const queue = [...names];
  const worker = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
      const result = await replay(name, { keep: flag("--keep") });
      const good = result.compared.filter((one) => one.same).length;
      same += good;
      different += result.compared.length - good;
      const bad = result.compared.filter((one) => !one.same).map((one) => one.number);
      const verdict = bad.length === 0 ? "same " : "DIFF ";
      console.log(
        `${verdict} ${name.padEnd(34)} ${good}/${result.compared.length}  ${result.seconds.toFixed(1)} s` +
          (bad.length > 0 ? `  differ: ${bad.join(",")}` : ""),
      );
      for (const what of [...result.timeouts, ...result.leaks.map((leak) => `left behind: ${leak}`)]) console.log(`      ${what}`);
      if (!flag("--list")) for (const one of result.compared) if (!one.same) console.log(explain(one));
      if (flag("--renew")) {
        const dir = all.get(name) ?? "";
        if (dir.endsWith("berth")) writeFileSync(join(dir, `${name}.txt`), result.text);
        renewed.set(name, renew(expectations.get(name), bad, good, result.seconds));
      }
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, jobs) }, worker));
  if (flag("--renew")) {
    writeFileSync(join(HERE, "expected.list"), formatExpectations(new Map([...readExpectations(), ...renewed])));
  }
  console.log(`${same} commands the same, ${different} different, in ${names.length} transcripts`);
  process.exit(different > 0 ? 1 : 0);
}
