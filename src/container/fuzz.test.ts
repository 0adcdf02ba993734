/** Hostile input: whatever comes, the only error is one that a user can read. Seeded, so that a failure comes again. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { readBundle } from "./bundle.ts";
import { parseOciConf } from "./oci-conf.ts";
import { compileExtendedRegex } from "./posix-regex.ts";
import { StepConfig } from "./task-config.ts";

const BUDGET_MS = 500;
setDefaultTimeout(20_000);
let seed = 20261120;
const random = (below: number) => { seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; return Math.floor((seed / 2 ** 32) * below); };

function mutate(text: string, alphabet: readonly string[]): string {
  let result = text;
  for (let edits = 1 + random(6); edits > 0; edits--) {
    const at = random(result.length + 1);
    const piece = alphabet[random(alphabet.length)] as string;
    switch (random(3)) {
      case 0: result = result.slice(0, at) + piece + result.slice(at); break;
      case 1: result = result.slice(0, at) + result.slice(at + random(20)); break;
      default: result = result.slice(0, at) + result.slice(random(result.length + 1)); break;
    }
  }
  return result.slice(0, 20_000);
}

/** Runs `body` until the budget is spent; how often it threw what it may throw. */
function rounds(body: () => void, allowed: (error: unknown) => boolean): { readonly runs: number; readonly refusals: number } {
  let runs = 0;
  let refusals = 0;
  for (const end = performance.now() + BUDGET_MS; performance.now() < end; runs++) {
    const before = seed;
    try { body(); } catch (error) {
      if (!allowed(error)) throw new Error(`seed ${before}`, { cause: error });
      refusals++;
    }
  }
  return { runs, refusals };
}

const CONF = 'EnvExclude="^(SLURM_CONF|X)="\nRunTimeQuery="runc state %n.%u.%j.%s.%t"\nRunTimeKill=k\nRunTimeDelete="d %p"\nRunTimeRun="runc run %b -- %@" # c\nCreateEnvFile=null\n';
const CONFIG = JSON.stringify({ ociVersion: "1.0.2", process: { terminal: true, user: { uid: 1, gid: 2, additionalGids: [1] }, args: ["a"], env: ["A=1"], cwd: "/", rlimits: [{ type: "RLIMIT_NOFILE", hard: 5, soft: 6 }], oomScoreAdj: 0 },
  root: { path: "rootfs" }, mounts: [{ destination: "/sys", type: "sysfs", source: "s", options: ["a", "gid=5"] }], hooks: { prestart: [] }, linux: { namespaces: [{ type: "pid" }], resources: {} } });

describe("fuzz", () => {
  const dir = mkdtempSync(join(tmpdir(), "berth-fuzz-"));
  mkdirSync(join(dir, "rootfs"));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  test("oci.conf", () => {
    const alphabet = ["\\", '"', "#", "\n", "%", "=", " ", "\0", "%q", "Include x\n", "RunTimeStart=s\n", "é", "\\\n", "{", "[", "(", "yes", "IgnoreFileConfigJson=1\n", "CreateEnvFile=%%\n"];
    const { runs, refusals } = rounds(() => { parseOciConf(mutate(CONF, alphabet), "f"); }, (error) => error instanceof BerthError && error.message !== "");
    expect(refusals).toBeGreaterThan(0);
    expect(runs).toBeGreaterThan(refusals);
  });
  test("regular expressions compile or are refused", () => {
    const alphabet = ["(", ")", "[", "]", "{", "}", "*", "+", "?", "\\", "^", "$", "|", "[:alpha:]", "[=a=]", "1", ",", "-", "😀", "/", "\\1", "\\<"];
    expect(rounds(() => { compileExtendedRegex(mutate("^(A|B)[[:digit:]]{1,2}=", alphabet)); }, (error) => error instanceof SyntaxError && !/Invalid regular expression/.test(error.message)).refusals).toBeGreaterThan(0);
  });
  test("config.json is rewritten or refused", () => {
    const alphabet = ["{", "}", "[", "]", ",", ":", '"', "1e9", "-0", "18446744073709551615", "null", "true", "{}", "[]", '"x":', "\\u0000", "\\", '"__proto__":{},', "/../", "\t", "é"];
    const { runs, refusals } = rounds(() => {
      writeFileSync(join(dir, "config.json"), mutate(CONFIG, alphabet));
      const config = new StepConfig(readBundle(dir), { batch: { scriptPath: "/s", stdin: null, stdout: null, stderr: null }, disableHooks: ["prestart"], spoolMount: { source: "/x", destination: "/y/z" }, rootless: { uid: 3, gid: 4 }, runtime: "crun" });
      JSON.parse(config.print({ args: ["\u0000"], env: { A: "\ud800" }, hasTerminal: false }));
    }, (error) => error instanceof BerthError);
    expect(refusals).toBeGreaterThan(0);
    expect(runs).toBeGreaterThan(refusals);
  });
});
