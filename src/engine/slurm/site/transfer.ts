/**
 * Whether bundle and executable must be brought to the nodes: `--transfer[=auto|always|copy|never]`, BERTH_TRANSFER, or found out.
 * `copy` uses the nodes' caches even where the files are shared: a shared file system is slow with many small files.
 */
import { statfsSync } from "node:fs";
import { BerthError } from "#job/errors.ts";
import { shortHostName } from "#platform/directories.ts";
import { outputOf } from "#platform/run-tool.ts";
import { keptAnswer } from "../kept-answer.ts";
import { findSiteProgram } from "../programs.ts";

/** statfs(2) numbers of file systems that hosts share. */
const SHARED = new Set([
  0x6969, 0x0bd00bd0, 0x47504653, 0x19830326, 0x00c36400, 0xff534d42, 0xfe534d42, 0x65735546, 0xaad7aaea, 0x5346414f, 0x01021997,
  0x7461636f, 0x01161970, 0x20030528,
]);

export type Transfer = "none" | "lacking" | "copy";

/** `taken`: of the command line. "lacking": ask the nodes, and send what they neither share nor have. */
export function chooseTransfer(bundle: string, taken: ReadonlyMap<string, string>, env: Readonly<Record<string, string>>): Transfer {
  const said = taken.get("transfer") ?? env["BERTH_TRANSFER"] ?? "auto";
  switch (said) {
    case "":
    case "always":
      return "lacking";
    case "copy":
      return "copy";
    case "never":
      return "none";
    case "auto":
      return isShared(bundle) || isOnlyThisHost(env) ? "none" : "lacking";
    default:
      throw new BerthError("TRANSFER", `--transfer wants auto, always, copy or never, not "${said}"`);
  }
}

function isShared(path: string): boolean {
  try {
    return SHARED.has(statfsSync(path).type >>> 0);
  } catch {
    return true; // not here: then only the nodes can have it
  }
}

/** Nodes come and go without a change of slurm.conf, but hardly the second host of a cluster. */
const HOSTS_MAX_AGE_MS = 600_000;

/** A cluster whose nodes are all on this host, as the private one. */
function isOnlyThisHost(env: Readonly<Record<string, string>>): boolean {
  const sinfo = findSiteProgram("sinfo");
  if (sinfo === undefined) return true;
  const about = env["SLURM_CONF"] ?? "/etc/slurm/slurm.conf";
  const ask = () => outputOf([sinfo, "-h", "-N", "-o", "%n"]);
  const hosts = new Set(
    keptAnswer("hosts", { about, maxAgeMs: HOSTS_MAX_AGE_MS, ask })
      .split("\n")
      .map((line) => line.trim().split(".", 1)[0])
      .filter(Boolean),
  );
  return hosts.size === 0 || (hosts.size === 1 && hosts.has(shortHostName()));
}
