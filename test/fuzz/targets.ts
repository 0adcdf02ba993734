// Hostile input for everything in container/ that reads what others wrote. Whatever comes, the only error is one that a user
// can read, and no argument of a user reaches a shell as anything but an argument. Seeded: a failure comes again.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readBundle } from "#container/bundle.ts";
import { parseCdiSpec } from "#container/cdi-spec.ts";
import { applyCdiEdits } from "#container/cdi-edits.ts";
import { AMD_JSON, nvidiaYaml } from "#container/cdi-fixtures.ts";
import { parseJson, printJson, JsonSyntaxError, type JsonObject } from "#container/json.ts";
import { parseOciConf } from "#container/oci-conf.ts";
import { execSimple, expandPattern, NO_TASK, parsePattern, quoteCommand, type PatternValues } from "#container/pattern.ts";
import { compileExtendedRegex } from "#container/posix-regex.ts";
import { parseState } from "#container/runtime-calls.ts";
import { withConsoleSocket } from "#container/runtime.ts";
import { StepConfig } from "#container/task-config.ts";
import { BerthError } from "#job/errors.ts";

/** A number below the given one. */
export type Random = (below: number) => number;

export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0; // mulberry32
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

export interface Target {
  readonly name: string;
  /** Of all inputs, how many in a hundred. */
  readonly share: number;
  /** One input. True: accepted; false: refused with an error for the user. Throws for anything else. */
  run(random: Random): boolean;
}

const pick = <T>(random: Random, from: readonly T[]): T => from[random(from.length)] as T;

function mutate(random: Random, text: string, alphabet: readonly string[]): string {
  let result = text;
  // Mostly one edit: most of the text still makes sense, and the parser goes deep.
  for (let edits = 1 + (random(3) === 0 ? random(5) : 0); edits > 0; edits--) {
    const at = random(result.length + 1);
    switch (random(4)) {
      case 0:
      case 1:
        result = result.slice(0, at) + pick(random, alphabet) + result.slice(at);
        break;
      case 2:
        result = result.slice(0, at) + result.slice(at + random(20));
        break;
      default:
        result = result.slice(0, at) + result.slice(random(result.length + 1));
        break;
    }
  }
  return result.slice(0, 20_000);
}

function attempt(body: () => void, isAllowed: (error: unknown) => boolean): boolean {
  try {
    body();
    return true;
  } catch (error) {
    if (isAllowed(error)) return false;
    throw error;
  }
}

const isTold = (error: unknown) => error instanceof BerthError && error.message !== "";

const CONF =
  'EnvExclude="^(SLURM_CONF|X)="\nRunTimeQuery="runc state %n.%u.%j.%s.%t"\nRunTimeKill=k\n' +
  'RunTimeDelete="d %p"\nRunTimeRun="runc run %b -- %@" # c\nCreateEnvFile=null\n';
const CONF_PIECES = [
  "\\",
  '"',
  "#",
  "\n",
  "%",
  "=",
  " ",
  "\0",
  "%q",
  "Include x\n",
  "RunTimeStart=s\n",
  "é",
  "\\\n",
  "{",
  "[",
  "(",
  "yes",
  "IgnoreFileConfigJson=1\n",
  "CreateEnvFile=%%\n",
  "\t",
  "'",
  "%@",
  "-",
  "SrunArgs=-x\n",
  "DisableHooks=,a\n",
];
const REGEX_PIECES = [
  "(",
  ")",
  "[",
  "]",
  "{",
  "}",
  "*",
  "+",
  "?",
  "\\",
  "^",
  "$",
  "|",
  "[:alpha:]",
  "[=a=]",
  "1",
  ",",
  "-",
  "😀",
  "/",
  "\\1",
  "\\<",
  "[.-.]",
  "a{2,3}",
];
const CONFIG = JSON.stringify({
  ociVersion: "1.0.2",
  process: {
    terminal: true,
    user: { uid: 1, gid: 2, additionalGids: [1] },
    args: ["a"],
    env: ["A=1"],
    cwd: "/",
    rlimits: [{ type: "RLIMIT_NOFILE", hard: 5, soft: 6 }],
    oomScoreAdj: 0,
  },
  root: { path: "rootfs" },
  mounts: [{ destination: "/sys", type: "sysfs", source: "s", options: ["a", "gid=5"] }],
  hooks: { prestart: [] },
  linux: { namespaces: [{ type: "pid" }], resources: {}, devices: [{ path: "/dev/null", type: "c" }] },
  annotations: {},
});
const JSON_PIECES = [
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  '"',
  "1e9",
  "-0",
  "18446744073709551615",
  "null",
  "true",
  "{}",
  "[]",
  '"x":',
  "\\u0000",
  "\\",
  '"__proto__":{},',
  "/../",
  "\t",
  "é",
  '"1":',
  "0.10",
  '"linux":',
  '"mounts":',
  "-",
  "e",
];
const YAML_PIECES = [
  "-",
  ":",
  " ",
  "\n",
  "  ",
  "&a",
  "*a",
  "[",
  "]",
  "{",
  "}",
  '"',
  "'",
  "|",
  ">",
  "!!str",
  "null",
  "0x1",
  "containerEdits:",
  "- name: x\n",
  "/",
  "\0",
  "%",
  "@",
  "<<: *a\n",
];
/** What a shell, a pattern or a config file could take for something else. */
const ARG_PIECES = [
  "'",
  '"',
  "\\",
  "$",
  "`",
  "$(touch /tmp/berth-injected)",
  ";",
  "&",
  "|",
  ">",
  "<",
  "\n",
  " ",
  "\t",
  "*",
  "?",
  "[",
  "]",
  "{",
  "}",
  "~",
  "#",
  "!",
  "%",
  "%@",
  "%b",
  "-",
  "--",
  "=",
  "ü",
  "€",
  "😀",
  "\u0001",
  "\u007f",
  `'"'"'`,
  "${HOME}",
  "a",
  "B",
  "",
  "\\'",
  "'\\''",
  "\r",
  "\u2028",
];

