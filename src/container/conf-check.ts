/**
 * Everything that can be told about an oci.conf without a job: `berth oci check`. The parser's own errors are thrown; what
 * this host lacks, and what its runtime makes of the commands, is collected.
 */
import { findProgram, isProgram } from "#platform/find-program.ts";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { userName } from "#platform/users.ts";
import { createBusyboxBundle } from "./check-bundle.ts";
import { DEFAULT_PATH } from "./environment.ts";
import { expandExample, explainConf, programsOf, type ExplainedLine } from "./explain-conf.ts";
import { checkLifecycle, type LifecycleStep } from "./lifecycle-check.ts";
import { readOciConf, type OciConf } from "./oci-conf.ts";

export interface ConfCheck {
  readonly file: string | null;
  readonly lines: readonly ExplainedLine[];
  readonly example: readonly { readonly key: string; readonly command: string }[];
  /** Null: no bundle to try it with. */
  readonly lifecycle: readonly LifecycleStep[] | null;
  /** What to fix, each with its cure. */
  readonly problems: readonly { readonly what: string; readonly cure: string }[];
}

export interface ConfCheckOptions {
  /** Null: none is in force, and the runtime that Berth chooses is tried. */
  readonly file: string | null;
  readonly bundle: string | null;
  readonly stateDir: string;
  readonly nodeName: string;
  readonly signal: AbortSignal;
}

/** @throws BerthError OCI_CONF_* with file and line */
export async function checkConf(options: ConfCheckOptions): Promise<ConfCheck> {
  const conf = options.file === null ? undefined : await readOciConf(options.file);
  const dir = mkdtempSync(join(tmpdir(), "berth-check-bundle-"));
  try {
    const bundle = options.bundle === null ? createBusyboxBundle(dir, conf?.ignoreFileConfigJson === true) : resolve(options.bundle);
    const problems = [...(conf === undefined ? [] : hostProblems(conf))];
    const lifecycle =
      bundle === undefined
        ? null
        : await checkLifecycle({ confFile: options.file, bundle, stateDir: options.stateDir, signal: options.signal });
    for (const step of lifecycle ?? []) if (!step.isOk) problems.push({ what: `${step.name}: ${step.detail}`, cure: cureOf(step, conf) });
    const uid = process.geteuid?.() ?? 0;
    return {
      file: options.file,
      lines: options.file === null ? [] : await explainConf(options.file),
      example:
        conf === undefined
          ? []
          : expandExample(conf, {
              nodeName: options.nodeName,
              userName: userName(uid),
              userId: uid,
              bundle: options.bundle ?? "/images/example",
              rootfs: conf.ignoreFileConfigJson ? (options.bundle ?? "/images/example") : `${options.bundle ?? "/images/example"}/rootfs`,
              spoolRoot: "/spool",
              workDir: homedir(),
            }),
      lifecycle,
      problems,
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Programs that are not installed, and a runtime root that nobody made. */
function hostProblems(conf: OciConf): readonly { readonly what: string; readonly cure: string }[] {
  const problems: { what: string; cure: string }[] = [];
  for (const program of programsOf(conf)) {
    if (isInstalled(program)) continue;
    problems.push({
      what: `${program} is not installed (looked in PATH)`,
      cure: `install ${program}, or name another runtime: berth oci init --runtime crun`,
    });
  }
  const uid = process.geteuid?.() ?? 0;
  const usesRunUser = Object.values(conf.operations).some((pattern) =>
    pattern?.some((part, index) => {
      const next = pattern[index + 1];
      return typeof part === "string" && part.endsWith("/run/user/") && typeof next === "object" && next.field === "userId";
    }),
  );
  if (usesRunUser && uid !== 0 && !existsSync(`/run/user/${uid}`)) {
    problems.push({
      what: `/run/user/${uid} does not exist: it comes with a login session`,
      cure: `an administrator can keep it: loginctl enable-linger ${userName(uid)}`,
    });
  }
  return problems;
}

/** Words of sh(1) that are no programs, and everything in PATH. */
function isInstalled(program: string): boolean {
  if (
    [
      "exec",
      "kill",
      "cd",
      "true",
      "false",
      "test",
      "echo",
      "printf",
      "if",
      "for",
      "case",
      "set",
      "umask",
      "trap",
      "eval",
      "command",
    ].includes(program)
  )
    return true;
  if (program.includes("/")) return isProgram(program);
  return findProgram(program, `${process.env["PATH"] ?? ""}:${DEFAULT_PATH}`) !== undefined;
}

function cureOf(step: LifecycleStep, conf: OciConf | undefined): string {
  if (/hybrid|cgroup/i.test(step.detail)) {
    return conf === undefined || programsOf(conf).some((program) => basename(program) === "crun")
      ? "crun wants a host with cgroup v2 only; runc does not: berth oci init --runtime runc"
      : "this host gives containers of ordinary users no cgroup: leave out what needs one (kill -a)";
  }
  if (/user namespace|newuidmap|unshare|clone|Operation not permitted/i.test(step.detail)) return "ask berth doctor about user namespaces";
  if (/not found/.test(step.detail)) return "install the program that the line names, or give its whole path";
  if (/permission denied/i.test(step.detail)) return "the runtime's --root and the bundle must be the user's own: see berth doctor";
  switch (step.name) {
    case "state":
      return "RunTimeQuery must name the same container as RunTimeRun or RunTimeCreate, and print JSON with a status";
    case "kill":
      return "RunTimeKill must name the same container as RunTimeRun or RunTimeCreate";
    case "delete":
      return "RunTimeDelete must remove the container that RunTimeRun or RunTimeCreate made, also while it runs";
    default:
      return conf === undefined ? "see berth doctor" : "run the command above by hand in a terminal to see more";
  }
}
