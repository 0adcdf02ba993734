/** The container that a command line, its environment or its script asks for, and how it becomes a task's command. */
import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { BerthError } from "#job/errors.ts";
import type { OptionRow } from "#options/getopt.ts";
import type { TakenOptions } from "#options/take-options.ts";
import { selfOnDisk } from "#platform/self.ts";
import { shortHostName } from "#platform/directories.ts";
import { AWAIT } from "../cache/node-scripts.ts";
import { FILE_LIMIT_VARIABLE } from "../task/file-limit.ts";

export interface ContainerRequest {
  /** Absolute. */
  readonly bundle: string;
  readonly containerId: string | null;
  /** It is what the job was submitted with, and not only a step's. */
  readonly isJobs?: boolean;
}

/** What a job or a step of an engine's request asks for. */
export function containerOf({
  container,
  containerId,
}: {
  readonly container: string | null;
  readonly containerId: string | null;
}): ContainerRequest | undefined {
  return container === null ? undefined : { bundle: container, containerId };
}

type Env = Readonly<Record<string, string>>;

/** Our own words on the command lines of srun, sbatch and salloc, besides Slurm's. */
export const OWN_ROWS: readonly OptionRow[] = [{ name: "native" }, { name: "transfer", mayTake: "WHEN" }];
export const TAKEN = ["container", "container-id", "native", "transfer"] as const;

/** Undefined when none is asked for. The command line wins over the environment, and that over the script. */
export function containerRequest(
  taken: ReadonlyMap<string, string>,
  prefix: "SRUN" | "SBATCH" | "SALLOC",
  env: Env,
  directives: ReadonlyMap<string, string> = new Map(),
): ContainerRequest | undefined {
  const bundle = taken.get("container") ?? env[`${prefix}_CONTAINER`] ?? directives.get("container");
  const containerId = taken.get("container-id") ?? env[`${prefix}_CONTAINER_ID`] ?? directives.get("container-id") ?? null;
  if (bundle === undefined) {
    if (containerId === null) return undefined;
    throw new BerthError("NOT_SUPPORTED", "--container-id without --container is for runtimes of the site's own", {
      hint: "add --container BUNDLE, or --native",
    });
  }
  if (bundle === "")
    throw new BerthError("BUNDLE_MISSING", 'Cannot open bundle "": No such file or directory', {
      hint: "--container wants the path of a bundle",
    });
  return { bundle: resolve(bundle), containerId };
}

/**
 * sbatch and salloc with several components: which of them the script or command would be in, no option says. Slurm would forget the request
 * and run them on the bare node. @throws BerthError NOT_SUPPORTED
 */
export function refuseInComponents(
  words: TakenOptions,
  takeMore: (argv: readonly string[]) => TakenOptions,
  isAskedInEnvironment: boolean,
): void {
  if (words.rest[0] !== ":") return;
  let isAsked = isAskedInEnvironment;
  for (let part = words; ; part = takeMore(part.rest.slice(1))) {
    isAsked ||= part.taken.has("container") || part.taken.has("container-id");
    if (part.rest[0] !== ":") break;
  }
  if (isAsked)
    throw new BerthError("NOT_SUPPORTED", "--container cannot be combined with more than one component (:) here", {
      hint: "give it to the srun in the script: srun takes it for each component",
    });
}

/**
 * --native, or the user's wish for all commands: the site's own container support gets the request as it is. Where there is
 * none Slurm would forget the request and run the command on the bare node, so it is refused.
 * @throws BerthError NOT_SUPPORTED
 */
export function isNative(taken: ReadonlyMap<string, string>, env: Env): boolean {
  if (!taken.has("native") && !/^(1|yes|true)$/i.test(env["BERTH_NATIVE"] ?? "")) return false;
  const conf = env["SLURM_CONF"] ?? "/etc/slurm/slurm.conf";
  // Without a slurm.conf here the cluster is configless, and what it has nobody can see.
  if (taken.has("container") && existsSync(conf) && !existsSync(join(dirname(conf), "oci.conf"))) {
    throw new BerthError("NOT_SUPPORTED", `This site's Slurm has no container support: there is no oci.conf beside ${conf}`, {
      hint: "leave --native out: Berth runs the container without the site's help",
    });
  }
  return true;
}

/** The environment of the site's command: its own container support must not see the request a second time. */
export function siteEnvironment(env: Env, request: ContainerRequest): Record<string, string> {
  // A step's own, inside a job that has one too.
  const kept = withoutContainer(env);
  kept["SLURM_CONTAINER"] = request.bundle;
  if (request.containerId !== null) kept["SLURM_CONTAINER_ID"] = request.containerId;
  return kept;
}

export function withoutContainer(env: Env): Record<string, string> {
  const kept: Record<string, string> = { ...env };
  for (const prefix of ["SRUN", "SBATCH", "SALLOC", "SLURM"]) {
    delete kept[`${prefix}_CONTAINER`];
    delete kept[`${prefix}_CONTAINER_ID`];
  }
  return kept;
}

/** A shell first: only it can tell the task which limit of open files Slurm has set, before Bun raises it. */
const SHELL = "/bin/sh";
const START = `${FILE_LIMIT_VARIABLE}=$(ulimit -Sn) exec "$0" "$@"`;

export function taskCommand(request: ContainerRequest, command: readonly string[]): string[] {
  return [SHELL, "-c", START, ...selfOnDisk("task", "--bundle", request.bundle, ...taskWords(request)), ...command];
}

/** Behind the bundle, before the command. */
export function taskWords({ isJobs = false }: Pick<ContainerRequest, "isJobs">): string[] {
  return isJobs ? ["--of", "job", "--"] : ["--"];
}

/** The same as one line of a batch script; `"$0" "$@"` are the script and its arguments. */
export function batchTaskLine(request: ContainerRequest, firstLine: string): string {
  const words = selfOnDisk("task", "--bundle", request.bundle, "--batch", firstLine, "--").map(quote).join(" ");
  return `${FILE_LIMIT_VARIABLE}=$(ulimit -Sn) exec ${words} "$0" "$@"`;
}

/** The same for a bundle that has to be brought there first, by this host. */
export function awaitingTaskLine({ cache, token }: { readonly cache: string; readonly token: string }, firstLine: string): string {
  const words = [cache, shortHostName(), token, "--batch", firstLine, "--"].map(quote).join(" ");
  return `exec /bin/sh -c ${quote(AWAIT)} sh ${words} "$0" "$@"`;
}

/** For sh(1). */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

const COMMENT = "berth:";

/** Where the request is kept with the job, so that queries of everybody can show it: its comment, unless the user has one. */
export function requestComment({ bundle, containerId }: ContainerRequest): string {
  return `${COMMENT}${JSON.stringify(containerId === null ? { container: bundle } : { container: bundle, id: containerId })}`;
}

export function isRequestComment(comment: string): boolean {
  return parseRequestComment(comment) !== undefined;
}

export function parseRequestComment(comment: string): ContainerRequest | undefined {
  if (!comment.startsWith(COMMENT)) return undefined;
  try {
    const value = JSON.parse(comment.slice(COMMENT.length)) as unknown;
    if (typeof value !== "object" || value === null) return undefined;
    const { container, id } = value as { container?: unknown; id?: unknown };
    return typeof container === "string" ? { bundle: container, containerId: typeof id === "string" ? id : null } : undefined;
  } catch {
    return undefined; // somebody else's comment, or one that was cut off
  }
}
