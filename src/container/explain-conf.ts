/** oci.conf in words, line by line, for people: `berth oci check` and `berth oci show`. */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { parseConfLines } from "./oci-conf-lines.ts";
import { findKey, OPERATION_KEYS, type ConfKey, type OciConf, type Operation } from "./oci-conf.ts";
import { expandPattern, quoteCommand, type PatternValues } from "./pattern.ts";
import { spoolPath } from "./spool.ts";

export interface ExplainedLine {
  readonly file: string;
  readonly line: number;
  readonly text: string;
  readonly meaning: string;
}

const MEANINGS: Readonly<Record<ConfKey, (value: string) => string>> = {
  ContainerPath: (value) => `spool directories of containers are made under ${value}`,
  CreateEnvFile: (value) =>
    /^(disabled|false|n|no|0)$/i.test(value)
      ? "no environment file is written"
      : `the task's environment is written to %e, entries end in ${/^newline$/i.test(value) ? "newline (those with a newline are left out)" : "NUL"}`,
  DebugFlags: () => "scrun only: what its log tells",
  DisableCleanup: (value) =>
    isYes(value)
      ? "generated files stay after the step; containers are deleted all the same"
      : "generated files are removed after the step",
  DisableHooks: (value) =>
    `these hooks of config.json do not run: ${value
      .split(",")
      .filter((name) => name !== "")
      .join(", ")}`,
  EnvExclude: (value) => `variables whose NAME=value matches /${value}/ stay out of the container`,
  FileDebug: () => "scrun only: how much its log file tells",
  IgnoreFileConfigJson: (value) =>
    isYes(value)
      ? "--container need not be a bundle: no config.json is read or written, RunTimeRun carries everything"
      : "the bundle's config.json is read, and rewritten for each task",
  MountSpoolDir: (value) => `the step's spool directory appears inside the container at ${value}`,
  RunTimeCreate: () => "creates a task's container; it gets the task's own streams",
  RunTimeDelete: () => "removes what is left of a task's container",
  RunTimeEnvExclude: (value) => `variables whose NAME=value matches /${value}/ are kept from the runtime itself`,
  RunTimeKill: () => "ends a task's container when the step is cancelled or cleaned up",
  RunTimeQuery: () => "asks for a container's state; prints the OCI state as JSON",
  RunTimeRun: () => "runs a task's container from beginning to end; its exit status is the task's",
  RunTimeStart: () => "starts a created container",
  SrunArgs: (value) => `scrun only: srun gets ${value}`,
  SrunPath: (value) => `scrun only: srun is ${value}`,
  StdIODebug: () => "scrun only: how much it tells on stderr",
  SyslogDebug: () => "scrun only: how much it tells to syslog",
};

function isYes(value: string): boolean {
  return /^(yes|up|true|1)$/i.test(value);
}

/** Of a file that readOciConf has accepted; included files in their place. */
export async function explainConf(file: string): Promise<readonly ExplainedLine[]> {
  const explained: ExplainedLine[] = [];
  const explain = async (path: string): Promise<void> => {
    for (const line of parseConfLines(await readFile(path, "utf8"), path)) {
      if (line.kind === "include") {
        explained.push({ ...line.where, text: `Include ${line.path}`, meaning: "more of this file is there" });
        await explain(resolve(dirname(file), line.path));
      } else {
        const key = findKey(line.key);
        if (key !== undefined) explained.push({ ...line.where, text: `${key}=${line.value}`, meaning: MEANINGS[key](line.value) });
      }
    }
  };
  await explain(file);
  return explained;
}

/** What a step on this node would run for `sh -c 'echo hello'`: one command for each operation, in the order they come. */
export function expandExample(
  conf: OciConf,
  who: {
    readonly nodeName: string;
    readonly userName: string;
    readonly userId: number;
    readonly bundle: string;
    readonly rootfs: string;
    readonly spoolRoot: string;
    readonly workDir: string;
  },
): readonly { readonly key: string; readonly command: string }[] {
  const values: PatternValues = {
    bundle: who.bundle,
    command: "",
    envFile: "",
    jobId: "1",
    nodeName: who.nodeName,
    pid: "12345",
    rootfs: who.rootfs,
    spoolDir: who.spoolRoot,
    stepId: "0",
    taskId: "0",
    userName: who.userName,
    userId: String(who.userId),
    workDir: who.workDir,
  };
  const parent = conf.containerPath ?? who.spoolRoot.replaceAll("%", "%%");
  const spoolDir = spoolPath(parent, 0, "step", values);
  const taskDir = spoolPath(parent, 0, "task", values);
  const task: PatternValues = {
    ...values,
    spoolDir,
    envFile: `${taskDir}/environment`,
    bundle: conf.ignoreFileConfigJson ? who.bundle : taskDir,
    command: conf.ignoreFileConfigJson ? quoteCommand(["/bin/sh", "-c", "echo hello"]) : "",
  };
  const order: readonly Operation[] =
    conf.flow === "run" ? ["run", "query", "kill", "delete"] : ["create", "query", "start", "kill", "delete"];
  return order.flatMap((operation) => {
    const pattern = conf.operations[operation];
    return pattern === undefined ? [] : [{ key: OPERATION_KEYS[operation], command: expandPattern(pattern, task) }];
  });
}

/** Names of programs that the commands start with, as far as a shell's first word tells. */
export function programsOf(conf: OciConf): readonly string[] {
  const words = Object.values(conf.operations).flatMap((pattern) => {
    const [first] = pattern ?? [];
    const word = typeof first === "string" ? /^\s*(?:exec\s+)?([\w./+-]+)/.exec(first)?.[1] : undefined;
    return word === undefined ? [] : [word];
  });
  return [...new Set(words)];
}
