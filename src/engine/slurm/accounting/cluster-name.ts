/** Which cluster's jobs these are. Cheap: a job has it in its environment, a login host in slurm.conf. */
import { readFileSync } from "node:fs";
import { outputOf } from "#platform/run-tool.ts";
import { findSiteProgram } from "../programs.ts";

export function clusterName(env: Readonly<Record<string, string | undefined>>): string {
  const own = env["SLURM_CLUSTER_NAME"];
  if (own !== undefined && own !== "") return own.toLowerCase();
  const conf = readConf(env["SLURM_CONF"] ?? "/etc/slurm/slurm.conf");
  const named = /^[ \t]*ClusterName[ \t]*=[ \t]*(\S+)/im.exec(conf)?.[1];
  if (named !== undefined) return named.toLowerCase();
  // Configless, or in an included file.
  const scontrol = findSiteProgram("scontrol");
  const said = scontrol === undefined ? "" : outputOf([scontrol, "show", "config"]);
  return (/^ClusterName\s*= (\S+)/m.exec(said)?.[1] ?? "cluster").toLowerCase();
}

/** On a cluster without slurmdbd sacct has nobody to ask. */
export function hasAccounting(env: Readonly<Record<string, string | undefined>>): boolean {
  const conf = readConf(env["SLURM_CONF"] ?? "/etc/slurm/slurm.conf");
  if (conf === "" || /^[ \t]*include\b/im.test(conf)) return true; // nobody knows: sacct says so itself
  const type = /^[ \t]*AccountingStorageType[ \t]*=[ \t]*(\S+)/im.exec(conf)?.[1] ?? "accounting_storage/none";
  return !/none$/i.test(type);
}

function readConf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
