/** For `berth info`: which Slurm this is, and what of it Berth uses. */
import { nodeCache } from "./cache/stage.ts";
import { findSiteProgram } from "./programs.ts";

export interface SiteDescription {
  readonly commands: string;
  readonly containers: string;
  readonly nodeCache: string;
}

export function describeSite(): SiteDescription {
  const srun = findSiteProgram("srun");
  const env: Record<string, string> = {};
  if (process.env["BERTH_NODE_CACHE"] !== undefined) env["BERTH_NODE_CACHE"] = process.env["BERTH_NODE_CACHE"];
  return {
    commands: srun === undefined ? "not installed" : srun.slice(0, srun.lastIndexOf("/")),
    containers: "berth task on the nodes; --native uses the site's own support",
    nodeCache: nodeCache(env),
  };
}
