/** How the nodes of the private cluster are. */
import { existsSync } from "node:fs";
import { runChild } from "#platform/child.ts";
import { findSiteProgram } from "../programs.ts";
import type { ClusterPaths } from "./paths.ts";

export interface NodeState {
  readonly name: string;
  readonly state: string;
}

/** `c1 idle` …, from sinfo; empty when the controller does not answer. */
export async function readNodeStates(paths: ClusterPaths, signal: AbortSignal): Promise<readonly NodeState[]> {
  const sinfo = findSiteProgram("sinfo");
  if (sinfo === undefined || !existsSync(paths.conf)) return [];
  const { stdout } = await runChild([sinfo, "-h", "-N", "-o", "%N %T"], {
    env: { PATH: "/usr/bin:/bin", SLURM_CONF: paths.conf },
    cwd: "/",
    signal,
    timeoutMs: 5000,
  });
  return stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => {
      const [name = "", state = ""] = line.split(" ");
      return { name, state };
    });
}
