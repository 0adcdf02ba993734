/** For `berth info`: which Slurm this is, and what of it Berth uses. */
import { readFileSync } from "node:fs";
import { BerthError } from "#job/errors.ts";
import { isListening } from "#platform/unix-listener.ts";
import { siteError } from "./errors.ts";
import { SiteCommands } from "./site-commands.ts";
import { nodeCache } from "./cache/stage.ts";
import { findSiteProgram } from "./programs.ts";

/** Slurm's commands try for about ten seconds where there is no controller. */
const PATIENCE_MS = 20_000;
const MUNGE_SOCKETS = ["/run/munge/munge.socket.2", "/var/run/munge/munge.socket.2"];

/** What is wrong with the site, with what to do; undefined when it answers. */
export async function findTrouble(signal: AbortSignal): Promise<BerthError | undefined> {
  const munge = await findMungeTrouble();
  if (munge !== undefined) return munge;
  try {
    await new SiteCommands(process.env, { timeoutMs: PATIENCE_MS }).ask("scontrol", ["show", "config"], { signal });
    return undefined;
  } catch (error) {
    if (error instanceof BerthError) return error;
    throw error;
  }
}

/** A line for each controller, as `scontrol ping` has it. With one of several down it fails, and says the same. */
export async function pingControllers(signal: AbortSignal): Promise<readonly string[]> {
  const said = await new SiteCommands(process.env, { timeoutMs: PATIENCE_MS }).ask("scontrol", ["ping"], { signal });
  return said.split("\n").filter((line) => line !== "");
}

/** Without munge Slurm's commands are silent for most of a minute, so it is looked for first. Sites may do without it. */
async function findMungeTrouble(): Promise<BerthError | undefined> {
  let conf: string;
  try {
    conf = readFileSync(process.env["SLURM_CONF"] ?? "/etc/slurm/slurm.conf", "utf8");
  } catch {
    return undefined; // configless: nothing is known
  }
  const authType = /^\s*AuthType\s*=\s*(\S+)/im.exec(conf)?.[1] ?? "auth/munge";
  if (authType.toLowerCase() !== "auth/munge") return undefined;
  const own = /^\s*AuthInfo\s*=.*\bsocket=([^,\s]+)/im.exec(conf)?.[1];
  const sockets = own === undefined ? MUNGE_SOCKETS : [own];
  for (const socket of sockets) if (await isListening(socket)) return undefined;
  return siteError("munge", `Munge encode failed: nobody listens on ${sockets[0] ?? ""}`);
}

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