export function randomArgument(random: Random): string {
  return Array.from({ length: random(7) }, () => pick(random, ARG_PIECES)).join("");
}

/** @param dir a directory of the caller's, with an empty rootfs in it */
export function makeTargets(dir: string): readonly Target[] {
  const values: PatternValues = {
    ...NO_TASK,
    bundle: "/b",
    jobId: "1",
    nodeName: "n",
    rootfs: "/r",
    spoolDir: "/s",
    stepId: "0",
    userName: "u",
    userId: "5",
  };
  const edited = (random: Random) => {
    // Read from a text instead of a file: the disk would set the pace.
    const config = parseJson(mutate(random, CONFIG, JSON_PIECES));
    if (!(config instanceof Map)) return false;
    const options = {
      batch: random(2) === 0 ? null : { scriptPath: "/s", stdin: null, stdout: null, stderr: null },
      disableHooks: ["prestart"],
      spoolMount: { source: "/x", destination: "/y/z" },
      rootless: random(4) === 0 ? null : { uid: 3, gid: 4 },
      runtime: pick(random, ["crun", "other"] as const),
    };
    const made = new StepConfig({ path: dir, rootfs: join(dir, "rootfs"), env: [], config: config as JsonObject }, options);
    const args = [randomArgument(random), "\u0000"];
    const printed = JSON.parse(made.print({ args, env: { A: "\ud800", B: randomArgument(random) }, hasTerminal: random(2) === 0 })) as {
      process: { args: string[] };
    };
    if (JSON.stringify(printed.process.args.slice(-1)) !== JSON.stringify(args.slice(-1)))
      throw new Error("the arguments did not arrive in config.json");
    return true;
  };
  return [
    {
      name: "oci.conf",
      share: 20,
      run: (random) =>
        attempt(() => {
          parseOciConf(mutate(random, CONF, CONF_PIECES), "f");
        }, isTold),
    },
    {
      name: "patterns",
      share: 15,
      run: (random) =>
        attempt(() => {
          const args = Array.from({ length: random(4) }, () => randomArgument(random));
          const pattern = parsePattern(mutate(random, "runc run %b %n.%u -- %@", CONF_PIECES), { file: "f", line: 1 });
          const text = expandPattern(pattern, { ...values, command: quoteCommand(args) });
          execSimple(text);
          withConsoleSocket(text, "/run/x.tty");
        }, isTold),
    },
    {
      name: "arguments",
      share: 15,
      run: (random) => {
        const args = Array.from({ length: random(5) }, () => randomArgument(random));
        const quoted = quoteCommand(args);
        if (JSON.stringify(readQuoted(quoted)) !== JSON.stringify(args)) throw new Error(`${JSON.stringify(args)} became ${quoted}`);
        // Whether exec is put in front may not depend on what the user's arguments are.
        if (execSimple(`runc run x ${quoted}`) !== `exec runc run x ${quoted}`) throw new Error(`no exec for ${quoted}`);
        return true;
      },
    },
    {
      name: "regular expressions",
      share: 15,
      run: (random) =>
        attempt(
          () => {
            compileExtendedRegex(mutate(random, "^(A|B)[[:digit:]]{1,2}=", REGEX_PIECES));
          },
          (error) => error instanceof SyntaxError && !/Invalid regular expression/.test(error.message),
        ),
    },
    {
      name: "config.json",
      share: 20,
      run: (random) => {
        try {
          return edited(random);
        } catch (error) {
          if (error instanceof JsonSyntaxError) return false;
          throw error;
        }
      },
    },
    {
      name: "bundles",
      share: 1,
      run: (random) =>
        attempt(() => {
          writeFileSync(join(dir, "config.json"), mutate(random, CONFIG, JSON_PIECES));
          readBundle(dir);
        }, isTold),
    },
    {
      name: "JSON",
      share: 6,
      run: (random) => {
        const text = mutate(random, CONFIG, JSON_PIECES);
        let ours: unknown;
        try {
          ours = JSON.parse(printJson(parseJson(text)));
        } catch (error) {
          if (!(error instanceof JsonSyntaxError)) throw error;
          if (isJson(text)) throw new Error(`refused: ${text}`);
          return false;
        }
        if (!Bun.deepEquals(ours, JSON.parse(text))) throw new Error(`read differently: ${text}`);
        return true;
      },
    },
    {
      name: "CDI",
      share: 6,
      run: (random) =>
        attempt(() => {
          const isYaml = random(2) === 0;
          const spec = parseCdiSpec(
            mutate(random, isYaml ? YAML : AMD_JSON, isYaml ? YAML_PIECES : JSON_PIECES),
            isYaml ? "f.yaml" : "f.json",
          );
          const config = parseJson("{}") as JsonObject;
          applyCdiEdits(config, spec.edits, { isRootless: random(2) === 0 });
          JSON.parse(printJson(config));
        }, isTold),
    },
    {
      name: "runtime states",
      share: 2,
      run: (random) =>
        parseState(mutate(random, '{"ociVersion":"1.0.2","id":"a","pid":12,"status":"running","bundle":"/b"}', JSON_PIECES)) !== undefined,
    },
  ];
}

