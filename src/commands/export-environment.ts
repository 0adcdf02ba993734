/** `--export`: which of the caller's variables reach tasks and scripts (commands.md §2.6, §3.6). */
import type { ExportRule } from "#job/request.ts";

type Environment = Readonly<Record<string, string>>;

/** Slurm's own variables pass whatever the rule says. */
function isSlurms(name: string): boolean {
  return name.startsWith("SLURM_") || name.startsWith("SPANK_") || name.startsWith("SLURMD_");
}

/**
 * For tasks. `ALL,NAME=value` does not change a NAME that exists already: real Slurm, 22.05 and 26.11 alike, keeps the
 * old value there [T srun-16-export].
 */
export function taskEnvironment(rule: ExportRule, environment: Environment): Record<string, string> {
  if (rule.kind === "all") return { ...rule.set, ...environment };
  return listed(rule, environment);
}

/** For batch scripts, where `ALL,NAME=value` does change it. `login` is what a login of the user sets. */
export function batchEnvironment(rule: ExportRule, environment: Environment, login: Environment): Record<string, string> {
  switch (rule.kind) {
    case "all":
      return { ...environment, ...rule.set };
    case "list":
      return { ...login, ...listed(rule, environment) };
    case "none":
      return { ...login, ...listed(rule, environment) };
    case "nil":
      return listed(rule, environment);
  }
}

function listed(rule: Exclude<ExportRule, { kind: "all" }>, environment: Environment): Record<string, string> {
  const kept: Record<string, string> = {};
  const wanted = new Set(rule.kind === "list" ? rule.keep : []);
  for (const [name, value] of Object.entries(environment)) if (isSlurms(name) || wanted.has(name)) kept[name] = value;
  return rule.kind === "list" ? { ...kept, ...rule.set } : kept;
}
