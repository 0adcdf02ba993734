/** Environments of container, environment file and runtime (oci-conf §8.1, §10.1). */
import type { EnvFileKind } from "./oci-conf.ts";

export type Environment = Readonly<Record<string, string>>;

/** The image's variables win over the job's; an entry without `=` is an empty variable (Slurm stores "(null)"). */
export function mergeEnvironment(job: Environment, image: readonly string[]): Record<string, string> {
  const merged = new Map(Object.entries(job));
  for (const entry of image) {
    const at = entry.indexOf("=");
    const name = at === -1 ? entry : entry.slice(0, at);
    if (name !== "") merged.set(name, at === -1 ? "" : entry.slice(at + 1));
  }
  return Object.fromEntries(merged);
}

/** Without the variables whose whole `NAME=value` the regular expression is found in. */
export function excludeVariables(env: Environment, exclude: RegExp | undefined): Record<string, string> {
  if (exclude === undefined) return { ...env };
  return Object.fromEntries(Object.entries(env).filter(([name, value]) => !exclude.test(`${name}=${value}`)));
}

export function envEntries(env: Environment): string[] {
  return Object.entries(env).map(([name, value]) => `${name}=${value}`);
}

/** Text of the `environment` file; entries that the format cannot hold are left out. */
export function printEnvFile(env: Environment, kind: Exclude<EnvFileKind, "disabled">): string {
  const end = kind === "null" ? "\0" : "\n";
  return envEntries(env)
    .filter((entry) => !entry.includes(end))
    .map((entry) => entry + end)
    .join("");
}

/**
 * What the runtime itself sees: the step daemon's own environment and the node's name, nothing of the job's.
 * A PATH is always there, because rootless runtimes look for their helpers in it.
 */
export function runtimeEnvironment(
  own: Readonly<NodeJS.ProcessEnv>,
  nodeName: string,
  exclude: RegExp | undefined,
): Record<string, string> {
  const env: Record<string, string> = { PATH: DEFAULT_PATH };
  for (const [name, value] of Object.entries(own)) if (value !== undefined) env[name] = value;
  env["SLURMD_NODENAME"] = nodeName;
  return excludeVariables(env, exclude);
}

export const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