const YAML = nvidiaYaml();

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** What sh(1) makes of a line of quoted words; only the two quotes, as nothing else may be there. */
function readQuoted(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < text.length; ) {
    const char = text.charAt(at);
    if (char === " ") {
      if (word !== undefined) words.push(word);
      word = undefined;
      at++;
      continue;
    }
    if (char !== "'" && char !== '"') throw new Error(`${JSON.stringify(char)} stands unquoted in ${text}`);
    const end = text.indexOf(char, at + 1);
    if (end === -1) throw new Error(`a quote stays open in ${text}`);
    const inner = text.slice(at + 1, end);
    if (char === '"' && inner !== "'") throw new Error(`the shell would look into ${JSON.stringify(inner)}`);
    word = (word ?? "") + inner;
    at = end + 1;
  }
  if (word !== undefined) words.push(word);
  return words;
}

export interface Tally {
  readonly inputs: number;
  readonly refused: number;
  readonly slowestMs: number;
}

/** Longer than this for one input counts as a hang. */
const HANG_MS = 2000;

/**
 * Runs inputs until there are enough or the time is up. `progress` is called for a watchdog.
 * @throws Error with target and seed
 */
export function fuzz(options: {
  readonly seed: number;
  readonly inputs: number;
  readonly seconds: number;
  readonly progress?: (text: string) => void;
}): Readonly<Record<string, Tally>> {
  const dir = mkdtempSync(join(tmpdir(), "berth-fuzz-"));
  mkdirSync(join(dir, "rootfs"));
  const tallies: Record<string, { inputs: number; refused: number; slowestMs: number }> = {};
  try {
    const targets = makeTargets(dir);
    const wheel = targets.flatMap((target) => Array.from({ length: target.share }, () => target));
    const end = performance.now() + options.seconds * 1000;
    for (let i = 0; i < options.inputs && (i % 64 !== 0 || performance.now() < end); i++) {
      const seed = (options.seed + Math.imul(i, 0x9e3779b1)) >>> 0;
      const random = randomFrom(seed);
      const target = wheel[i % wheel.length] as Target;
      if (i % 1000 === 0) options.progress?.(`${target.name}, seed ${seed}`);
      tallies[target.name] ??= { inputs: 0, refused: 0, slowestMs: 0 };
      const tally = tallies[target.name] as NonNullable<(typeof tallies)[string]>;
      const startedAt = performance.now();
      try {
        if (!target.run(random)) tally.refused++;
      } catch (error) {
        throw new Error(`${target.name}, seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
      }
      const tookMs = performance.now() - startedAt;
      tally.inputs++;
      tally.slowestMs = Math.max(tally.slowestMs, tookMs);
      if (tookMs > HANG_MS) throw new Error(`${target.name}, seed ${seed}: one input took ${Math.round(tookMs)} ms`);
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  return tallies;
}

/** Sends argument vectors through a real shell, many in one, as %@ would: byte for byte what came is what arrives. */
export async function fuzzShell(random: Random, vectors: number): Promise<void> {
  const batch = Array.from({ length: vectors }, () => Array.from({ length: 1 + random(5) }, () => randomArgument(random)));
  const script = batch.map((args) => `printf '%s\\0' ${quoteCommand(args)}`).join("\n");
  const shell = Bun.spawn(["/bin/sh"], { stdin: Buffer.from(script), stdout: "pipe", stderr: "pipe" });
  const [out, error] = await Promise.all([new Response(shell.stdout).text(), new Response(shell.stderr).text()]);
  if (
    error !== "" ||
    out !==
      batch
        .flat()
        .map((arg) => `${arg}\0`)
        .join("")
  )
    throw new Error(`the shell read something else: ${error}`);
}
