/** The runtime that Berth chose itself, without an oci.conf: its command lines and container ids. */
import { quoteCommand } from "./pattern.ts";
import type { Argv, Operations } from "./runtime-calls.ts";

export interface ChosenRuntime {
  readonly name: "crun" | "runc";
  /** Absolute. */
  readonly path: string;
  /** "runc 1.1.5 (chosen by Berth: …)" */
  readonly description: string;
}

/** Options come before the id: crun reads none after it. */
export function chosenOperations(
  runtime: Pick<ChosenRuntime, "path">,
  where: { readonly root: string; readonly bundle: string; readonly id: string; readonly preserveFds?: number },
): Operations & { readonly run: Argv } {
  const call = (...rest: readonly string[]): Argv => [runtime.path, "--root", where.root, ...rest];
  const { preserveFds = 0 } = where;
  const preserve = preserveFds === 0 ? [] : ["--preserve-fds", String(preserveFds)];
  return {
    create: undefined,
    start: undefined,
    run: call("run", ...preserve, "--bundle", where.bundle, where.id),
    query: call("state", where.id),
    kill: call("kill", where.id, "TERM"),
    delete: call("delete", "--force", where.id),
  };
}

/**
 * `%n.%u.%j.%s.%t` with the characters that every runtime takes; job, step and task keep it unique in an engine. Runtimes name cgroups
 * by it, which all engines of a host share: what is in another's of the same name would be killed with it. So it ends with a mark of the engine.
 */
export function containerId(parts: {
  readonly nodeName: string;
  readonly userName: string;
  readonly jobId: number;
  readonly stepId: number;
  readonly localId: number;
  /** Where the runtime keeps its records: one engine's. */
  readonly runtimeRoot: string;
}): string {
  const engine = Bun.hash(parts.runtimeRoot).toString(36).slice(-6);
  return `${safeName(parts.nodeName)}.${safeName(parts.userName)}.${parts.jobId}.${parts.stepId}.${parts.localId}.${engine}`;
}

const MAX_NAME = 64;

export function safeName(name: string): string {
  const safe = name.replace(/[^A-Za-z0-9_+.-]/g, "-").slice(0, MAX_NAME);
  return /^[A-Za-z0-9_]/.test(safe) ? safe : `_${safe}`;
}

/**
 * Where the runtime that `command` calls keeps the container's record, when the command is one of the documented
 * presets to the letter (oci-conf §15): `<root>/<id>`. Undefined for anything else.
 */
export function stateDirOf(queryCommand: string): string | undefined {
  const match = /^(?:runc|crun|nvidia-container-runtime)(?: --rootless=true)? --root[= ](\/[\w+./@-]*) state ([\w+.-]+)$/.exec(
    queryCommand,
  );
  if (match === null || match[2] === "." || match[2] === "..") return undefined;
  return `${(match[1] as string).replace(/\/$/, "")}/${match[2]}`;
}

/** A runtime by name or path, its global options, and the verb. */
const START_OF = (verbs: string) =>
  new RegExp(
    String.raw`^\s*(?:/[\w+./@-]*/)?(?:runc|crun|nvidia-container-runtime|youki)` +
      String.raw`(?:\s+--?[\w-]+(?:[= ]/[\w+./@-]*|=[\w+./@-]*)?)*\s+(?:${verbs})(?=\s)`,
  );
const CREATE_COMMAND = START_OF("create");
const MAKING_COMMAND = START_OF("create|run");

/**
 * A create command with `--console-socket`, for a task on a terminal: the guide's templates have none, and the runtimes
 * refuse a terminal without it. Undefined when the command is not one of a runtime known to take it, called directly.
 */
export function withConsoleSocket(createCommand: string, socketPath: string): string | undefined {
  const match = CREATE_COMMAND.exec(createCommand);
  if (match === null || createCommand.includes("--console-socket")) return undefined;
  return `${match[0]} --console-socket ${quoteCommand([socketPath])}${createCommand.slice(match[0].length)}`;
}

/**
 * A create or run command that hands the container `count` descriptors from 3 on. Other runtimes than these are no more
 * than a program that is executed, and hand on what they have.
 */
export function withPreservedFds(command: string, count: number): string {
  const match = MAKING_COMMAND.exec(command);
  if (match === null || count === 0 || command.includes("--preserve-fds")) return command;
  return `${match[0]} --preserve-fds ${count}${command.slice(match[0].length)}`;
}
