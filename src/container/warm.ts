/** For a step daemon that waits in the pool: does once, for nothing, what the first container step would do cold. */
import { DEFAULT_PATH } from "./environment.ts";
import { parseJson, type JsonObject } from "./json.ts";
import { chooseRuntime } from "./runtime-choice.ts";
import { resolveCommand } from "./rootfs.ts";
import type { ChosenRuntime } from "./runtime.ts";
import { StepConfig } from "./task-config.ts";

const SAMPLE = `{"ociVersion":"1.0.2","process":{"user":{"uid":0,"gid":0},"args":["sh"],"env":["PATH=/bin"],"cwd":"/",
"rlimits":[{"type":"RLIMIT_NOFILE","hard":1024,"soft":1024}]},"root":{"path":"rootfs"},
"mounts":[{"destination":"/sys","type":"sysfs","source":"sysfs","options":["ro"]}],"linux":{"namespaces":[{"type":"pid"}]}}`;

/** Reads and writes nothing but the runtime probe's cache. Never fails: the step will say what is wrong. Gives the runtime that Berth chose. */
export async function warmContainers({
  stateDir,
  hasConf,
  signal,
}: {
  readonly stateDir: string;
  /** Somebody else chose the runtime. */
  readonly hasConf: boolean;
  readonly signal: AbortSignal;
}): Promise<ChosenRuntime | undefined> {
  try {
    const config = parseJson(SAMPLE) as JsonObject;
    const made = new StepConfig(
      { path: "/", config, rootfs: "/", env: [] },
      { batch: null, disableHooks: [], spoolMount: null, rootless: { uid: 1, gid: 1 }, runtime: "crun" },
    );
    made.print({ args: [resolveCommand("/", "sh", { PATH: DEFAULT_PATH }, (path) => made.isHidden(path))], env: {}, hasTerminal: false });
    return hasConf ? undefined : await chooseRuntime(stateDir, { signal });
  } catch {
    return undefined; // the first step reports it, to somebody who reads it
  }
}
